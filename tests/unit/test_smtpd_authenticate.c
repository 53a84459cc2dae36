/*
 * How exchanges reach auth and find back: by number, many at once, over the death of an auth. What
 * an exchange says is test_smtpd_sasl.c's affair.
 */
#include "smtpd_rig.h"

#include "tests/unit/buf_text.h"

#include "smtpd/authenticate.h"

enum { EXCHANGES = 3 };

/* One that waits for auth. */
struct asker {
    struct fixture *fixture;
    struct authentication authentication;
    unsigned code; /* of the last answer; 0: none */
    char user[64];
    bool starts_anew; /* within the answer */
};

struct fixture {
    struct rig *rig;
    struct channel *auth; /* the other end; NULL: it ended */
    struct buf heard;     /* "begin QUERY <octets>;", "continue QUERY <octets>;", "abort QUERY;" */
    uint32_t query;       /* of the last message */
    struct asker askers[EXCHANGES];
    unsigned unlinked; /* how often the worker asked for a new auth */
};

/* ---- auth ---- */

static void write_word(struct fixture *fixture, const char *word, uint32_t query,
                       struct span octets)
{
    fixture->query = query;
    assert_true(buf_text(&fixture->heard, "%s %u <%.*s>;", word, query, SPAN_ARG(octets)));
}

static void on_auth_message(void *arg, struct channel *channel, const struct ipc_type *type,
                            const void *message, struct fd_list *fds)
{
    struct fixture *fixture = arg;
    (void)channel, (void)fds;
    if (type == &ipc_sasl_begin) {
        const struct sasl_begin *begin = message;
        write_word(fixture, "begin", begin->query, begin->initial);
    } else if (type == &ipc_sasl_continue) {
        const struct sasl_continue *more = message;
        write_word(fixture, "continue", more->query, more->response);
    } else {
        assert_ptr_equal(type, &ipc_sasl_abort);
        write_word(fixture, "abort", ((const struct sasl_abort *)message)->query, SPAN(""));
    }
}

static void on_auth_closed(void *arg, struct channel *channel)
{
    struct fixture *fixture = arg;
    if (fixture->auth == channel)
        fixture->auth = NULL;
    channel_free(channel);
}

static void connect_auth(struct fixture *fixture)
{
    int pair[2];
    const struct channel_calls calls = {on_auth_message, on_auth_closed, fixture};
    assert_true(seqpacket_pair(pair, RIG_BUFFER));
    fixture->auth = channel_new(fixture->rig->loop, pair[0], &calls);
    authenticate_connect(&fixture->rig->worker, pair[1]);
}

static void turn(struct fixture *fixture)
{
    for (int i = 0; i < 6; i++)
        loop_turn(fixture->rig->loop, 0);
}

static void say_verdict(struct fixture *fixture, uint32_t query, enum verify_status status,
                        struct span user)
{
    const struct verdict verdict = {.query = query, .status = (uint8_t)status, .user = user};
    assert_true(channel_send(fixture->auth, &ipc_verdict, &verdict, NULL));
    turn(fixture);
}

static void say_challenge(struct fixture *fixture, uint32_t query, struct span data)
{
    const struct sasl_challenge challenge = {.query = query, .data = data};
    assert_true(channel_send(fixture->auth, &ipc_sasl_challenge, &challenge, NULL));
    turn(fixture);
}

/* What auth heard since the last time: this one message. */
static void assert_heard(struct fixture *fixture, const char *word, const char *octets)
{
    char expected[128];
    turn(fixture);
    (void)snprintf(expected, sizeof(expected), "%s %u <%s>;", word, fixture->query, octets);
    if (!span_equal(buf_span(&fixture->heard), span_cstr(expected)))
        print_error("expected: %s\nheard:    %.*s\n", expected,
                    SPAN_ARG(buf_span(&fixture->heard)));
    assert_true(span_equal(buf_span(&fixture->heard), span_cstr(expected)));
    buf_reset(&fixture->heard);
}

/* ---- who asks ---- */

static struct reply start(struct asker *asker, const char *arguments);

static void on_answer(void *arg, struct reply reply, struct span user)
{
    struct asker *asker = arg;
    asker->code = reply.code;
    assert_true(span_to_cstr(user, asker->user, sizeof(asker->user)));
    if (!asker->starts_anew)
        return;
    asker->starts_anew = false;
    assert_int_equal(start(asker, "PLAIN").code, 334);
}

static struct reply start(struct asker *asker, const char *arguments)
{
    const struct authenticate_calls calls = {on_answer, asker};
    const struct sasl_facts facts = {.tls = true, .passwords = true, .client = SPAN("192.0.2.1")};
    asker->code = 0;
    return authenticate_start(&asker->authentication, &asker->fixture->rig->worker, &calls, &facts,
                              span_cstr(arguments));
}

/* "PLAIN" with an initial response that auth will see as "x"; its number. */
static uint32_t begin(struct asker *asker)
{
    assert_true(reply_is_pending(start(asker, "PLAIN eA==")));
    turn(asker->fixture);
    return asker->fixture->query;
}

static void on_unlinked(void *arg, enum role role)
{
    struct fixture *fixture = arg;
    assert_int_equal(role, ROLE_AUTH);
    fixture->unlinked++;
}

/* How many exchanges the worker knows. */
static unsigned known(const struct fixture *fixture)
{
    return HASH_COUNT(fixture->rig->worker.authentications);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    void *rig;
    assert_int_equal(rig_set_up(&rig), 0);
    fixture->rig = rig;
    fixture->rig->worker.role = ROLE_SUBMISSION;
    fixture->rig->worker.unlinked = on_unlinked;
    fixture->rig->worker.unlinked_arg = fixture;
    for (size_t i = 0; i < EXCHANGES; i++)
        fixture->askers[i].fixture = fixture;
    connect_auth(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    void *rig = fixture->rig;
    for (size_t i = 0; i < EXCHANGES; i++)
        authenticate_drop(&fixture->askers[i].authentication);
    assert_int_equal(known(fixture), 0);
    fixture->rig->worker.unlinked = NULL;
    channel_free(fixture->auth);
    buf_free(&fixture->heard);
    mem_free(fixture);
    return rig_tear_down(&rig);
}

/* ---- the tests ---- */

static void verdict_comes_back_with_the_user(void **state)
{
    struct fixture *fixture = *state;
    uint32_t query = begin(&fixture->askers[0]);
    assert_heard(fixture, "begin", "x");
    say_verdict(fixture, query, VERIFY_OK, SPAN("alice@example.test"));
    assert_int_equal(fixture->askers[0].code, 235);
    assert_string_equal(fixture->askers[0].user, "alice@example.test");
    assert_int_equal(known(fixture), 0);
}

static void lines_and_challenges_go_to_and_fro(void **state)
{
    struct fixture *fixture = *state;
    struct asker *asker = &fixture->askers[0];
    assert_true(reply_is_pending(start(asker, "LOGIN")));
    assert_heard(fixture, "begin", "");
    say_challenge(fixture, fixture->query, SPAN("Username:"));
    assert_int_equal(asker->code, 334);
    assert_true(sasl_exchange_wants_line(&asker->authentication.exchange));
    assert_true(reply_is_pending(authenticate_line(&asker->authentication, SPAN("YWxpY2U="))));
    assert_heard(fixture, "continue", "alice");
    say_verdict(fixture, fixture->query, VERIFY_FAILED, SPAN(""));
    assert_int_equal(asker->code, 535);
    assert_string_equal(asker->user, "");
}

static void each_exchange_gets_its_own_answer(void **state)
{
    struct fixture *fixture = *state;
    uint32_t queries[EXCHANGES];
    for (size_t i = 0; i < EXCHANGES; i++)
        queries[i] = begin(&fixture->askers[i]);
    say_verdict(fixture, queries[1], VERIFY_OK, SPAN("bob@example.test"));
    assert_int_equal(fixture->askers[0].code, 0);
    assert_int_equal(fixture->askers[1].code, 235);
    assert_int_equal(fixture->askers[2].code, 0);
    say_verdict(fixture, queries[0], VERIFY_TEMPORARY, SPAN(""));
    say_verdict(fixture, queries[2], VERIFY_FAILED, SPAN(""));
    assert_int_equal(fixture->askers[0].code, 454);
    assert_int_equal(fixture->askers[2].code, 535);
}

static void what_is_refused_at_once_is_not_kept(void **state)
{
    static const struct {
        const char *arguments;
        unsigned code;
    } rows[] = {{"", 501}, {"PLAIN ", 501}, {"CRAM-MD5", 504}, {"PLAIN !", 501}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(start(&fixture->askers[0], rows[i].arguments).code, rows[i].code);
        assert_int_equal(known(fixture), 0);
    }
    turn(fixture);
    assert_int_equal(buf_len(&fixture->heard), 0);
}

static void what_the_client_cancels_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    struct asker *asker = &fixture->askers[0];
    assert_int_equal(start(asker, "PLAIN").code, 334);
    assert_int_equal(known(fixture), 1);
    assert_int_equal(authenticate_line(&asker->authentication, SPAN("*")).code, 501);
    assert_int_equal(known(fixture), 0);
    assert_int_equal(start(asker, "PLAIN").code, 334);
    assert_int_equal(authenticate_line_too_long(&asker->authentication).code, 500);
    assert_int_equal(known(fixture), 0);
}

static void client_that_is_gone_is_not_answered(void **state)
{
    struct fixture *fixture = *state;
    uint32_t query = begin(&fixture->askers[0]);
    buf_reset(&fixture->heard);
    authenticate_drop(&fixture->askers[0].authentication);
    authenticate_drop(&fixture->askers[0].authentication); /* at rest: nothing */
    assert_heard(fixture, "abort", "");
    say_verdict(fixture, query, VERIFY_OK, SPAN("alice@example.test"));
    assert_int_equal(fixture->askers[0].code, 0);
}

/* RFC 4954 §6: 454, and not 535, for the password may be right. */
static void death_of_auth_is_answered_later_to_all(void **state)
{
    struct fixture *fixture = *state;
    (void)begin(&fixture->askers[0]);
    (void)begin(&fixture->askers[1]);
    channel_free(fixture->auth);
    fixture->auth = NULL;
    turn(fixture);
    assert_int_equal(fixture->askers[0].code, 454);
    assert_int_equal(fixture->askers[1].code, 454);
    assert_int_equal(fixture->unlinked, 1);
    assert_int_equal(known(fixture), 0);
    assert_int_equal(start(&fixture->askers[2], "PLAIN eA==").code, 454);
    buf_reset(&fixture->heard);
    connect_auth(fixture);
    (void)begin(&fixture->askers[2]);
    assert_heard(fixture, "begin", "x");
}

static void exchange_that_auth_does_not_know_yet_outlives_it(void **state)
{
    struct fixture *fixture = *state;
    struct asker *asker = &fixture->askers[0];
    assert_int_equal(start(asker, "PLAIN").code, 334);
    connect_auth(fixture);
    turn(fixture);
    assert_int_equal(asker->code, 0);
    assert_true(reply_is_pending(authenticate_line(&asker->authentication, SPAN("eA=="))));
    assert_heard(fixture, "begin", "x");
}

static void successor_of_auth_is_not_asked_for_what_the_old_one_began(void **state)
{
    struct fixture *fixture = *state;
    uint32_t query = begin(&fixture->askers[0]);
    buf_reset(&fixture->heard);
    connect_auth(fixture);
    assert_int_equal(fixture->askers[0].code, 454);
    turn(fixture);
    assert_int_equal(buf_len(&fixture->heard), 0);
    fixture->askers[0].code = 0;
    say_verdict(fixture, query, VERIFY_OK, SPAN("alice@example.test"));
    assert_int_equal(fixture->askers[0].code, 0);
}

static void next_exchange_may_begin_within_the_answer(void **state)
{
    struct fixture *fixture = *state;
    struct asker *asker = &fixture->askers[0];
    asker->starts_anew = true;
    uint32_t query = begin(asker);
    say_verdict(fixture, query, VERIFY_FAILED, SPAN(""));
    assert_int_equal(known(fixture), 1);
    assert_int_not_equal(asker->authentication.query, query);
    assert_true(sasl_exchange_wants_line(&asker->authentication.exchange));
}

static void it_may_also_when_auth_is_lost(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < EXCHANGES; i++) {
        fixture->askers[i].starts_anew = true;
        (void)begin(&fixture->askers[i]);
        fixture->askers[i].starts_anew = true;
    }
    channel_free(fixture->auth);
    fixture->auth = NULL;
    turn(fixture);
    assert_int_equal(known(fixture), EXCHANGES);
    for (size_t i = 0; i < EXCHANGES; i++)
        assert_true(sasl_exchange_wants_line(&fixture->askers[i].authentication.exchange));
}

static void numbers_in_use_and_zero_are_passed_over(void **state)
{
    struct fixture *fixture = *state;
    fixture->rig->worker.last_authentication = 0;
    assert_int_equal(begin(&fixture->askers[0]), 1);
    fixture->rig->worker.last_authentication = UINT32_MAX - 1;
    assert_int_equal(begin(&fixture->askers[1]), UINT32_MAX);
    assert_int_equal(begin(&fixture->askers[2]), 2);
}

static void answers_for_nobody_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint32_t query = begin(&fixture->askers[0]);
    for (uint32_t away = 1; away < 50; away++) {
        say_verdict(fixture, query + away, VERIFY_OK, SPAN("mallory@example.test"));
        say_challenge(fixture, query - away, SPAN("?"));
    }
    assert_int_equal(fixture->askers[0].code, 0);
    say_verdict(fixture, query, VERIFY_OK, SPAN("alice@example.test"));
    say_verdict(fixture, query, VERIFY_FAILED, SPAN(""));
    assert_int_equal(fixture->askers[0].code, 235);
}

/* Nor does a word of somebody else's, though its number is right. */
static void words_of_another_role_are_not_obeyed(void **state)
{
    struct fixture *fixture = *state;
    uint32_t query = begin(&fixture->askers[0]);
    const struct resolved resolved = {.query = query};
    log_setup("test", LOG_LOGFMT, LOG_ERROR);
    assert_true(channel_send(fixture->auth, &ipc_resolved, &resolved, NULL));
    turn(fixture);
    assert_int_equal(fixture->askers[0].code, 0);
    assert_int_equal(known(fixture), 1);
}

static void auth_that_does_not_read_is_none(void **state)
{
    struct fixture *fixture = *state;
    const struct sasl_abort nothing = {.query = 1};
    int pair[2];
    assert_true(seqpacket_pair(pair, 65536));
    authenticate_connect(&fixture->rig->worker, pair[1]);
    for (int i = 0; i < 2; i++) {
        while (authenticate_send(&fixture->rig->worker, &ipc_sasl_abort, &nothing))
            ;
        loop_turn(fixture->rig->loop, 0);
    }
    while (authenticate_send(&fixture->rig->worker, &ipc_sasl_abort, &nothing))
        ;
    assert_int_equal(start(&fixture->askers[0], "PLAIN eA==").code, 454);
    assert_int_equal(known(fixture), 0);
    (void)close(pair[0]);
}

int main(void)
{
#define AUTH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        AUTH_TEST(verdict_comes_back_with_the_user),
        AUTH_TEST(lines_and_challenges_go_to_and_fro),
        AUTH_TEST(each_exchange_gets_its_own_answer),
        AUTH_TEST(what_is_refused_at_once_is_not_kept),
        AUTH_TEST(what_the_client_cancels_is_not_kept),
        AUTH_TEST(client_that_is_gone_is_not_answered),
        AUTH_TEST(death_of_auth_is_answered_later_to_all),
        AUTH_TEST(exchange_that_auth_does_not_know_yet_outlives_it),
        AUTH_TEST(successor_of_auth_is_not_asked_for_what_the_old_one_began),
        AUTH_TEST(next_exchange_may_begin_within_the_answer),
        AUTH_TEST(it_may_also_when_auth_is_lost),
        AUTH_TEST(numbers_in_use_and_zero_are_passed_over),
        AUTH_TEST(answers_for_nobody_change_nothing),
        AUTH_TEST(words_of_another_role_are_not_obeyed),
        AUTH_TEST(auth_that_does_not_read_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
