/*
 * How a whole master starts, hands out, replaces the dead, and ends.
 */
#include "tests/unit/master_rig.h"

#include "util/base/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- start and stop ---- */

static void says_ready_when_every_child_serves(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    struct span text = rig_status(rig);
    assert_int_equal(rig_count_of(text, " ready 0\n"), 1 + 1 + 1 + 1 + 2 + 2 + 2);
    assert_int_equal(rig_value(text, "generation"), 1);
    assert_true(rig_value(text, "uptime") >= 0);
    assert_true(rig_pid_of(text, "smtpd 1") > 0 && rig_pid_of(text, "mailbox 1") > 0);
    assert_true(rig_can_connect(rig->smtp) && rig_can_connect(rig->pop3));
}

static void sigterm_ends_everything_and_leaves_nothing_behind(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    long child = rig_pid_of(rig_status(rig), "qmgr 0");
    assert_int_equal(kill(rig->master, SIGTERM), 0);
    assert_int_equal(rig_end_of_master(rig), EX_OK);
    assert_int_equal(kill((pid_t)child, 0), -1);
    assert_int_equal(access(rig_beneath(rig, "run/master.sock"), F_OK), -1);
    assert_int_equal(access(rig_beneath(rig, "run/master.pid"), F_OK), -1);
    assert_false(rig_can_connect(rig->smtp));
}

static void the_operator_can_stop_it(void **state)
{
    struct rig *rig = *state;
    bool ok = false;
    rig_start(rig);
    assert_true(rig_contains(rig_ask(rig, OPERATOR_STOP, &ok), "stopping"));
    assert_true(ok);
    assert_int_equal(rig_end_of_master(rig), EX_OK);
}

static void starts_again_after_it_was_killed(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    assert_int_equal(kill(rig->master, SIGKILL), 0);
    assert_int_equal(rig_end_of_master(rig), 128 + SIGKILL);
    (void)close(rig->output);
    /* The listening sockets are free as soon as the children have noticed. */
    int64_t deadline = clock_ms() + DEADLINE_MS;
    while ((rig_can_connect(rig->smtp) || rig_can_connect(rig->pop3)) && clock_ms() < deadline)
        (void)poll(NULL, 0, STEP_MS);
    rig_start(rig);
    assert_int_equal(rig_count_of(rig_status(rig), " ready 0\n"), 10);
}

static void a_second_master_is_refused(void **state)
{
    struct rig *rig = *state;
    int output;
    rig_start(rig);
    assert_int_equal(rig_exit_code(rig_launch(rig, &output)), EX_UNAVAILABLE);
    (void)close(output);
    assert_true(rig_pid_of(rig_status(rig), "qmgr 0") > 0);
}

static void a_bad_configuration_ends_it_at_once(void **state)
{
    struct rig *rig = *state;
    rig_configure(rig, "no_such_setting = 1\n");
    rig->master = rig_launch(rig, &rig->output);
    assert_int_equal(rig_end_of_master(rig), EX_CONFIG);
}

static void an_address_in_use_ends_it_at_once(void **state)
{
    struct rig *rig = *state;
    union net_address address;
    rig_loopback(rig->smtp, &address);
    int fd = net_listen(&address, 1);
    assert_true(fd >= 0);
    rig->master = rig_launch(rig, &rig->output);
    assert_int_equal(rig_end_of_master(rig), EX_UNAVAILABLE);
    (void)close(fd);
}

/* ---- what children are given ---- */

static bool is_gone(struct span text, long pid)
{
    char part[32];
    (void)snprintf(part, sizeof(part), " %ld ", pid);
    return !rig_contains(text, part);
}

static bool all_peers_came(struct span text, long expected)
{
    return rig_value(text, "connections") == expected;
}

static void every_pair_of_peers_is_linked_once(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    /* smtpd-qmgr 2, smtpd-lookup 2, qmgr-lookup 1, qmgr-deliver 1, mailbox-lookup 2, auth-pop3d 2,
     * mailbox-pop3d 4; each has two ends. */
    struct span text = rig_wait_for_status(rig, all_peers_came, 28);
    assert_int_equal(rig_value(text, "connections"), 28);
}

static void a_pair_that_broke_is_linked_anew(void **state)
{
    struct rig *rig = *state;
    rig_write_file(rig_beneath(rig, "unlink-smtpd"), "");
    rig_start(rig);
    /* Each of two lost its qmgr and got another socket to it. */
    (void)rig_wait_for_status(rig, all_peers_came, 28 + 4);
}

static void listeners_go_to_their_service_and_the_key_to_its_keepers(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    struct span text = rig_status(rig);
    assert_int_equal(rig_value(text, "refused"), 4); /* one listener for each of four workers */
    assert_int_equal(rig_value(text, "logins"), 3);  /* auth and two mailbox */
}

static void a_service_without_listener_has_no_workers(void **state)
{
    struct rig *rig = *state;
    rig_write_file(
        rig->file,
        arena_printf(&rig->arena,
                     "hostname = \"mx.example.test\"\ndomains = {\"example.test\"}\n"
                     "workers = 1\nspool_directory = \"spool\"\nmail_root = \"mail\"\n"
                     "run_directory = \"run\"\n"
                     "listen \"mx\" {\n service = smtp\n address = \"127.0.0.1:%u\"\n}\n",
                     rig->smtp)
            .data);
    rig_start(rig);
    assert_int_equal(rig_count_of(rig_status(rig), "child pop3d"), 0);
    assert_int_equal(rig_count_of(rig_status(rig), "child smtpd"), 1);
}

/* ---- submission ---- */

/* Beside port 25, on a port of its own. */
static void configure_submission(struct rig *rig)
{
    rig_configure(rig, arena_printf(&rig->arena,
                                    "listen \"submission\" {\n service = submission\n"
                                    " address = \"127.0.0.1:%u\"\n}\n",
                                    rig_free_port())
                           .data);
}

static void submission_has_workers_of_its_own(void **state)
{
    struct rig *rig = *state;
    configure_submission(rig);
    rig_start(rig);
    struct span text = rig_status(rig);
    assert_int_equal(rig_count_of(text, " ready 0\n"), 12);
    assert_int_equal(rig_count_of(text, "child smtpd "), 2);
    assert_int_equal(rig_count_of(text, "child submission "), 2);
    assert_int_equal(rig_value(text, "refused"), 6); /* one listener for each of six workers */
    assert_int_equal(rig_value(text, "logins"), 3);  /* the key: auth and two mailbox */
    assert_int_equal(rig_value(text, "table-changes"), 6); /* the ratchet: who serves TLS */
}

static void submission_alone_has_sockets_to_auth(void **state)
{
    struct rig *rig = *state;
    configure_submission(rig);
    rig_start(rig);
    /* As without it, and with qmgr, lookup and auth each of two: twelve ends more. */
    struct span text = rig_wait_for_status(rig, all_peers_came, 28 + 12);
    assert_int_equal(rig_value(text, "lookups"), 2);
    assert_int_equal(rig_value(text, "login-failures"), 0);
}

static bool auth_is_new(struct span text, long old)
{
    long pid = rig_pid_of(text, "auth 0");
    return pid > 0 && pid != old && rig_contains(text, " ready 1\n");
}

static void a_new_auth_is_linked_with_submission_and_pop3d_and_not_with_smtpd(void **state)
{
    struct rig *rig = *state;
    configure_submission(rig);
    rig_start(rig);
    (void)rig_wait_for_status(rig, all_peers_came, 40);
    long old = rig_pid_of(rig_status(rig), "auth 0");
    assert_int_equal(kill((pid_t)old, SIGKILL), 0);
    (void)rig_wait_for_status(rig, auth_is_new, old);
    struct span text = rig_wait_for_status(rig, all_peers_came, 40 + 8);
    assert_int_equal(rig_value(text, "lookups"), 4);
    assert_int_equal(rig_value(text, "login-failures"), 0);
}

static void submission_goes_with_its_listener_at_a_reload(void **state)
{
    struct rig *rig = *state;
    bool ok = false;
    configure_submission(rig);
    rig_start(rig);
    long pid = rig_pid_of(rig_status(rig), "submission 0");
    rig_configure(rig, "");
    (void)rig_ask(rig, OPERATOR_RELOAD, &ok);
    assert_true(ok);
    struct span text = rig_wait_for_status(rig, is_gone, pid);
    assert_int_equal(rig_value(text, "generation"), 2);
    assert_true(rig_can_connect(rig->smtp));
}

/* ---- deaths ---- */

static bool smtpd_is_new(struct span text, long old)
{
    long pid = rig_pid_of(text, "smtpd 0");
    return pid > 0 && pid != old && rig_contains(text, " ready 1\n");
}

static void a_child_that_was_killed_is_started_anew(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    struct span before = rig_status(rig);
    long old = rig_pid_of(before, "smtpd 0");
    assert_int_equal(kill((pid_t)old, SIGKILL), 0);
    struct span after = rig_wait_for_status(rig, smtpd_is_new, old);
    assert_int_equal(rig_pid_of(after, "qmgr 0"), rig_pid_of(before, "qmgr 0"));
    assert_int_equal(rig_pid_of(after, "smtpd 1"), rig_pid_of(before, "smtpd 1"));
    /* The new one was linked with qmgr and lookup: four ends more. */
    (void)rig_wait_for_status(rig, all_peers_came, 32);
}

static bool qmgr_is_new(struct span text, long old)
{
    long pid = rig_pid_of(text, "qmgr 0");
    return pid > 0 && pid != old && rig_contains(text, " ready 1\n");
}

static void a_new_qmgr_is_linked_with_all_who_live(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    (void)rig_wait_for_status(rig, all_peers_came, 28);
    long old = rig_pid_of(rig_status(rig), "qmgr 0");
    assert_int_equal(kill((pid_t)old, SIGKILL), 0);
    (void)rig_wait_for_status(rig, qmgr_is_new, old);
    (void)rig_wait_for_status(rig, all_peers_came, 28 + 8);
}

static void a_child_that_fails_at_start_is_tried_with_backoff(void **state)
{
    struct rig *rig = *state;
    char line[8];
    rig_write_file(rig_beneath(rig, "crash-lookup"), "");
    rig->master = rig_launch(rig, &rig->output);
    struct pollfd watched = {.fd = rig->output, .events = POLLIN};
    assert_int_equal(poll(&watched, 1, 1500), 0);
    assert_int_equal(unlink(rig_beneath(rig, "crash-lookup")), 0);
    assert_int_equal(poll(&watched, 1, DEADLINE_MS), 1);
    assert_true(read(rig->output, line, sizeof(line)) > 0);
    /* 100, 200, 400, 800 ms, 1.6 s: no storm. */
    const char *child = strstr(rig_status(rig).data, "child lookup 0 ");
    const char *ready = child == NULL ? NULL : strstr(child, " ready ");
    assert_non_null(ready);
    long restarts = strtol(ready + 7, NULL, 10);
    assert_in_range(restarts, 1, 6);
}

/* ---- the queue ---- */

static const char *const of_the_queue[] = {"queued", "deferred", "active", "held", "segments"};

static void assert_queue_is(struct rig *rig, struct span text, bool known)
{
    for (size_t i = 0; i < sizeof(of_the_queue) / sizeof(of_the_queue[0]); i++) {
        const char *line =
            arena_printf(&rig->arena, "\n%s %s\n", of_the_queue[i], known ? "0" : "unknown").data;
        assert_int_equal(rig_count_of(text, line), 1);
    }
}

static void figures_of_the_queue_are_numbers_when_qmgr_has_counted_it(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    assert_queue_is(rig, rig_status(rig), true);
}

static void figures_of_the_queue_are_unknown_while_qmgr_recovers(void **state)
{
    struct rig *rig = *state;
    rig_write_file(rig_beneath(rig, "recover-qmgr"), "");
    rig_start(rig);
    struct span text = rig_status(rig);
    assert_queue_is(rig, text, false);
    assert_int_equal(rig_count_of(text, " recovering 0\n"), 1);
    assert_int_equal(rig_value(text, "messages-in"), 0); /* what others count is known */
}

static bool qmgr_recovers(struct span text, long old)
{
    long pid = rig_pid_of(text, "qmgr 0");
    return pid > 0 && pid != old && rig_contains(text, " recovering 1\n");
}

static bool qmgr_is_missing(struct span text, long old)
{
    return rig_pid_of(text, "qmgr 0") != old;
}

static void figures_of_the_queue_are_unknown_from_the_death_of_qmgr_on(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    long old = rig_pid_of(rig_status(rig), "qmgr 0");
    rig_write_file(rig_beneath(rig, "recover-qmgr"), "");
    assert_int_equal(kill((pid_t)old, SIGKILL), 0);
    /* At the first sight that is another, whether it is there already or not. */
    assert_queue_is(rig, rig_wait_for_status(rig, qmgr_is_missing, old), false);
    assert_queue_is(rig, rig_wait_for_status(rig, qmgr_recovers, old), false);
}

/* ---- silence ---- */

static bool smtpd_is_silent(struct span text, long pid)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "child smtpd 0 %ld silent 0\n", pid);
    return rig_contains(text, line);
}

static bool all_started_at_the_first_go(struct span text, long count)
{
    return rig_count_of(text, " ready 0\n") == (unsigned)count;
}

static void a_child_that_is_stopped_for_a_while_is_silent_and_lives_on(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    long pid = rig_pid_of(rig_status(rig), "smtpd 0");
    assert_int_equal(kill((pid_t)pid, SIGSTOP), 0);
    (void)rig_wait_for_status(rig, smtpd_is_silent, pid);
    assert_int_equal(kill((pid_t)pid, SIGCONT), 0);
    struct span text = rig_wait_for_status(rig, all_started_at_the_first_go, 10);
    assert_int_equal(rig_pid_of(text, "smtpd 0"), pid);
}

static void a_child_that_stays_stopped_is_started_anew(void **state)
{
    struct rig *rig = *state;
    rig_configure(rig, "limits {\n watchdog = 5\n}\n");
    rig_start(rig);
    struct span before = rig_status(rig);
    long pid = rig_pid_of(before, "smtpd 0");
    assert_int_equal(kill((pid_t)pid, SIGSTOP), 0);
    struct span after = rig_wait_for_status(rig, smtpd_is_new, pid);
    assert_int_equal(rig_pid_of(after, "smtpd 1"), rig_pid_of(before, "smtpd 1"));
    assert_int_equal(rig_count_of(after, " ready 0\n"), 9);
}

/* ---- relief ---- */

static const char short_life[] = "limits {\n worker_age = 1\n}\n";
static const char *const workers[] = {"smtpd 0", "smtpd 1", "pop3d 0", "pop3d 1"};

static void workers_that_served_long_are_relieved_and_nothing_else_is(void **state)
{
    struct rig *rig = *state;
    rig_configure(rig, short_life);
    rig_start(rig);
    struct span before = rig_status(rig);
    for (size_t i = 0; i < sizeof(workers) / sizeof(workers[0]); i++) {
        long pid = rig_pid_of(before, workers[i]);
        assert_true(pid > 0);
        (void)rig_wait_for_status(rig, is_gone, pid);
        assert_true(rig_can_connect(rig->smtp) && rig_can_connect(rig->pop3));
    }
    /* Their successors are no restarts. */
    struct span after = rig_wait_for_status(rig, all_started_at_the_first_go, 10);
    assert_int_equal(rig_pid_of(after, "qmgr 0"), rig_pid_of(before, "qmgr 0"));
    assert_int_equal(rig_pid_of(after, "lookup 0"), rig_pid_of(before, "lookup 0"));
    assert_int_equal(rig_pid_of(after, "mailbox 1"), rig_pid_of(before, "mailbox 1"));
}

/* Each of the two had a successor that died. */
static bool successors_of_smtpd_failed(struct span text, long count)
{
    return rig_count_of(text, " ready 0\n") == 8 && rig_count_of(text, "child ") == (unsigned)count;
}

static void a_worker_serves_on_until_its_successor_does(void **state)
{
    struct rig *rig = *state;
    rig_configure(rig, short_life);
    rig_start(rig);
    struct span before = rig_status(rig);
    rig_write_file(rig_beneath(rig, "crash-smtpd"), "");
    struct span text = rig_wait_for_status(rig, successors_of_smtpd_failed, 10);
    assert_int_equal(rig_pid_of(text, "smtpd 0"), rig_pid_of(before, "smtpd 0"));
    assert_int_equal(rig_pid_of(text, "smtpd 1"), rig_pid_of(before, "smtpd 1"));
    assert_int_equal(unlink(rig_beneath(rig, "crash-smtpd")), 0);
    (void)rig_wait_for_status(rig, is_gone, rig_pid_of(before, "smtpd 0"));
    (void)rig_wait_for_status(rig, is_gone, rig_pid_of(before, "smtpd 1"));
    assert_true(rig_can_connect(rig->smtp));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[0], "veredus-", 8) == 0)
        return rig_run_as_child(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(says_ready_when_every_child_serves),
        TEST(sigterm_ends_everything_and_leaves_nothing_behind),
        TEST(the_operator_can_stop_it),
        TEST(starts_again_after_it_was_killed),
        TEST(a_second_master_is_refused),
        TEST(a_bad_configuration_ends_it_at_once),
        TEST(an_address_in_use_ends_it_at_once),
        TEST(every_pair_of_peers_is_linked_once),
        TEST(a_pair_that_broke_is_linked_anew),
        TEST(listeners_go_to_their_service_and_the_key_to_its_keepers),
        TEST(a_service_without_listener_has_no_workers),
        TEST(submission_has_workers_of_its_own),
        TEST(submission_alone_has_sockets_to_auth),
        TEST(a_new_auth_is_linked_with_submission_and_pop3d_and_not_with_smtpd),
        TEST(submission_goes_with_its_listener_at_a_reload),
        TEST(a_child_that_was_killed_is_started_anew),
        TEST(a_new_qmgr_is_linked_with_all_who_live),
        TEST(a_child_that_fails_at_start_is_tried_with_backoff),
        TEST(figures_of_the_queue_are_numbers_when_qmgr_has_counted_it),
        TEST(figures_of_the_queue_are_unknown_while_qmgr_recovers),
        TEST(figures_of_the_queue_are_unknown_from_the_death_of_qmgr_on),
        TEST(a_child_that_is_stopped_for_a_while_is_silent_and_lives_on),
        TEST(a_child_that_stays_stopped_is_started_anew),
        TEST(workers_that_served_long_are_relieved_and_nothing_else_is),
        TEST(a_worker_serves_on_until_its_successor_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
