/*
 * The daemon in its sandbox: what pop3d asks and hears, over a real table and with the tickets that
 * mailbox checks.
 */
#include "table_rig.h"

#include <crypt.h>
#include <stdio.h>
#include <unistd.h>

#include "auth/auth.h"
#include "daemon_rig.h"
#include "scram_rig.h"
#include "util/base/clock.h"
#include "util/ipc/ticket.h"

enum { SESSION = 4711 };

struct fixture {
    struct table_rig tables;
    struct daemon_rig daemon;
    int peer;
};

static void write_password(struct fixture *fixture, const char *password)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE], text[CRYPT_OUTPUT_SIZE + 256];
    struct crypt_data *scratch = mem_new(sizeof(*scratch));
    assert_non_null(crypt_gensalt_rn("$y$", 1, NULL, 0, setting, sizeof(setting)));
    const char *hash = crypt_rn(password, setting, scratch, (int)sizeof(*scratch));
    assert_non_null(hash);
    struct arena arena = {0};
    struct scram_keys keys = scram_rig_keys(&arena, password, SPAN("0123456789abcdef"), 4096);
    struct credentials credentials = {.crypt = span_cstr(hash), .has_scram = true, .scram = keys};
    (void)snprintf(text, sizeof(text), "alice@example.test: %s\n",
                   credentials_text(&arena, &credentials).data);
    arena_free(&arena);
    mem_free(scratch);
    table_rig_write(&fixture->tables, "passwords", text);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    table_rig_begin(&fixture->tables, "limits { auth_delay_first = 1 auth_delay_most = 1 }\n");
    write_password(fixture, "secret");
    daemon_rig_begin(&fixture->daemon, &auth_calls, fixture->tables.text);
    fixture->peer = daemon_rig_peer(&fixture->daemon, ROLE_POP3D);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)close(fixture->peer);
    daemon_rig_end(&fixture->daemon);
    table_rig_end(&fixture->tables);
    mem_free(fixture);
    return 0;
}

static void ask(int peer, uint32_t query, const char *user, const char *password)
{
    const struct verify question = {.query = query,
                                    .user = span_cstr(user),
                                    .password = span_cstr(password),
                                    .client = SPAN("192.0.2.1"),
                                    .session = SESSION};
    daemon_rig_send(peer, &ipc_verify, &question);
}

static struct verdict heard(struct fixture *fixture, int peer)
{
    struct verdict verdict;
    daemon_rig_receive(&fixture->daemon, peer, &ipc_verdict, &verdict);
    return verdict;
}

static struct verdict verdict_on(struct fixture *fixture, const char *user, const char *password)
{
    ask(fixture->peer, 7, user, password);
    struct verdict verdict = heard(fixture, fixture->peer);
    assert_int_equal(verdict.query, 7);
    return verdict;
}

static void a_right_password_brings_a_ticket_that_is_accepted(void **state)
{
    struct verdict verdict = verdict_on(*state, "Alice", "secret");
    assert_int_equal(verdict.status, VERIFY_OK);
    assert_true(span_equal(verdict.user, SPAN("alice@example.test")));
    assert_int_equal(verdict.ticket.len, TICKET_SIZE);
    assert_true(ticket_check(DAEMON_RIG_KEY, verdict.user, SESSION, clock_wall(), verdict.ticket));
}

static void a_ticket_is_for_its_user_and_session_and_not_for_ever(void **state)
{
    struct verdict verdict = verdict_on(*state, "alice", "secret");
    struct span ticket = verdict.ticket;
    assert_false(ticket_check(DAEMON_RIG_KEY, verdict.user, SESSION + 1, clock_wall(), ticket));
    assert_false(
        ticket_check(DAEMON_RIG_KEY, SPAN("bob@example.test"), SESSION, clock_wall(), ticket));
    assert_false(ticket_check(DAEMON_RIG_KEY, verdict.user, SESSION, clock_wall() + 3600, ticket));
}

/* The user is told as auth understands it, in both alike. */
static void a_wrong_password_and_an_unknown_user_bring_the_same_answer(void **state)
{
    static const char *const users[] = {"alice", "nobody"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        struct verdict verdict = verdict_on(fixture, users[i], "wrong");
        assert_int_equal(verdict.status, VERIFY_FAILED);
        assert_int_equal(verdict.ticket.len, 0);
        assert_true(span_has_suffix(verdict.user, SPAN("@example.test")));
    }
    assert_int_equal(page_get(fixture->daemon.page, PAGE_LOGIN_FAILURES), 2);
    assert_int_equal(page_get(fixture->daemon.page, PAGE_LOGINS), 0);
}

static void a_table_that_can_not_be_read_is_temporary_without_a_ticket(void **state)
{
    struct fixture *fixture = *state;
    for (int damage = 0; damage < DAMAGE_COUNT; damage++) {
        table_rig_damage(&fixture->tables, "passwords", (enum table_damage)damage);
        assert_int_equal(verdict_on(fixture, "nobody", "secret").status, VERIFY_TEMPORARY);
        struct verdict verdict = verdict_on(fixture, "alice", "secret");
        assert_int_equal(verdict.status, VERIFY_TEMPORARY);
        assert_int_equal(verdict.ticket.len, 0);
        write_password(fixture, "secret");
    }
    assert_int_equal(verdict_on(fixture, "alice", "secret").status, VERIFY_OK);
}

static void a_changed_password_counts_at_once(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(verdict_on(fixture, "alice", "secret").status, VERIFY_OK);
    write_password(fixture, "another");
    assert_int_equal(verdict_on(fixture, "alice", "another").status, VERIFY_OK);
    assert_int_equal(verdict_on(fixture, "alice", "secret").status, VERIFY_FAILED);
}

static void a_failure_holds_up_no_other_question_of_the_same_peer(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture->peer, 1, "nobody", "wrong");
    ask(fixture->peer, 2, "alice", "secret");
    struct verdict first = heard(fixture, fixture->peer);
    assert_int_equal(first.query, 2);
    assert_int_equal(first.status, VERIFY_OK);
    struct verdict second = heard(fixture, fixture->peer);
    assert_int_equal(second.query, 1);
    assert_int_equal(second.status, VERIFY_FAILED);
}

static void a_peer_that_is_gone_amid_its_questions_harms_nobody(void **state)
{
    struct fixture *fixture = *state;
    int other = daemon_rig_peer(&fixture->daemon, ROLE_POP3D);
    for (uint32_t i = 0; i < 8; i++)
        ask(other, i, "alice", i % 2 == 0 ? "secret" : "wrong");
    (void)close(other);
    assert_int_equal(verdict_on(fixture, "alice", "secret").status, VERIFY_OK);
}

static void nonsense_ends_one_peer_and_no_other(void **state)
{
    struct fixture *fixture = *state;
    int other = daemon_rig_peer(&fixture->daemon, ROLE_POP3D);
    assert_int_equal(seqpacket_send(other, "nonsense", 8, NULL, 0), 0);
    assert_true(daemon_rig_is_hung_up(other));
    (void)close(other);
    daemon_rig_send(fixture->peer, &ipc_agent_credit, &(struct agent_credit){.jobs = 1});
    assert_int_equal(verdict_on(fixture, "alice", "secret").status, VERIFY_OK);
}

static void a_drain_gives_the_answers_that_are_owed(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture->peer, 3, "alice", "secret");
    assert_int_equal(heard(fixture, fixture->peer).status, VERIFY_OK);
    ask(fixture->peer, 4, "alice", "wrong");
    ask(fixture->peer, 5, "alice", "secret");
    assert_int_equal(heard(fixture, fixture->peer).query, 5); /* so 4 has begun */
    assert_int_equal(daemon_rig_drain(&fixture->daemon), 0);
    struct verdict owed = heard(fixture, fixture->peer);
    assert_int_equal(owed.query, 4);
    assert_int_equal(owed.status, VERIFY_FAILED);
    assert_true(daemon_rig_is_hung_up(fixture->peer));
}

/* ---- SASL, in the sandbox ---- */

static void begin(int peer, uint32_t query, enum sasl_mechanism mechanism, struct span initial)
{
    const struct sasl_begin begin = {.query = query,
                                     .mechanism = (uint8_t)mechanism,
                                     .has_initial = 1,
                                     .initial = initial,
                                     .client = SPAN("192.0.2.1"),
                                     .session = SESSION,
                                     .binding_kind = SASL_BINDING_TLS_EXPORTER,
                                     .binding = SPAN("binding")};
    daemon_rig_send(peer, &ipc_sasl_begin, &begin);
}

static void respond(int peer, uint32_t query, struct span response)
{
    const struct sasl_continue more = {.query = query, .response = response};
    daemon_rig_send(peer, &ipc_sasl_continue, &more);
}

static struct span challenge(struct fixture *fixture, int peer)
{
    struct sasl_challenge challenge;
    daemon_rig_receive(&fixture->daemon, peer, &ipc_sasl_challenge, &challenge);
    return challenge.data;
}

/* submission gets no ticket: it opens no mailbox. */
static void scram_plus_ends_in_a_verdict_without_a_ticket_for_submission(void **state)
{
    struct fixture *fixture = *state;
    int peer = daemon_rig_peer(&fixture->daemon, ROLE_SUBMISSION);
    struct scram_client client = {.password = "secret",
                                  .gs2_header = "p=tls-exporter,,",
                                  .binding = SPAN("binding"),
                                  .user = "alice",
                                  .nonce = "nonce"};
    begin(peer, 3, SASL_SCRAM_SHA_256_PLUS, scram_client_first(&client));
    respond(peer, 3, scram_client_final(&client, challenge(fixture, peer)));
    assert_true(scram_client_accepts(&client, challenge(fixture, peer)));
    respond(peer, 3, SPAN(""));
    struct verdict verdict = heard(fixture, peer);
    assert_int_equal(verdict.query, 3);
    assert_int_equal(verdict.status, VERIFY_OK);
    assert_true(span_equal(verdict.user, SPAN("alice@example.test")));
    assert_int_equal(verdict.ticket.len, 0);
    assert_int_equal(page_get(fixture->daemon.page, PAGE_LOGINS), 1);
    scram_client_end(&client);
    (void)close(peer);
}

/* Names beyond ASCII load nothing that the sandbox would forbid. */
static void any_name_and_any_nonsense_is_answered_in_the_sandbox(void **state)
{
    static const struct span hellos[] = {
        SPAN_INIT("n,,n=\xc3\xa4lice,r=nonce"), SPAN_INIT("n,,n=\xc2\xaa,r=nonce"),
        SPAN_INIT("n,,n=nobody,r=nonce"), SPAN_INIT("n,,n=\xd8\xa7\xd8\xa8,r=nonce")};
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 4; i++) {
        begin(fixture->peer, i, SASL_SCRAM_SHA_256, hellos[i]);
        assert_true(span_has_prefix(challenge(fixture, fixture->peer), SPAN("r=nonce")));
        respond(fixture->peer, i, SPAN("nonsense"));
        assert_int_equal(heard(fixture, fixture->peer).status, VERIFY_MALFORMED);
    }
    begin(fixture->peer, 9, SASL_SCRAM_SHA_256, SPAN("y,,n=alice,r=nonce"));
    assert_int_equal(heard(fixture, fixture->peer).status, VERIFY_FAILED);
}

static void plain_brings_a_verdict_and_an_abort_brings_none(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture->peer, 1, SASL_LOGIN, SPAN("alice"));
    assert_true(span_equal(challenge(fixture, fixture->peer), SPAN("Password:")));
    daemon_rig_send(fixture->peer, &ipc_sasl_abort, &(struct sasl_abort){.query = 1});
    respond(fixture->peer, 1, SPAN("secret"));
    begin(fixture->peer, 2, SASL_PLAIN, SPAN("\0alice\0secret"));
    struct verdict verdict = heard(fixture, fixture->peer);
    assert_int_equal(verdict.query, 2);
    assert_int_equal(verdict.status, VERIFY_OK);
    assert_int_equal(verdict.ticket.len, TICKET_SIZE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_right_password_brings_a_ticket_that_is_accepted),
        TEST(a_ticket_is_for_its_user_and_session_and_not_for_ever),
        TEST(a_wrong_password_and_an_unknown_user_bring_the_same_answer),
        TEST(a_table_that_can_not_be_read_is_temporary_without_a_ticket),
        TEST(a_changed_password_counts_at_once),
        TEST(a_failure_holds_up_no_other_question_of_the_same_peer),
        TEST(a_peer_that_is_gone_amid_its_questions_harms_nobody),
        TEST(nonsense_ends_one_peer_and_no_other),
        TEST(a_drain_gives_the_answers_that_are_owed),
        TEST(scram_plus_ends_in_a_verdict_without_a_ticket_for_submission),
        TEST(any_name_and_any_nonsense_is_answered_in_the_sandbox),
        TEST(plain_brings_a_verdict_and_an_abort_brings_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
