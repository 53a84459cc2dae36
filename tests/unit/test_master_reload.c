/*
 * How one generation follows another, and what the operator's socket bears.
 */
#include "tests/unit/master_rig.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- reload ---- */

static bool generation_serves(struct span text, long generation)
{
    return rig_value(text, "generation") == generation && rig_count_of(text, " ready ") == 10 &&
           rig_count_of(text, "child ") == 10;
}

static void reload_replaces_every_child(void **state)
{
    struct rig *rig = *state;
    bool ok = false;
    rig_start(rig);
    struct span before = rig_status(rig);
    (void)rig_ask(rig, OPERATOR_RELOAD, &ok);
    assert_true(ok);
    struct span after = rig_wait_for_status(rig, generation_serves, 2);
    static const char *const roles[] = {"lookup", "auth", "qmgr", "deliver", "smtpd"};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        for (unsigned index = 0; index < 4; index++) {
            char name[32], line[64];
            (void)snprintf(name, sizeof(name), "%s %u", roles[i], index);
            long pid = rig_pid_of(before, name);
            (void)snprintf(line, sizeof(line), " %ld ready", pid);
            assert_false(pid > 0 && rig_contains(after, line));
        }
    }
    assert_true(rig_can_connect(rig->smtp) && rig_can_connect(rig->pop3));
}

static void sighup_reloads_again_and_again(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    for (long generation = 2; generation < 6; generation++) {
        assert_int_equal(kill(rig->master, SIGHUP), 0);
        (void)rig_wait_for_status(rig, generation_serves, generation);
    }
    assert_true(rig_can_connect(rig->smtp));
}

static void reloads_in_a_burst_end_in_one_generation_that_serves(void **state)
{
    struct rig *rig = *state;
    bool ok = false;
    rig_start(rig);
    for (int i = 0; i < 5; i++)
        (void)rig_ask(rig, OPERATOR_RELOAD, &ok);
    assert_true(ok);
    (void)rig_wait_for_status(rig, generation_serves, 6);
}

static void reload_binds_and_closes_listeners(void **state)
{
    struct rig *rig = *state;
    bool ok = false;
    rig_start(rig);
    unsigned old = rig->pop3;
    rig->pop3 = rig_free_port();
    rig_configure(rig, "");
    (void)rig_ask(rig, OPERATOR_RELOAD, &ok);
    assert_true(ok);
    assert_true(rig_can_connect(rig->pop3) && rig_can_connect(rig->smtp));
    (void)rig_wait_for_status(rig, generation_serves, 2);
    assert_false(rig_can_connect(old));
}

static void a_bad_configuration_keeps_the_old_one_and_says_why(void **state)
{
    struct rig *rig = *state;
    bool ok = true;
    rig_start(rig);
    struct span before = rig_status(rig);
    rig_configure(rig, "no_such_setting = 1\n");
    struct span text = rig_ask(rig, OPERATOR_RELOAD, &ok);
    assert_false(ok);
    assert_true(rig_contains(text, "veredus.conf:"));
    struct span after = rig_status(rig);
    assert_int_equal(rig_value(after, "generation"), 1);
    assert_int_equal(rig_pid_of(after, "smtpd 0"), rig_pid_of(before, "smtpd 0"));
}

static void the_spool_can_not_move_by_reload(void **state)
{
    struct rig *rig = *state;
    bool ok = true;
    rig_start(rig);
    rig_write_file(rig->file,
                   "hostname = \"mx.example.test\"\ndomains = {\"example.test\"}\n"
                   "spool_directory = \"other\"\nrun_directory = \"run\"\nmail_root = \"mail\"\n");
    assert_true(rig_contains(rig_ask(rig, OPERATOR_RELOAD, &ok), "spool_directory"));
    assert_false(ok);
}

static void a_generation_that_does_not_start_leaves_the_old_one_serving(void **state)
{
    struct rig *rig = *state;
    bool ok = false;
    rig_start(rig);
    long old = rig_pid_of(rig_status(rig), "smtpd 0");
    rig_write_file(rig_beneath(rig, "crash-lookup"), "");
    (void)rig_ask(rig, OPERATOR_RELOAD, &ok);
    assert_true(ok);
    (void)poll(NULL, 0, 300);
    struct span text = rig_status(rig);
    assert_int_equal(rig_pid_of(text, "smtpd 0"), old);
    assert_int_equal(rig_count_of(text, "draining"), 0);
    assert_int_equal(rig_count_of(text, "child smtpd"), 2);
    assert_int_equal(rig_count_of(text, "child pop3d"), 2);
    assert_int_equal(unlink(rig_beneath(rig, "crash-lookup")), 0);
    (void)rig_wait_for_status(rig, generation_serves, 2);
}

static void sigusr1_opens_the_log_anew(void **state)
{
    struct rig *rig = *state;
    rig_configure(rig, "log = \"log\"\n");
    rig_start(rig);
    assert_int_equal(rename(rig_beneath(rig, "log"), rig_beneath(rig, "log.1")), 0);
    assert_int_equal(kill(rig->master, SIGUSR1), 0);
    (void)rig_wait_for_status(rig, generation_serves, 2);
    assert_int_equal(access(rig_beneath(rig, "log"), F_OK), 0);
}

/* ---- the operator's socket under attack ---- */

static void garbage_closes_that_connection_alone(void **state)
{
    struct rig *rig = *state;
    char answer[8];
    rig_start(rig);
    int fd = rig_connect_operator(rig);
    assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
    assert_true(seqpacket_wait(fd, DEADLINE_MS));
    assert_true(recv(fd, answer, sizeof(answer), 0) <= 0);
    (void)close(fd);
    assert_int_equal(rig_value(rig_status(rig), "generation"), 1);
}

static void many_connections_are_bounded(void **state)
{
    struct rig *rig = *state;
    int fds[100];
    char octet;
    rig_start(rig);
    for (size_t i = 0; i < 100; i++)
        fds[i] = rig_connect_operator(rig);
    assert_true(seqpacket_wait(fds[0], DEADLINE_MS));
    assert_true(recv(fds[0], &octet, 1, 0) <= 0);
    assert_int_equal(rig_value(rig_status(rig), "generation"), 1);
    for (size_t i = 0; i < 100; i++)
        (void)close(fds[i]);
}

static void the_socket_is_for_its_owner_alone(void **state)
{
    struct rig *rig = *state;
    struct stat found;
    rig_start(rig);
    assert_int_equal(stat(rig_beneath(rig, "run/master.sock"), &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[0], "veredus-", 8) == 0)
        return rig_run_as_child(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(reload_replaces_every_child),
        TEST(sighup_reloads_again_and_again),
        TEST(reloads_in_a_burst_end_in_one_generation_that_serves),
        TEST(reload_binds_and_closes_listeners),
        TEST(a_bad_configuration_keeps_the_old_one_and_says_why),
        TEST(the_spool_can_not_move_by_reload),
        TEST(a_generation_that_does_not_start_leaves_the_old_one_serving),
        TEST(sigusr1_opens_the_log_anew),
        TEST(garbage_closes_that_connection_alone),
        TEST(many_connections_are_bounded),
        TEST(the_socket_is_for_its_owner_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
