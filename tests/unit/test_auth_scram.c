/* The server's side of SCRAM against a client that keeps the rules, and against those that do not.
 */
#include "scram_rig.h"

#include "table_rig.h"

#include "auth/scram.h"
#include "util/base/base64.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define BINDING     SPAN("\0binding\0of-this-connection\xff")

enum { ITERATIONS = 4096 };

struct fixture {
    struct table_rig rig;
    struct conf *conf;
    struct table *passwords;
    struct scram_server *server;
    struct arena arena;
    const char *text; /* of the table */
};

static struct scram_server *new_server(struct fixture *fixture, struct span key)
{
    return scram_server_new(fixture->conf, fixture->passwords, key);
}

/* alice has keys and no hash; oldhand has a hash alone; nonsense has an entry that makes no sense.
 */
static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    struct credentials credentials = {
        .crypt = SPAN(""),
        .has_scram = true,
        .scram = scram_rig_keys(&fixture->arena, "pencil", SPAN("salt-of-alice-16"), ITERATIONS)};
    struct span alice = credentials_text(&fixture->arena, &credentials);
    table_rig_begin(&fixture->rig, "");
    fixture->text = arena_printf(&fixture->arena,
                                 "alice@example.test: %s\noldhand@example.test: $y$j75$x$y\n"
                                 "nonsense@example.test: scram-sha-256=12\n",
                                 alice.data)
                        .data;
    table_rig_write(&fixture->rig, "passwords", fixture->text);
    fixture->conf = table_rig_conf(&fixture->rig);
    fixture->passwords = table_open("db", table_rig_path(&fixture->rig, "passwords"));
    fixture->server = new_server(fixture, SPAN("a key"));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    scram_server_free(fixture->server);
    table_close(fixture->passwords);
    conf_free(fixture->conf);
    table_rig_end(&fixture->rig);
    arena_free(&fixture->arena);
    mem_free(fixture);
    return 0;
}

/* A client that is right in everything. */
static struct scram_client right_client(void)
{
    return (struct scram_client){.password = "pencil",
                                 .gs2_header = "n,,",
                                 .binding = SPAN(""),
                                 .user = "alice",
                                 .nonce = "rOprNGfwEbeRWgbNEkqO"};
}

static struct scram *new_exchange(struct fixture *fixture, bool plus, enum sasl_binding kind)
{
    return scram_new(fixture->server, plus, kind, kind == SASL_BINDING_NONE ? SPAN("") : BINDING);
}

/* Both messages; the result of the second, or of the first when that ended it. */
static enum scram_result run(struct scram *scram, struct scram_client *client, struct span *output)
{
    enum scram_result result = scram_step(scram, scram_client_first(client), output);
    if (result != SCRAM_MORE)
        return result;
    return scram_step(scram, scram_client_final(client, *output), output);
}

static enum scram_result result_of(struct fixture *fixture, struct scram_client client, bool plus,
                                   enum sasl_binding kind)
{
    struct scram *scram = new_exchange(fixture, plus, kind);
    struct span output;
    enum scram_result result = run(scram, &client, &output);
    if (result != SCRAM_RIGHT)
        assert_int_equal(output.len, 0);
    else
        assert_true(scram_client_accepts(&client, output));
    scram_free(scram);
    scram_client_end(&client);
    return result;
}

/* ---- the keys ---- */

/* RFC 7677 §3: the example's password and salt give keys under which its messages verify. */
static void the_example_of_rfc_7677_verifies(void **state)
{
    (void)state;
    struct scram_client client = right_client();
    client.user = "user";
    (void)scram_client_first(&client);
    struct span last =
        scram_client_final(&client, SPAN("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                         "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    assert_true(span_equal(last, SPAN("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")));
    assert_true(
        scram_client_accepts(&client, SPAN("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    scram_client_end(&client);
}

/* ---- right ---- */

static void who_knows_the_password_is_right_and_gets_the_servers_proof(void **state)
{
    static const char *const users[] = {"alice", "Alice", "alice@example.test",
                                        "ALICE@Example.Test"};
    for (size_t i = 0; i < COUNT(users); i++) {
        struct scram_client client = right_client();
        client.user = users[i];
        assert_int_equal(result_of(*state, client, false, SASL_BINDING_NONE), SCRAM_RIGHT);
    }
}

static void the_user_is_canonical(void **state)
{
    struct scram *scram = new_exchange(*state, false, SASL_BINDING_NONE);
    struct scram_client client = right_client();
    struct span output;
    client.user = "Alice";
    assert_int_equal(scram_user(scram).len, 0);
    assert_int_equal(scram_step(scram, scram_client_first(&client), &output), SCRAM_MORE);
    assert_true(span_equal(scram_user(scram), SPAN("alice@example.test")));
    scram_free(scram);
    scram_client_end(&client);
}

/* ---- channel binding, RFC 5802 §6 ---- */

static void channel_binding_is_as_the_table_says(void **state)
{
    static const struct {
        bool plus;
        enum sasl_binding kind;
        const char *header;
        bool binds;
        enum scram_result result;
    } rows[] = {
        {false, SASL_BINDING_NONE, "n,,", false, SCRAM_RIGHT},
        {false, SASL_BINDING_NONE, "y,,", false, SCRAM_RIGHT},
        {false, SASL_BINDING_TLS_EXPORTER, "n,,", false, SCRAM_RIGHT},
        {false, SASL_BINDING_TLS_EXPORTER, "y,,", false, SCRAM_REFUSED},
        {false, SASL_BINDING_TLS_UNIQUE, "y,,", false, SCRAM_REFUSED},
        {false, SASL_BINDING_TLS_EXPORTER, "p=tls-exporter,,", true, SCRAM_REFUSED},
        {false, SASL_BINDING_NONE, "p=tls-exporter,,", true, SCRAM_REFUSED},
        {true, SASL_BINDING_TLS_EXPORTER, "p=tls-exporter,,", true, SCRAM_RIGHT},
        {true, SASL_BINDING_TLS_UNIQUE, "p=tls-unique,,", true, SCRAM_RIGHT},
        {true, SASL_BINDING_TLS_EXPORTER, "p=tls-unique,,", true, SCRAM_REFUSED},
        {true, SASL_BINDING_TLS_UNIQUE, "p=tls-exporter,,", true, SCRAM_REFUSED},
        {true, SASL_BINDING_TLS_EXPORTER, "p=tls-server-end-point,,", true, SCRAM_REFUSED},
        {true, SASL_BINDING_TLS_EXPORTER, "p=,,", true, SCRAM_REFUSED},
        {true, SASL_BINDING_TLS_EXPORTER, "n,,", false, SCRAM_REFUSED},
        {true, SASL_BINDING_TLS_EXPORTER, "y,,", false, SCRAM_REFUSED},
        {true, SASL_BINDING_NONE, "p=tls-exporter,,", true, SCRAM_REFUSED},
        {true, SASL_BINDING_NONE, "p=,,", true, SCRAM_REFUSED},
        {true, SASL_BINDING_TLS_EXPORTER, "p=tls-exporter,,", false, SCRAM_WRONG},
        {false, SASL_BINDING_NONE, "n,,", true, SCRAM_WRONG},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scram_client client = right_client();
        client.gs2_header = rows[i].header;
        client.binding = rows[i].binds ? BINDING : SPAN("");
        enum scram_result result = result_of(*state, client, rows[i].plus, rows[i].kind);
        if (result != rows[i].result)
            fail_msg("row %zu: %d", i, result);
    }
}

/* Somebody in between has another TLS connection to each side. */
static void the_binding_of_another_connection_is_wrong(void **state)
{
    static const struct span bindings[] = {
        SPAN_INIT("\0binding\0of-this-connection\xfe"), SPAN_INIT("\0binding\0of-this-connection"),
        SPAN_INIT("\0binding\0of-this-connection\xff\xff"), SPAN_INIT("x")};
    for (size_t i = 0; i < COUNT(bindings); i++) {
        struct scram_client client = right_client();
        client.gs2_header = "p=tls-exporter,,";
        client.binding = bindings[i];
        assert_int_equal(result_of(*state, client, true, SASL_BINDING_TLS_EXPORTER), SCRAM_WRONG);
    }
}

static void a_header_that_changed_on_the_way_is_wrong(void **state)
{
    struct scram_client client = right_client();
    client.other_header = "y,,";
    assert_int_equal(result_of(*state, client, false, SASL_BINDING_NONE), SCRAM_WRONG);
}

/* ---- wrong ---- */

static void a_wrong_password_and_who_can_not_log_in_are_wrong_alike(void **state)
{
    static const struct {
        const char *user, *password;
    } rows[] = {
        {"alice", "Pencil"},      {"alice", ""},         {"alice", "pencil "},
        {"nobody", "pencil"},     {"oldhand", "pencil"}, {"nonsense", "pencil"},
        {"no address", "pencil"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scram_client client = right_client();
        client.user = rows[i].user;
        client.password = rows[i].password;
        if (result_of(*state, client, false, SASL_BINDING_NONE) != SCRAM_WRONG)
            fail_msg("row %zu", i);
    }
}

static void only_the_user_himself_may_be_the_authzid(void **state)
{
    static const struct {
        const char *header;
        enum scram_result result;
    } rows[] = {
        {"n,a=alice,", SCRAM_RIGHT},
        {"n,a=ALICE@example.test,", SCRAM_RIGHT},
        {"n,a=bob,", SCRAM_WRONG},
        {"n,a=alice@second.test,", SCRAM_WRONG},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scram_client client = right_client();
        client.gs2_header = rows[i].header;
        assert_int_equal(result_of(*state, client, false, SASL_BINDING_NONE), rows[i].result);
    }
}

static void a_nonce_that_is_not_the_servers_is_wrong(void **state)
{
    static const char *const nonces[] = {"rOprNGfwEbeRWgbNEkqO", "x",
                                         "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"};
    for (size_t i = 0; i < COUNT(nonces); i++) {
        struct scram_client client = right_client();
        client.other_nonce = nonces[i];
        assert_int_equal(result_of(*state, client, false, SASL_BINDING_NONE), SCRAM_WRONG);
    }
}

/* The messages of an exchange that was right, said again to another one. */
static void a_replay_is_wrong(void **state)
{
    struct scram_client client = right_client();
    struct scram *first = new_exchange(*state, false, SASL_BINDING_NONE);
    struct scram *second = new_exchange(*state, false, SASL_BINDING_NONE);
    struct span output, again;
    struct span hello = scram_client_first(&client);
    assert_int_equal(scram_step(first, hello, &output), SCRAM_MORE);
    assert_int_equal(scram_step(second, hello, &again), SCRAM_MORE);
    assert_false(span_equal(output, again));
    struct span last = scram_client_final(&client, output);
    assert_int_equal(scram_step(first, last, &output), SCRAM_RIGHT);
    assert_int_equal(scram_step(second, last, &again), SCRAM_WRONG);
    scram_free(first);
    scram_free(second);
    scram_client_end(&client);
}

/* ---- what a stranger can tell ---- */

/* What a client that asks for `user` is told at first, without the nonces. */
static struct span told_to(struct fixture *fixture, struct scram_server *server, const char *user)
{
    struct scram_client client = right_client();
    struct scram *scram = scram_new(server, false, SASL_BINDING_NONE, SPAN(""));
    struct span output;
    client.user = user;
    assert_int_equal(scram_step(scram, scram_client_first(&client), &output), SCRAM_MORE);
    struct span told = arena_copy(&fixture->arena, span_skip(output, span_find(output, ',')));
    scram_free(scram);
    scram_client_end(&client);
    return told;
}

static void the_salt_of_an_unknown_user_is_always_the_same(void **state)
{
    struct fixture *fixture = *state;
    struct scram_server *next = new_server(fixture, SPAN("a key"));
    struct scram_server *other = new_server(fixture, SPAN("another key"));
    struct span told = told_to(fixture, fixture->server, "nobody");
    assert_true(span_has_suffix(told, SPAN(",i=65536")));
    assert_true(span_equal(told, told_to(fixture, fixture->server, "NOBODY@example.test")));
    assert_true(span_equal(told, told_to(fixture, next, "nobody")));
    assert_false(span_equal(told, told_to(fixture, other, "nobody")));
    assert_false(span_equal(told, told_to(fixture, fixture->server, "noone")));
    assert_true(span_equal(told_to(fixture, fixture->server, "oldhand"),
                           told_to(fixture, fixture->server, "oldhand")));
    scram_server_free(next);
    scram_server_free(other);
}

static void a_known_user_is_told_his_own_salt(void **state)
{
    struct fixture *fixture = *state;
    struct span salt = base64_encode(&fixture->arena, SPAN("salt-of-alice-16"));
    assert_true(span_equal(told_to(fixture, fixture->server, "alice"),
                           arena_printf(&fixture->arena, ",s=%s,i=%d", salt.data, ITERATIONS)));
}

static void a_table_that_can_not_be_read_is_temporary(void **state)
{
    struct fixture *fixture = *state;
    for (int damage = 0; damage < DAMAGE_COUNT; damage++) {
        table_rig_damage(&fixture->rig, "passwords", (enum table_damage)damage);
        assert_int_equal(result_of(fixture, right_client(), false, SASL_BINDING_NONE),
                         SCRAM_TEMPORARY);
        table_rig_write(&fixture->rig, "passwords", fixture->text);
    }
}

/* ---- malformed ---- */

static void a_first_message_that_is_none_is_malformed(void **state)
{
    static const struct span rows[] = {
        SPAN_INIT(""),
        SPAN_INIT(","),
        SPAN_INIT(",,"),
        SPAN_INIT("n"),
        SPAN_INIT("n,"),
        SPAN_INIT("n,,"),
        SPAN_INIT("n,,n=alice"),
        SPAN_INIT("n,,n=alice,"),
        SPAN_INIT("n,,r=nonce"),
        SPAN_INIT("n,,n=,r=nonce"),
        SPAN_INIT("n,,n=alice,r="),
        SPAN_INIT("n,,r=nonce,n=alice"),
        SPAN_INIT("n,n=alice,r=nonce"),
        SPAN_INIT("x,,n=alice,r=nonce"),
        SPAN_INIT("N,,n=alice,r=nonce"),
        SPAN_INIT("nn,,n=alice,r=nonce"),
        SPAN_INIT("p,,n=alice,r=nonce"),
        SPAN_INIT("n,b=alice,n=alice,r=nonce"),
        SPAN_INIT("n,,m=must,n=alice,r=nonce"),
        SPAN_INIT("n,,n=al=ice,r=nonce"),
        SPAN_INIT("n,,n=alice=2,r=nonce"),
        SPAN_INIT("n,a=al=ice,n=alice,r=nonce"),
        SPAN_INIT("n,,n=al\0ice,r=nonce"),
        SPAN_INIT("n,,n=alice,r=non\0ce"),
        SPAN_INIT("n,,n=alice,r=nonce\0"),
        SPAN_INIT("n,,n=al\xff\xfeice,r=nonce"),
        SPAN_INIT("n,,n=al\x07ice,r=nonce"),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scram *scram = new_exchange(*state, false, SASL_BINDING_NONE);
        struct span output;
        enum scram_result result = scram_step(scram, rows[i], &output);
        if (result != SCRAM_MALFORMED)
            fail_msg("row %zu: %d", i, result);
        assert_int_equal(output.len, 0);
        scram_free(scram);
    }
}

/* Every beginning of a right last message, and some that never were one. */
static void a_last_message_that_is_none_is_never_right(void **state)
{
    static const struct span rows[] = {
        SPAN_INIT(""),           SPAN_INIT("c=biws"),   SPAN_INIT("c=biws,r=x"),
        SPAN_INIT("r=x,c=biws"), SPAN_INIT("p=AAAA"),   SPAN_INIT("c=biws,r=x,p=AAAA"),
        SPAN_INIT("c=!,r=x,p="), SPAN_INIT("\0c=biws"), SPAN_INIT("c=biws,r=x,p=\0"),
    };
    struct scram_client client = right_client();
    struct scram *scram = new_exchange(*state, false, SASL_BINDING_NONE);
    struct span output, none;
    assert_int_equal(scram_step(scram, scram_client_first(&client), &output), SCRAM_MORE);
    struct span last = scram_client_final(&client, output);
    scram_free(scram);
    for (size_t i = 0; i < COUNT(rows) + last.len; i++) {
        scram = new_exchange(*state, false, SASL_BINDING_NONE);
        assert_int_equal(scram_step(scram, scram_client_first(&client), &output), SCRAM_MORE);
        struct span right = scram_client_final(&client, output);
        struct span said = i < COUNT(rows) ? rows[i] : span_first(right, i - COUNT(rows));
        enum scram_result result = scram_step(scram, said, &none);
        if (result != SCRAM_MALFORMED && result != SCRAM_WRONG)
            fail_msg("row %zu: %d", i, result);
        assert_int_equal(none.len, 0);
        scram_free(scram);
    }
    scram_client_end(&client);
}

static void one_flipped_bit_anywhere_is_never_right(void **state)
{
    struct scram_client client = right_client();
    for (size_t at = 0; at < 110; at += 3) {
        struct scram *scram = new_exchange(*state, false, SASL_BINDING_NONE);
        struct span output;
        assert_int_equal(scram_step(scram, scram_client_first(&client), &output), SCRAM_MORE);
        struct span last = scram_client_final(&client, output);
        ((char *)(uintptr_t)last.data)[at % last.len] ^= 1;
        assert_int_not_equal(scram_step(scram, last, &output), SCRAM_RIGHT);
        scram_free(scram);
    }
    scram_client_end(&client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_example_of_rfc_7677_verifies),
        TEST(who_knows_the_password_is_right_and_gets_the_servers_proof),
        TEST(the_user_is_canonical),
        TEST(channel_binding_is_as_the_table_says),
        TEST(the_binding_of_another_connection_is_wrong),
        TEST(a_header_that_changed_on_the_way_is_wrong),
        TEST(a_wrong_password_and_who_can_not_log_in_are_wrong_alike),
        TEST(only_the_user_himself_may_be_the_authzid),
        TEST(a_nonce_that_is_not_the_servers_is_wrong),
        TEST(a_replay_is_wrong),
        TEST(the_salt_of_an_unknown_user_is_always_the_same),
        TEST(a_known_user_is_told_his_own_salt),
        TEST(a_table_that_can_not_be_read_is_temporary),
        TEST(a_first_message_that_is_none_is_malformed),
        TEST(a_last_message_that_is_none_is_never_right),
        TEST(one_flipped_bit_anywhere_is_never_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
