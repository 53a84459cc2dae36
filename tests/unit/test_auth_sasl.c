/* Exchanges of AUTH over a real table, with attempts, delays and deadlines in one loop. */
#include "scram_rig.h"

#include "table_rig.h"

#include <crypt.h>

#include "auth/plain.h"
#include "auth/sasl.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { HEARD = 8192, TURNS = 1000, TURN_MS = 10, THREADS = 2, DEADLINE_MS = 60000 };

/* What came back: a challenge, or a verdict. */
struct heard {
    void *peer;
    uint32_t query;
    bool is_verdict;
    enum verify_status status;
    char text[256]; /* the challenge, or the canonical user */
};

struct fixture {
    struct table_rig rig;
    struct conf *conf;
    struct loop *loop;
    struct attempts *attempts;
    struct hasher *hasher;
    struct sasl *sasl;
    struct arena arena;
    struct heard *heard;
    size_t count;
};

static struct fixture *current;

static struct heard *hear(void *peer, uint32_t query, struct span text)
{
    assert_true(current->count < HEARD);
    struct heard *heard = &current->heard[current->count++];
    *heard = (struct heard){.peer = peer, .query = query};
    assert_true(text.len < sizeof(heard->text));
    if (text.len > 0)
        memcpy(heard->text, text.data, text.len);
    return heard;
}

static void on_challenge(void *peer, const struct sasl_challenge *challenge)
{
    (void)hear(peer, challenge->query, challenge->data);
}

static void on_verdict(void *peer, const struct attempt_answer *answer)
{
    struct heard *heard = hear(peer, answer->query, answer->user);
    assert_true(span_equal(answer->client, SPAN("192.0.2.1")) ||
                span_has_prefix(answer->client, SPAN("2001:db8::")));
    assert_int_equal(answer->session, 22);
    heard->is_verdict = true;
    heard->status = answer->status;
}

/* alice has both forms, oldhand the hash alone. */
static void write_table(struct fixture *fixture)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *scratch = mem_new(sizeof(*scratch));
    assert_non_null(crypt_gensalt_rn("$y$", 1, NULL, 0, setting, sizeof(setting)));
    const char *hash = crypt_rn("pencil", setting, scratch, (int)sizeof(*scratch));
    assert_non_null(hash);
    struct credentials credentials = {
        .crypt = span_cstr(hash),
        .has_scram = true,
        .scram = scram_rig_keys(&fixture->arena, "pencil", SPAN("0123456789abcdef"), 4096)};
    struct span alice = credentials_text(&fixture->arena, &credentials);
    table_rig_write(&fixture->rig, "passwords",
                    arena_printf(&fixture->arena,
                                 "alice@example.test: %s\noldhand@example.test: %s\n", alice.data,
                                 hash)
                        .data);
    mem_free(scratch);
}

static void make_sasl(struct fixture *fixture, int64_t deadline_ms, uint64_t delay)
{
    struct table *passwords = table_open("db", table_rig_path(&fixture->rig, "passwords"));
    fixture->hasher = hasher_new(fixture->loop);
    fixture->attempts = attempts_new(&(struct attempts_parts){.loop = fixture->loop,
                                                              .conf = fixture->conf,
                                                              .hasher = fixture->hasher,
                                                              .recent = recent_new(),
                                                              .delays = delays_new(delay, delay),
                                                              .passwords = passwords,
                                                              .answer = asker_answer});
    fixture->sasl = sasl_new(
        &(struct sasl_parts){.loop = fixture->loop,
                             .conf = fixture->conf,
                             .attempts = fixture->attempts,
                             .scram = scram_server_new(fixture->conf, passwords, SPAN("a key")),
                             .deadline_ms = deadline_ms,
                             .challenge = on_challenge,
                             .verdict = on_verdict});
    hasher_start(fixture->hasher, THREADS);
}

static int set_up_with(void **state, int64_t deadline_ms, uint64_t delay)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    current = fixture;
    fixture->heard = mem_array(HEARD, sizeof(*fixture->heard));
    table_rig_begin(&fixture->rig, "");
    write_table(fixture);
    fixture->conf = table_rig_conf(&fixture->rig);
    fixture->loop = loop_new();
    make_sasl(fixture, deadline_ms, delay);
    *state = fixture;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, DEADLINE_MS, 0);
}

static int set_up_with_a_delay(void **state)
{
    return set_up_with(state, DEADLINE_MS, 1);
}

static int set_up_with_a_short_deadline(void **state)
{
    return set_up_with(state, 1, 0);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    sasl_free(fixture->sasl);
    attempts_free(fixture->attempts);
    loop_free(fixture->loop);
    conf_free(fixture->conf);
    table_rig_end(&fixture->rig);
    arena_free(&fixture->arena);
    mem_free(fixture->heard);
    mem_free(fixture);
    return 0;
}

static void begin(struct fixture *fixture, uint32_t query, enum sasl_mechanism mechanism,
                  const struct span *initial)
{
    sasl_start(fixture->sasl, fixture,
               &(struct sasl_begin){.query = query,
                                    .mechanism = (uint8_t)mechanism,
                                    .has_initial = initial != NULL,
                                    .initial = initial ? *initial : SPAN(""),
                                    .client = SPAN("192.0.2.1"),
                                    .session = 22,
                                    .binding = SPAN("")});
}

static void respond(struct fixture *fixture, uint32_t query, struct span response)
{
    sasl_respond(fixture->sasl, fixture,
                 &(struct sasl_continue){.query = query, .response = response});
}

/* The next one that comes, after those heard already. */
static const struct heard *next(struct fixture *fixture, size_t before)
{
    for (int i = 0; i < TURNS && fixture->count <= before; i++)
        loop_turn(fixture->loop, TURN_MS);
    assert_true(fixture->count > before);
    return &fixture->heard[before];
}

static void assert_challenge(const struct heard *heard, const char *text)
{
    assert_false(heard->is_verdict);
    assert_string_equal(heard->text, text);
}

static void assert_verdict(const struct heard *heard, enum verify_status status)
{
    assert_true(heard->is_verdict);
    assert_int_equal(heard->status, status);
}

static struct scram_client scram_client(const char *user, const char *password)
{
    return (struct scram_client){.password = password,
                                 .gs2_header = "n,,",
                                 .binding = SPAN(""),
                                 .user = user,
                                 .nonce = "nonce"};
}

/* Up to the proof. */
static void prove(struct fixture *fixture, uint32_t query, struct scram_client *client)
{
    size_t before = fixture->count;
    struct span hello = scram_client_first(client);
    begin(fixture, query, SASL_SCRAM_SHA_256, &hello);
    struct span last = scram_client_final(client, span_cstr(next(fixture, before)->text));
    respond(fixture, query, last);
}

/* ---- PLAIN, RFC 4616 ---- */

static void a_plain_message_is_cut_at_its_two_nuls(void **state)
{
    (void)state;
    struct plain plain;
    assert_true(plain_parse(SPAN("a\0b\0c"), &plain));
    assert_true(span_equal(plain.authzid, SPAN("a")) && span_equal(plain.authcid, SPAN("b")) &&
                span_equal(plain.password, SPAN("c")));
    assert_true(plain_parse(SPAN("\0b\0c d"), &plain));
    assert_int_equal(plain.authzid.len, 0);
}

static void each_plain_message_has_its_verdict(void **state)
{
    static const struct {
        struct span message;
        enum verify_status status;
    } rows[] = {
        {SPAN_INIT("\0alice\0pencil"), VERIFY_OK},
        {SPAN_INIT("alice\0alice\0pencil"), VERIFY_OK},
        {SPAN_INIT("alice@example.test\0Alice\0pencil"), VERIFY_OK},
        {SPAN_INIT("\0oldhand\0pencil"), VERIFY_OK},
        {SPAN_INIT("bob\0alice\0pencil"), VERIFY_FAILED},
        {SPAN_INIT("alice@second.test\0alice\0pencil"), VERIFY_FAILED},
        {SPAN_INIT("\0alice\0Pencil"), VERIFY_FAILED},
        {SPAN_INIT("\0alice\0pencil "), VERIFY_FAILED},
        {SPAN_INIT("\0nobody\0pencil"), VERIFY_FAILED},
        {SPAN_INIT(""), VERIFY_MALFORMED},
        {SPAN_INIT("alice"), VERIFY_MALFORMED},
        {SPAN_INIT("\0"), VERIFY_MALFORMED},
        {SPAN_INIT("\0\0"), VERIFY_MALFORMED},
        {SPAN_INIT("\0\0\0"), VERIFY_MALFORMED},
        {SPAN_INIT("alice\0pencil"), VERIFY_MALFORMED},
        {SPAN_INIT("\0alice\0"), VERIFY_MALFORMED},
        {SPAN_INIT("\0\0pencil"), VERIFY_MALFORMED},
        {SPAN_INIT("\0alice\0pencil\0"), VERIFY_MALFORMED},
        {SPAN_INIT("\0alice\0pencil\0more"), VERIFY_MALFORMED},
        {SPAN_INIT("\0\0alice\0pencil"), VERIFY_MALFORMED},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t before = fixture->count;
        begin(fixture, 1, SASL_PLAIN, &rows[i].message);
        const struct heard *heard = next(fixture, before);
        if (!heard->is_verdict || heard->status != rows[i].status)
            fail_msg("row %zu: %d", i, heard->status);
        assert_false(sasl_pending(fixture->sasl));
    }
}

static void plain_without_an_initial_response_is_prompted(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1, SASL_PLAIN, NULL);
    assert_challenge(next(fixture, 0), "");
    respond(fixture, 1, SPAN("\0alice\0pencil"));
    assert_verdict(next(fixture, 1), VERIFY_OK);
    assert_string_equal(fixture->heard[1].text, "alice@example.test");
}

/* ---- LOGIN ---- */

static void login_asks_for_the_user_and_then_the_password(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1, SASL_LOGIN, NULL);
    assert_challenge(next(fixture, 0), "Username:");
    respond(fixture, 1, SPAN("alice"));
    assert_challenge(next(fixture, 1), "Password:");
    respond(fixture, 1, SPAN("pencil"));
    assert_verdict(next(fixture, 2), VERIFY_OK);
}

static void each_login_has_its_verdict(void **state)
{
    static const struct {
        struct span user, password;
        enum verify_status status;
    } rows[] = {
        {SPAN_INIT("oldhand"), SPAN_INIT("pencil"), VERIFY_OK},
        {SPAN_INIT("alice"), SPAN_INIT("wrong"), VERIFY_FAILED},
        {SPAN_INIT("nobody"), SPAN_INIT("pencil"), VERIFY_FAILED},
        {SPAN_INIT("alice\0"), SPAN_INIT("pencil"), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT("pencil\0"), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT(""), VERIFY_MALFORMED},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t before = fixture->count;
        begin(fixture, 1, SASL_LOGIN, &rows[i].user);
        assert_challenge(next(fixture, before), "Password:");
        respond(fixture, 1, rows[i].password);
        const struct heard *heard = next(fixture, before + 1);
        if (!heard->is_verdict || heard->status != rows[i].status)
            fail_msg("row %zu: %d", i, heard->status);
    }
    size_t before = fixture->count;
    begin(fixture, 1, SASL_LOGIN, &SPAN(""));
    assert_verdict(next(fixture, before), VERIFY_MALFORMED);
}

/* ---- SCRAM ---- */

static void a_right_proof_is_answered_with_ours_and_then_the_verdict(void **state)
{
    struct fixture *fixture = *state;
    struct scram_client client = scram_client("alice", "pencil");
    prove(fixture, 1, &client);
    assert_true(scram_client_accepts(&client, span_cstr(next(fixture, 1)->text)));
    assert_false(fixture->heard[1].is_verdict);
    respond(fixture, 1, SPAN(""));
    assert_verdict(next(fixture, 2), VERIFY_OK);
    assert_string_equal(fixture->heard[2].text, "alice@example.test");
    assert_false(sasl_pending(fixture->sasl));
    scram_client_end(&client);
}

static void words_behind_our_proof_are_malformed(void **state)
{
    struct fixture *fixture = *state;
    struct scram_client client = scram_client("alice", "pencil");
    prove(fixture, 1, &client);
    (void)next(fixture, 1);
    respond(fixture, 1, SPAN("more"));
    assert_verdict(next(fixture, 2), VERIFY_MALFORMED);
    scram_client_end(&client);
}

static void a_wrong_proof_gets_a_verdict_and_nothing_of_ours(void **state)
{
    static const char *const users[] = {"alice", "nobody", "oldhand"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(users); i++) {
        struct scram_client client = scram_client(users[i], i == 0 ? "wrong" : "pencil");
        size_t before = fixture->count;
        prove(fixture, 1, &client);
        assert_verdict(next(fixture, before + 1), VERIFY_FAILED);
        scram_client_end(&client);
    }
}

static void a_refused_binding_and_nonsense_end_it_at_once(void **state)
{
    static const struct span hellos[] = {SPAN_INIT("p=tls-unique,,n=alice,r=nonce"),
                                         SPAN_INIT("nonsense"), SPAN_INIT("")};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(hellos); i++) {
        begin(fixture, 1, SASL_SCRAM_SHA_256, &hellos[i]);
        assert_verdict(next(fixture, i), i == 0 ? VERIFY_FAILED : VERIFY_MALFORMED);
    }
    assert_false(sasl_pending(fixture->sasl));
}

static void a_table_that_can_not_be_read_is_temporary_for_each_mechanism(void **state)
{
    static const struct {
        enum sasl_mechanism mechanism;
        struct span initial;
    } rows[] = {{SASL_PLAIN, SPAN_INIT("\0alice\0pencil")},
                {SASL_SCRAM_SHA_256, SPAN_INIT("n,,n=alice,r=nonce")}};
    struct fixture *fixture = *state;
    table_rig_damage(&fixture->rig, "passwords", DAMAGE_CORRUPT);
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin(fixture, 1, rows[i].mechanism, &rows[i].initial);
        assert_verdict(next(fixture, i), VERIFY_TEMPORARY);
    }
}

/* ---- guessing ---- */

/* A wrong proof holds up the right one behind it, as it would a password. */
static void a_wrong_proof_delays_the_next_attempt_of_its_account(void **state)
{
    struct fixture *fixture = *state;
    struct scram_client wrong = scram_client("alice", "wrong");
    struct scram_client right = scram_client("alice", "pencil");
    loop_turn(fixture->loop, 0);
    int64_t began = loop_now(fixture->loop);
    prove(fixture, 1, &wrong);
    prove(fixture, 2, &right);
    assert_int_equal(fixture->count, 2); /* both were asked for their proof, nothing else */
    assert_verdict(next(fixture, 2), VERIFY_FAILED);
    assert_int_equal(fixture->heard[2].query, 1);
    assert_true(loop_now(fixture->loop) - began >= 1000);
    assert_false(next(fixture, 3)->is_verdict);
    assert_int_equal(fixture->heard[3].query, 2);
    scram_client_end(&wrong);
    scram_client_end(&right);
}

static void another_account_is_not_held_up(void **state)
{
    struct fixture *fixture = *state;
    struct scram_client wrong = scram_client("alice", "wrong");
    prove(fixture, 1, &wrong);
    begin(fixture, 2, SASL_PLAIN, &SPAN("\0oldhand\0pencil"));
    assert_verdict(next(fixture, 1), VERIFY_OK);
    assert_int_equal(fixture->heard[1].query, 2);
    scram_client_end(&wrong);
}

static void cancelling_does_not_escape_the_delay(void **state)
{
    struct fixture *fixture = *state;
    struct scram_client wrong = scram_client("alice", "wrong");
    prove(fixture, 1, &wrong);
    sasl_cancel(fixture->sasl, fixture, 1);
    assert_false(sasl_pending(fixture->sasl));
    assert_true(attempts_pending(fixture->attempts));
    loop_turn(fixture->loop, 0);
    int64_t began = loop_now(fixture->loop);
    begin(fixture, 2, SASL_PLAIN, &SPAN("\0alice\0pencil"));
    assert_verdict(next(fixture, 1), VERIFY_OK);
    assert_int_equal(fixture->heard[1].query, 2);
    assert_true(loop_now(fixture->loop) - began >= 900);
    scram_client_end(&wrong);
}

/* ---- bounds and ends ---- */

static void one_client_may_have_so_many_exchanges_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < SASL_CLIENT_MOST; i++)
        begin(fixture, i, SASL_LOGIN, NULL);
    for (size_t i = 0; i < SASL_CLIENT_MOST; i++)
        assert_false(fixture->heard[i].is_verdict);
    begin(fixture, SASL_CLIENT_MOST, SASL_LOGIN, NULL);
    assert_verdict(next(fixture, SASL_CLIENT_MOST), VERIFY_TEMPORARY);
    sasl_cancel(fixture->sasl, fixture, 0);
    begin(fixture, SASL_CLIENT_MOST, SASL_LOGIN, NULL);
    assert_false(next(fixture, SASL_CLIENT_MOST + 1)->is_verdict);
}

static void one_ipv6_network_is_one_client(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i <= SASL_CLIENT_MOST; i++)
        sasl_start(fixture->sasl, fixture,
                   &(struct sasl_begin){.query = i,
                                        .mechanism = SASL_LOGIN,
                                        .client = arena_printf(&fixture->arena, "2001:db8::%x", i),
                                        .session = 22});
    assert_verdict(&fixture->heard[SASL_CLIENT_MOST], VERIFY_TEMPORARY);
}

/* One that asks for the user's name, from somebody else each time. */
static void begin_elsewhere(struct fixture *fixture, uint32_t query)
{
    struct span client = arena_printf(&fixture->arena, "2001:db8:0:%x::1", query);
    sasl_start(fixture->sasl, fixture,
               &(struct sasl_begin){
                   .query = query, .mechanism = SASL_LOGIN, .client = client, .session = 22});
}

static void those_who_never_answer_keep_nobody_out(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 0, SASL_LOGIN, NULL);
    for (uint32_t query = 1; query < SASL_MOST; query++)
        begin_elsewhere(fixture, query);
    assert_int_equal(fixture->count, SASL_MOST);
    begin_elsewhere(fixture, SASL_MOST);
    /* Who waited longest is sent away, and the newcomer asked. */
    assert_verdict(next(fixture, SASL_MOST), VERIFY_TEMPORARY);
    assert_int_equal(fixture->heard[SASL_MOST].query, 0);
    assert_false(next(fixture, SASL_MOST + 1)->is_verdict);
    assert_int_equal(fixture->heard[SASL_MOST + 1].query, SASL_MOST);
}

static void a_client_that_does_not_answer_loses_its_exchange(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1, SASL_LOGIN, NULL);
    assert_verdict(next(fixture, 1), VERIFY_TEMPORARY);
    assert_false(sasl_pending(fixture->sasl));
    respond(fixture, 1, SPAN("alice"));
    assert_int_equal(fixture->count, 2);
}

static void the_exchanges_of_a_peer_that_is_gone_vanish_and_no_others(void **state)
{
    struct fixture *fixture = *state;
    int other;
    begin(fixture, 1, SASL_LOGIN, NULL);
    begin(fixture, 2, SASL_PLAIN, &SPAN("\0alice\0pencil"));
    sasl_start(
        fixture->sasl, &other,
        &(struct sasl_begin){
            .query = 1, .mechanism = SASL_LOGIN, .client = SPAN("192.0.2.1"), .session = 22});
    size_t before = fixture->count;
    sasl_forget(fixture->sasl, fixture);
    while (attempts_pending(fixture->attempts))
        loop_turn(fixture->loop, TURN_MS);
    assert_int_equal(fixture->count, before);
    sasl_respond(fixture->sasl, &other,
                 &(struct sasl_continue){.query = 1, .response = SPAN("alice")});
    assert_challenge(next(fixture, before), "Password:");
    assert_ptr_equal(fixture->heard[before].peer, &other);
}

static void messages_out_of_order_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    respond(fixture, 1, SPAN("alice"));
    sasl_cancel(fixture->sasl, fixture, 1);
    assert_int_equal(fixture->count, 0);
    begin(fixture, 1, SASL_LOGIN, &SPAN("alice"));
    begin(fixture, 1, SASL_LOGIN, NULL); /* the number is taken */
    assert_int_equal(fixture->count, 1);
    respond(fixture, 1, SPAN("pencil"));
    respond(fixture, 1, SPAN("too early")); /* the attempt is under way */
    assert_verdict(next(fixture, 1), VERIFY_OK);
    assert_int_equal(fixture->count, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SLOW(name) cmocka_unit_test_setup_teardown(name, set_up_with_a_delay, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_message_is_cut_at_its_two_nuls),
        TEST(each_plain_message_has_its_verdict),
        TEST(plain_without_an_initial_response_is_prompted),
        TEST(login_asks_for_the_user_and_then_the_password),
        TEST(each_login_has_its_verdict),
        TEST(a_right_proof_is_answered_with_ours_and_then_the_verdict),
        TEST(words_behind_our_proof_are_malformed),
        TEST(a_wrong_proof_gets_a_verdict_and_nothing_of_ours),
        TEST(a_refused_binding_and_nonsense_end_it_at_once),
        TEST(a_table_that_can_not_be_read_is_temporary_for_each_mechanism),
        SLOW(a_wrong_proof_delays_the_next_attempt_of_its_account),
        SLOW(another_account_is_not_held_up),
        SLOW(cancelling_does_not_escape_the_delay),
        TEST(one_client_may_have_so_many_exchanges_and_no_more),
        TEST(one_ipv6_network_is_one_client),
        TEST(those_who_never_answer_keep_nobody_out),
        cmocka_unit_test_setup_teardown(a_client_that_does_not_answer_loses_its_exchange,
                                        set_up_with_a_short_deadline, tear_down),
        TEST(the_exchanges_of_a_peer_that_is_gone_vanish_and_no_others),
        TEST(messages_out_of_order_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
