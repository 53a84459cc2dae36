/*
 * A client that leaves while auth holds its answer back: the session ends with it, the failure does
 * not, and nobody is kept in memory for longer than auth has him.
 */
#include "smtpd_rig.h"

#include "smtpd/authenticate.h"
#include "smtpd/login.h"
#include "util/sys/rates.h"

struct fixture {
    struct rig *rig;
    struct channel *auth; /* the other end; NULL: it ended */
    uint32_t query;       /* of the last exchange that began */
    unsigned begun, aborted;
};

static void on_auth_message(void *arg, struct channel *channel, const struct ipc_type *type,
                            const void *message, struct fd_list *fds)
{
    struct fixture *fixture = arg;
    (void)channel, (void)fds;
    if (type == &ipc_sasl_begin) {
        fixture->query = ((const struct sasl_begin *)message)->query;
        fixture->begun++;
    } else if (type == &ipc_sasl_abort) {
        fixture->aborted++;
    }
}

static void on_auth_closed(void *arg, struct channel *channel)
{
    struct fixture *fixture = arg;
    fixture->auth = NULL;
    channel_free(channel);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    const struct channel_calls calls = {on_auth_message, on_auth_closed, fixture};
    void *rig;
    int pair[2], memory = rates_create();
    assert_int_equal(rig_set_up(&rig), 0);
    fixture->rig = rig;
    fixture->rig->worker.role = ROLE_SUBMISSION;
    fixture->rig->worker.rates = rates_map(memory);
    fixture->rig->listener.service = SERVICE_SUBMISSION;
    fixture->rig->conf->plaintext_auth = PLAINTEXT_ALWAYS;
    fixture->rig->conf->limits.auth_failures = 1;
    (void)close(memory);
    assert_true(seqpacket_pair(pair, RIG_BUFFER));
    fixture->auth = channel_new(fixture->rig->loop, pair[0], &calls);
    authenticate_connect(&fixture->rig->worker, pair[1]);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    void *rig = fixture->rig;
    struct rates *rates = fixture->rig->worker.rates;
    channel_free(fixture->auth);
    mem_free(fixture);
    int result = rig_tear_down(&rig);
    rates_unmap(rates);
    return result;
}

static void turn(struct fixture *fixture)
{
    for (int i = 0; i < 6; i++)
        loop_turn(fixture->rig->loop, 0);
}

static void greet(struct fixture *fixture)
{
    rig_connect_from(fixture->rig, "192.0.2.1");
    assert_int_equal(rig_hear_code(fixture->rig), 220);
    assert_int_equal(rig_ask(fixture->rig, RIG_HELLO), 250);
    buf_reset(&fixture->rig->heard);
}

/* As far as auth's turn. */
static void log_in(struct fixture *fixture)
{
    unsigned before = fixture->begun;
    greet(fixture);
    rig_write(fixture->rig, SPAN("AUTH PLAIN eA==\r\n"));
    turn(fixture);
    assert_int_equal(fixture->begun, before + 1);
}

static void leave(struct fixture *fixture)
{
    (void)close(fixture->rig->client);
    fixture->rig->client = -1;
    turn(fixture);
}

static void say_verdict(struct fixture *fixture, enum verify_status status)
{
    const struct verdict verdict = {
        .query = fixture->query, .status = (uint8_t)status, .user = SPAN("alice@example.test")};
    assert_true(channel_send(fixture->auth, &ipc_verdict, &verdict, NULL));
    turn(fixture);
}

/* 454: by the limit of failures; else auth is asked, which is seen there. */
static bool is_put_off(struct fixture *fixture)
{
    unsigned before = fixture->begun;
    greet(fixture);
    rig_write(fixture->rig, SPAN("AUTH PLAIN eA==\r\n"));
    turn(fixture);
    return fixture->begun == before && rig_hear_code(fixture->rig) == 454;
}

static void session_ends_with_its_client_and_the_failure_counts(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    leave(fixture);
    assert_int_equal(fixture->rig->worker.session_count, 0);
    assert_int_equal(fixture->aborted, 0); /* auth goes on, and delays who comes next */
    say_verdict(fixture, VERIFY_FAILED);
    assert_int_equal(fixture->rig->worker.left_login_count, 0);
    assert_true(is_put_off(fixture));
}

static void failure_counts_for_the_account_as_well(void **state)
{
    struct fixture *fixture = *state;
    fixture->rig->conf->limits.auth_failures = 100;
    fixture->rig->conf->limits.auth_failures_per_account = 1;
    log_in(fixture);
    leave(fixture);
    say_verdict(fixture, VERIFY_FAILED);
    log_in(fixture);
    say_verdict(fixture, VERIFY_OK); /* who it was is known now, and was guessed at */
    assert_int_equal(rig_hear_code(fixture->rig), 454);
}

static void right_password_is_no_failure(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    leave(fixture);
    say_verdict(fixture, VERIFY_OK);
    assert_int_equal(fixture->rig->worker.left_login_count, 0);
    assert_false(is_put_off(fixture));
}

static void client_that_only_ends_its_sending_has_left(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    assert_int_equal(shutdown(fixture->rig->client, SHUT_WR), 0);
    turn(fixture);
    assert_int_equal(fixture->rig->worker.session_count, 0);
}

/* What is unread at its end makes of the end a reset. */
static void client_that_resets_the_connection_has_left(void **state)
{
    struct fixture *fixture = *state;
    greet(fixture);
    rig_write(fixture->rig, SPAN("NOOP\r\n"));
    turn(fixture);
    rig_write(fixture->rig, SPAN("AUTH PLAIN eA==\r\n"));
    turn(fixture);
    assert_int_equal(fixture->begun, 1);
    leave(fixture);
    assert_int_equal(fixture->rig->worker.session_count, 0);
    assert_int_equal(fixture->rig->worker.left_login_count, 1);
}

static void client_that_said_more_before_it_left_has_left(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    rig_write(fixture->rig, SPAN("QUIT\r\n"));
    turn(fixture);
    assert_int_equal(fixture->rig->worker.session_count, 1);
    leave(fixture);
    assert_int_equal(fixture->rig->worker.session_count, 0);
}

static void commands_behind_auth_wait_for_its_answer(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    rig_write(fixture->rig, SPAN("NOOP\r\n"));
    rig_write(fixture->rig, SPAN("NOOP\r\n"));
    rig_expect_silence(fixture->rig);
    say_verdict(fixture, VERIFY_FAILED);
    rig_expect(fixture->rig, "535 5.7.8 Authentication credentials invalid\r\n250 2.0.0 Ok\r\n"
                             "250 2.0.0 Ok\r\n");
}

static void flood_behind_auth_is_left_in_the_kernel(void **state)
{
    static char flood[4096];
    struct fixture *fixture = *state;
    size_t most = 2 * fixture->rig->conf->limits.command_line;
    log_in(fixture);
    memset(flood, '\n', sizeof(flood));
    for (int i = 0; i < 100; i++) {
        (void)!send(fixture->rig->client, flood, sizeof(flood), MSG_NOSIGNAL);
        loop_turn(fixture->rig->loop, 0);
        assert_in_range(buf_len(&fixture->rig->session->in), 1, most);
    }
}

static void challenge_for_who_has_left_ends_the_exchange(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    leave(fixture);
    const struct sasl_challenge challenge = {fixture->query, SPAN("?")};
    assert_true(channel_send(fixture->auth, &ipc_sasl_challenge, &challenge, NULL));
    turn(fixture);
    assert_int_equal(fixture->aborted, 1);
    assert_int_equal(fixture->rig->worker.left_login_count, 0);
}

static void death_of_auth_ends_those_who_left(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    leave(fixture);
    log_in(fixture);
    leave(fixture);
    assert_int_equal(fixture->rig->worker.left_login_count, 2);
    channel_free(fixture->auth);
    fixture->auth = NULL;
    turn(fixture);
    assert_int_equal(fixture->rig->worker.left_login_count, 0);
    assert_null(fixture->rig->worker.authentications);
}

/* As if so many had left: the next one is a failure of its network at once, and no more asked for.
 */
static void who_leaves_when_too_many_did_has_failed(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    fixture->rig->worker.left_login_count = LOGIN_LEFT_MOST;
    leave(fixture);
    assert_int_equal(fixture->aborted, 1);
    assert_int_equal(fixture->rig->worker.left_login_count, LOGIN_LEFT_MOST);
    fixture->rig->worker.left_login_count = 0;
    assert_true(is_put_off(fixture));
}

static void worker_that_ends_forgets_them(void **state)
{
    struct fixture *fixture = *state;
    log_in(fixture);
    leave(fixture);
    login_forget_left(&fixture->rig->worker);
    turn(fixture);
    assert_int_equal(fixture->aborted, 1);
    assert_null(fixture->rig->worker.authentications);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(session_ends_with_its_client_and_the_failure_counts),
        TEST(failure_counts_for_the_account_as_well),
        TEST(right_password_is_no_failure),
        TEST(client_that_only_ends_its_sending_has_left),
        TEST(client_that_resets_the_connection_has_left),
        TEST(client_that_said_more_before_it_left_has_left),
        TEST(commands_behind_auth_wait_for_its_answer),
        TEST(flood_behind_auth_is_left_in_the_kernel),
        TEST(challenge_for_who_has_left_ends_the_exchange),
        TEST(death_of_auth_ends_those_who_left),
        TEST(who_leaves_when_too_many_did_has_failed),
        TEST(worker_that_ends_forgets_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
