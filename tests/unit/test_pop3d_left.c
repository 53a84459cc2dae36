/*
 * Clients that leave while auth holds its answer back: gone at once, and their failures are not.
 */
#include "pop3d_rig.h"

#include <string.h>
#include <unistd.h>

#include "pop3d/left.h"

static const char put_off[] = "+OK send the password\r\n"
                              "-ERR [SYS/TEMP] too many failed logins, try again later\r\n";

static int set_up(void **state)
{
    int fd = rates_create();
    assert_int_equal(rig_set_up(state), 0);
    struct rig *rig = *state;
    rig->worker.rates = rates_map(fd);
    (void)close(fd);
    assert_non_null(rig->worker.rates);
    rig->conf.limits.auth_failures = rig->conf.limits.auth_failures_per_account = 1000;
    rig->conf.limits.connections_rate = 1000;
    return 0;
}

static int tear_down(void **state)
{
    struct rates *rates = ((struct rig *)*state)->worker.rates;
    int result = rig_tear_down(state);
    rates_unmap(rates);
    return result;
}

/* Hangs up while auth is at it, and comes back. */
static void leave(struct rig *rig)
{
    (void)rig_talk(rig, "USER alice\r\nPASS hang\r\n");
    rig_hang_up(rig);
    rig_settle(rig);
    assert_null(rig_session(rig));
    rig_connect(rig, "127.0.0.1");
    rig_settle(rig);
    rig_forget(rig);
}

static void failure_counts_for_the_network(void **state)
{
    struct rig *rig = *state;
    rig->conf.limits.auth_failures = 1;
    leave(rig);
    assert_int_equal(rig->worker.left_count, 1);
    rig_answer_hung(rig, VERIFY_FAILED);
    assert_int_equal(rig->worker.left_count, 0);
    rig_expect(rig, "USER alice\r\nPASS right\r\n", put_off);
}

static void failure_counts_for_the_account(void **state)
{
    struct rig *rig = *state;
    rig->conf.limits.auth_failures_per_account = 1;
    leave(rig);
    rig_answer_hung(rig, VERIFY_FAILED);
    rig_expect(rig, "USER alice\r\nPASS right\r\n", put_off);
}

static void right_password_is_no_failure(void **state)
{
    static const enum verify_status harmless[] = {VERIFY_OK, VERIFY_TEMPORARY};
    struct rig *rig = *state;
    rig->conf.limits.auth_failures = 1;
    for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++) {
        leave(rig);
        rig_answer_hung(rig, harmless[i]);
        assert_int_equal(rig->worker.left_count, 0);
    }
    rig_log_in(rig);
}

static void answer_that_nobody_waits_for_counts_for_nobody(void **state)
{
    struct rig *rig = *state;
    rig->conf.limits.auth_failures = 1;
    leave(rig);
    rig->hung_query++;
    rig_answer_hung(rig, VERIFY_FAILED);
    assert_int_equal(rig->worker.left_count, 1);
    rig_log_in(rig);
}

static void death_of_auth_ends_those_who_left(void **state)
{
    struct rig *rig = *state;
    leave(rig);
    leave(rig);
    assert_int_equal(rig->worker.left_count, 2);
    rig_lose_auth(rig);
    rig_settle(rig);
    assert_int_equal(rig->worker.left_count, 0);
}

static void who_leaves_when_too_many_did_has_failed(void **state)
{
    struct rig *rig = *state;
    rig->conf.limits.auth_failures = 1;
    rig->worker.left_count = LEFT_MOST;
    leave(rig);
    assert_int_equal(rig->worker.left_count, LEFT_MOST);
    rig_expect(rig, "USER alice\r\nPASS right\r\n", put_off);
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIGGED(failure_counts_for_the_network),
        RIGGED(failure_counts_for_the_account),
        RIGGED(right_password_is_no_failure),
        RIGGED(answer_that_nobody_waits_for_counts_for_nobody),
        RIGGED(death_of_auth_ends_those_who_left),
        RIGGED(who_leaves_when_too_many_did_has_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
