/*
 * Whom the watchdog kills. Time is a number here: a child that hangs for an hour costs the test
 * nothing.
 */
#include "master/master.h"
#include "util/base/panic.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 60 };

struct fixture {
    struct master master;
    struct conf conf;
    struct child child;
    struct page *page;
    int64_t now;
};

/* A process that does nothing: only its death is looked at. */
static pid_t start_process(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        for (;;)
            (void)pause();
    return pid;
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    struct master *master = &fixture->master;
    fixture->conf.limits.watchdog = LIMIT;
    master->configuration.conf = &fixture->conf;
    TAILQ_INIT(&master->children);
    const struct page_slot *slot = pages_slot(&master->pages, ROLE_SMTPD, 0);
    assert_non_null(slot);
    fixture->page = slot->page;
    fixture->child = (struct child){
        .master = master, .role = ROLE_SMTPD, .state = CHILD_READY, .pid = start_process()};
    TAILQ_INSERT_TAIL(&master->children, &fixture->child, entry);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)kill(fixture->child.pid, SIGKILL);
    (void)waitpid(fixture->child.pid, NULL, 0);
    pages_free(&fixture->master.pages);
    mem_free(fixture);
    return 0;
}

/* As many looks, a second apart. */
static void look(struct fixture *fixture, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        watchdog_look(&fixture->master, fixture->now += WATCHDOG_LOOK_MS);
}

/* It lives when there is nothing to collect. */
static bool was_killed(const struct fixture *fixture)
{
    siginfo_t end = {0};
    int options = WEXITED | WNOWAIT | (fixture->child.hung ? 0 : WNOHANG);
    assert_int_equal(waitid(P_PID, (id_t)fixture->child.pid, &end, options), 0);
    return end.si_pid != 0 && end.si_code == CLD_KILLED && end.si_status == SIGKILL;
}

static void one_whose_beats_stand_still_is_killed_when_the_limit_is_reached(void **state)
{
    struct fixture *fixture = *state;
    page_beat(fixture->page);
    look(fixture, LIMIT);
    assert_false(was_killed(fixture));
    look(fixture, 1);
    assert_true(was_killed(fixture));
}

static void one_that_beats_lives_for_ever(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 3 * LIMIT; i++) {
        page_beat(fixture->page);
        look(fixture, 1);
    }
    assert_false(was_killed(fixture));
}

static void a_beat_just_before_the_limit_is_enough(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 5; i++) {
        page_beat(fixture->page);
        look(fixture, LIMIT);
    }
    assert_false(was_killed(fixture));
}

static void one_that_is_stopped_dies_all_the_same(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(kill(fixture->child.pid, SIGSTOP), 0);
    look(fixture, LIMIT);
    assert_true(was_killed(fixture));
}

static void one_that_drains_is_watched_too(void **state)
{
    struct fixture *fixture = *state;
    fixture->child.state = CHILD_DRAINING;
    look(fixture, LIMIT);
    assert_true(was_killed(fixture));
}

/* It has a deadline of its own, which is shorter. */
static void one_that_starts_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    fixture->child.state = CHILD_STARTING;
    look(fixture, 2 * LIMIT);
    assert_false(was_killed(fixture));
    fixture->child.state = CHILD_READY;
    look(fixture, LIMIT - 1);
    assert_false(was_killed(fixture));
}

/* Suspended, or stopped with its children: they could not beat while nothing ran. */
static void a_look_that_comes_late_lets_all_begin_anew(void **state)
{
    struct fixture *fixture = *state;
    look(fixture, LIMIT - 1);
    fixture->now += (int64_t)3600 * 1000;
    look(fixture, 1);
    look(fixture, LIMIT - 1);
    assert_false(was_killed(fixture));
    look(fixture, 1);
    assert_true(was_killed(fixture));
}

static void a_master_that_is_slow_now_and_then_still_looks(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < LIMIT; i++) {
        fixture->now += WATCHDOG_LATE_MS - WATCHDOG_LOOK_MS;
        look(fixture, 1);
    }
    assert_true(was_killed(fixture));
}

static void it_is_silent_for_the_operator_long_before(void **state)
{
    struct fixture *fixture = *state;
    look(fixture, WATCHDOG_SILENT - 1);
    assert_false(watchdog_finds_silent(&fixture->child));
    look(fixture, 1);
    assert_true(watchdog_finds_silent(&fixture->child));
    page_beat(fixture->page);
    look(fixture, 1);
    assert_false(watchdog_finds_silent(&fixture->child));
}

/* As for one that is late: who stops the server hears that not all went well. */
static void a_kill_while_stopping_spoils_the_exit_code(void **state)
{
    struct fixture *fixture = *state;
    fixture->master.stopping = true;
    look(fixture, LIMIT - 1);
    assert_false(fixture->master.killed);
    look(fixture, 1);
    assert_true(fixture->master.killed);
}

static void a_kill_in_service_leaves_the_exit_code_alone(void **state)
{
    struct fixture *fixture = *state;
    look(fixture, LIMIT);
    assert_true(was_killed(fixture));
    assert_false(fixture->master.killed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_whose_beats_stand_still_is_killed_when_the_limit_is_reached),
        TEST(one_that_beats_lives_for_ever),
        TEST(a_beat_just_before_the_limit_is_enough),
        TEST(one_that_is_stopped_dies_all_the_same),
        TEST(one_that_drains_is_watched_too),
        TEST(one_that_starts_is_left_alone),
        TEST(a_look_that_comes_late_lets_all_begin_anew),
        TEST(a_master_that_is_slow_now_and_then_still_looks),
        TEST(it_is_silent_for_the_operator_long_before),
        TEST(a_kill_while_stopping_spoils_the_exit_code),
        TEST(a_kill_in_service_leaves_the_exit_code_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
