/* What loop.h promises, on a socket pair and short timers: each test waits for its event, with a
 * deadline. */
#include "util/base/clock.h"
#include "util/sys/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 5000 };

/* A loop, a connected pair, and what was called so far, a letter a call. */
struct fixture {
    struct loop *loop;
    int pair[2];
    struct io io;
    struct io other;
    struct timer timer;
    struct turn turns[3];
    struct wake wake;
    struct signal_watch signal_watch;
    unsigned events;
    unsigned calls;
    char trace[16];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->loop = loop_new();
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fixture->pair), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    io_stop(&fixture->io);
    io_stop(&fixture->other);
    timer_cancel(&fixture->timer);
    wake_stop(&fixture->wake);
    loop_free(fixture->loop);
    (void)close(fixture->pair[0]);
    (void)close(fixture->pair[1]);
    free(fixture);
    return 0;
}

static void note(struct fixture *fixture, char letter)
{
    size_t length = strlen(fixture->trace);
    assert_true(length + 1 < sizeof(fixture->trace));
    fixture->trace[length] = letter;
}

static void count_ready(void *arg, unsigned events)
{
    struct fixture *fixture = arg;
    fixture->events = events;
    fixture->calls++;
    note(fixture, 'i');
}

static void count_call(void *arg)
{
    struct fixture *fixture = arg;
    fixture->calls++;
    note(fixture, 't');
}

static void send_octet(const struct fixture *fixture)
{
    assert_int_equal(write(fixture->pair[1], "x", 1), 1);
}

/* ---- descriptors ---- */

static void test_io_reports_reading_when_octets_came(void **state)
{
    struct fixture *fixture = *state;
    io_init(&fixture->io, fixture->loop, fixture->pair[0], count_ready, fixture);
    io_want(&fixture->io, IO_READ);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->calls, 0);

    send_octet(fixture);
    loop_turn(fixture->loop, DEADLINE_MS);
    assert_int_equal(fixture->calls, 1);
    assert_int_equal(fixture->events, IO_READ);
}

static void test_io_is_level_triggered(void **state)
{
    struct fixture *fixture = *state;
    io_init(&fixture->io, fixture->loop, fixture->pair[0], count_ready, fixture);
    io_want(&fixture->io, IO_READ);
    send_octet(fixture);
    for (unsigned turn = 1; turn <= 3; turn++) {
        loop_turn(fixture->loop, DEADLINE_MS);
        assert_int_equal(fixture->calls, turn);
    }
}

static void test_io_reports_both_directions_in_one_call(void **state)
{
    struct fixture *fixture = *state;
    io_init(&fixture->io, fixture->loop, fixture->pair[0], count_ready, fixture);
    io_want(&fixture->io, IO_READ | IO_WRITE);
    send_octet(fixture);
    loop_turn(fixture->loop, DEADLINE_MS);
    assert_int_equal(fixture->calls, 1);
    assert_int_equal(fixture->events, IO_READ | IO_WRITE);
}

static void test_io_watches_for_exactly_what_is_wanted_now(void **state)
{
    static const struct {
        unsigned wanted;
        unsigned reported;
    } steps[] = {
        {IO_READ, IO_READ},
        {IO_WRITE, IO_WRITE},
        {0, 0},
        {IO_READ | IO_WRITE, IO_READ | IO_WRITE},
        {IO_WRITE, IO_WRITE},
        {IO_READ, IO_READ},
    };
    struct fixture *fixture = *state;
    io_init(&fixture->io, fixture->loop, fixture->pair[0], count_ready, fixture);
    send_octet(fixture);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        fixture->events = 0;
        io_want(&fixture->io, steps[i].wanted);
        loop_turn(fixture->loop, steps[i].wanted != 0 ? DEADLINE_MS : 0);
        assert_int_equal(fixture->events, steps[i].reported);
    }
}

static void test_io_stopped_is_silent_and_may_be_stopped_again(void **state)
{
    struct fixture *fixture = *state;
    io_init(&fixture->io, fixture->loop, fixture->pair[0], count_ready, fixture);
    io_want(&fixture->io, IO_READ);
    send_octet(fixture);
    io_stop(&fixture->io);
    io_stop(&fixture->io);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->calls, 0);
}

static void test_io_zeroed_may_be_stopped(void **state)
{
    struct io io = {0};
    (void)state;
    io_stop(&io);
    assert_int_equal(io.wanted, 0);
}

static void stop_both(void *arg, unsigned events)
{
    struct fixture *fixture = arg;
    count_ready(arg, events);
    io_stop(&fixture->io);
    io_stop(&fixture->other);
}

static void test_io_stopped_by_another_in_the_same_turn_is_not_called(void **state)
{
    struct fixture *fixture = *state;
    io_init(&fixture->io, fixture->loop, fixture->pair[0], stop_both, fixture);
    io_init(&fixture->other, fixture->loop, fixture->pair[1], stop_both, fixture);
    io_want(&fixture->io, IO_WRITE);
    io_want(&fixture->other, IO_WRITE);
    loop_turn(fixture->loop, DEADLINE_MS);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->calls, 1);
}

static void test_io_reports_the_end_of_the_peer_as_reading(void **state)
{
    struct fixture *fixture = *state;
    io_init(&fixture->io, fixture->loop, fixture->pair[0], count_ready, fixture);
    io_want(&fixture->io, IO_READ);
    assert_int_equal(shutdown(fixture->pair[1], SHUT_WR), 0);
    loop_turn(fixture->loop, DEADLINE_MS);
    assert_int_equal(fixture->events, IO_READ);
}

/* ---- timers ---- */

/* Serves until `calls` calls were made. */
static void serve_until(struct fixture *fixture, unsigned calls)
{
    int64_t deadline = clock_ms() + DEADLINE_MS;
    while (fixture->calls < calls && clock_ms() < deadline)
        loop_turn(fixture->loop, DEADLINE_MS);
    assert_int_equal(fixture->calls, calls);
}

static void test_timer_fires_once_and_never_early(void **state)
{
    static const int64_t delays[] = {0, 1, 3, 10, 30};
    struct fixture *fixture = *state;
    timer_init(&fixture->timer, fixture->loop, count_call, fixture);
    for (unsigned i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        loop_turn(fixture->loop, 0);
        int64_t due = loop_now(fixture->loop) + delays[i];
        timer_set(&fixture->timer, delays[i]);
        assert_true(timer_is_set(&fixture->timer));
        serve_until(fixture, i + 1);
        assert_true(loop_now(fixture->loop) >= due);
        assert_false(timer_is_set(&fixture->timer));
    }
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->calls, sizeof(delays) / sizeof(delays[0]));
}

static void test_timer_moved_later_fires_later(void **state)
{
    struct fixture *fixture = *state;
    timer_init(&fixture->timer, fixture->loop, count_call, fixture);
    loop_turn(fixture->loop, 0);
    timer_set(&fixture->timer, 5);
    timer_set(&fixture->timer, 60);
    int64_t due = loop_now(fixture->loop) + 60;
    serve_until(fixture, 1);
    assert_true(loop_now(fixture->loop) >= due);
}

static void test_timer_moved_earlier_fires_earlier(void **state)
{
    struct fixture *fixture = *state;
    timer_init(&fixture->timer, fixture->loop, count_call, fixture);
    int64_t start = clock_ms();
    timer_set(&fixture->timer, 1000000);
    timer_set(&fixture->timer, 5);
    serve_until(fixture, 1);
    assert_true(clock_ms() - start < DEADLINE_MS);
}

static void test_timer_moved_later_and_back_fires_at_the_last_time_set(void **state)
{
    struct fixture *fixture = *state;
    timer_init(&fixture->timer, fixture->loop, count_call, fixture);
    loop_turn(fixture->loop, 0);
    int64_t due = loop_now(fixture->loop) + 20;
    timer_set(&fixture->timer, 10);
    timer_set(&fixture->timer, 1000000);
    timer_set(&fixture->timer, 20);
    serve_until(fixture, 1);
    assert_true(loop_now(fixture->loop) >= due);
}

static void test_timer_cancelled_does_not_fire(void **state)
{
    struct fixture *fixture = *state;
    timer_init(&fixture->timer, fixture->loop, count_call, fixture);
    timer_set(&fixture->timer, 0);
    timer_cancel(&fixture->timer);
    assert_false(timer_is_set(&fixture->timer));
    loop_turn(fixture->loop, 1);
    assert_int_equal(fixture->calls, 0);
}

static void test_timer_zeroed_is_not_set_and_may_be_cancelled(void **state)
{
    struct timer timer = {0};
    (void)state;
    timer_cancel(&timer);
    assert_false(timer_is_set(&timer));
}

static void set_again(void *arg)
{
    struct fixture *fixture = arg;
    count_call(arg);
    if (fixture->calls < 3)
        timer_set(&fixture->timer, 1);
}

static void test_timer_may_be_set_again_while_it_fires(void **state)
{
    struct fixture *fixture = *state;
    timer_init(&fixture->timer, fixture->loop, set_again, fixture);
    timer_set(&fixture->timer, 1);
    serve_until(fixture, 3);
    assert_false(timer_is_set(&fixture->timer));
}

static void test_turn_ends_after_its_timeout_without_events(void **state)
{
    struct fixture *fixture = *state;
    int64_t start = clock_ms();
    loop_turn(fixture->loop, 20);
    /* The coarse clock may be a tick ahead of its turn. */
    assert_true(clock_ms() - start >= 10);
    assert_true(clock_ms() - start < DEADLINE_MS);
}

static void test_now_stands_still_within_a_turn_and_moves_between(void **state)
{
    struct fixture *fixture = *state;
    loop_turn(fixture->loop, 0);
    int64_t first = loop_now(fixture->loop);
    while (clock_ms() <= first)
        assert_int_equal(loop_now(fixture->loop), first);
    loop_turn(fixture->loop, 0);
    assert_true(loop_now(fixture->loop) > first);
}

/* ---- the end of a turn ---- */

static void note_a(void *arg)
{
    note(arg, 'a');
}

static void note_b(void *arg)
{
    note(arg, 'b');
}

static void note_c_and_queue_a(void *arg)
{
    struct fixture *fixture = arg;
    note(fixture, 'c');
    loop_later(fixture->loop, &fixture->turns[0]);
}

static void prepare_turns(struct fixture *fixture)
{
    fixture->turns[0] = (struct turn){.run = note_a, .arg = fixture};
    fixture->turns[1] = (struct turn){.run = note_b, .arg = fixture};
    fixture->turns[2] = (struct turn){.run = note_c_and_queue_a, .arg = fixture};
}

static void test_later_runs_once_in_order_although_queued_twice(void **state)
{
    struct fixture *fixture = *state;
    prepare_turns(fixture);
    loop_later(fixture->loop, &fixture->turns[1]);
    loop_later(fixture->loop, &fixture->turns[0]);
    loop_later(fixture->loop, &fixture->turns[1]);
    loop_turn(fixture->loop, -1);
    assert_string_equal(fixture->trace, "ba");
    loop_turn(fixture->loop, 0);
    assert_string_equal(fixture->trace, "ba");
}

static void queue_both(void *arg, unsigned events)
{
    struct fixture *fixture = arg;
    count_ready(arg, events);
    loop_later(fixture->loop, &fixture->turns[0]);
}

static void test_later_runs_when_all_events_were_served(void **state)
{
    struct fixture *fixture = *state;
    prepare_turns(fixture);
    io_init(&fixture->io, fixture->loop, fixture->pair[0], queue_both, fixture);
    io_init(&fixture->other, fixture->loop, fixture->pair[1], queue_both, fixture);
    io_want(&fixture->io, IO_WRITE);
    io_want(&fixture->other, IO_WRITE);
    loop_turn(fixture->loop, DEADLINE_MS);
    assert_string_equal(fixture->trace, "iia");
}

static void test_later_queued_while_running_runs_in_the_same_round(void **state)
{
    struct fixture *fixture = *state;
    prepare_turns(fixture);
    loop_later(fixture->loop, &fixture->turns[2]);
    loop_later(fixture->loop, &fixture->turns[1]);
    loop_turn(fixture->loop, -1);
    assert_string_equal(fixture->trace, "cba");
}

static void test_forget_drops_any_place_of_the_queue(void **state)
{
    static const char *const left[] = {"bc", "ac", "ab"};
    struct fixture *fixture = *state;
    for (size_t dropped = 0; dropped < 3; dropped++) {
        memset(fixture->trace, 0, sizeof(fixture->trace));
        prepare_turns(fixture);
        fixture->turns[2].run = count_call;
        for (size_t i = 0; i < 3; i++)
            loop_later(fixture->loop, &fixture->turns[i]);
        loop_forget(fixture->loop, &fixture->turns[dropped]);
        loop_forget(fixture->loop, &fixture->turns[dropped]);
        loop_turn(fixture->loop, -1);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(fixture->trace[i], left[dropped][i] == 'c' ? 't' : left[dropped][i]);
        assert_int_equal(strlen(fixture->trace), 2);
    }
}

static void test_queue_takes_items_after_the_last_was_forgotten(void **state)
{
    struct fixture *fixture = *state;
    prepare_turns(fixture);
    loop_later(fixture->loop, &fixture->turns[0]);
    loop_forget(fixture->loop, &fixture->turns[0]);
    loop_later(fixture->loop, &fixture->turns[1]);
    loop_turn(fixture->loop, -1);
    assert_string_equal(fixture->trace, "b");
}

/* ---- running, signals, threads ---- */

static void stop_loop(void *arg)
{
    struct fixture *fixture = arg;
    fixture->calls++;
    loop_stop(fixture->loop);
}

static void test_run_ends_with_the_turn_that_stopped_it(void **state)
{
    struct fixture *fixture = *state;
    timer_init(&fixture->timer, fixture->loop, stop_loop, fixture);
    timer_set(&fixture->timer, 1);
    loop_run(fixture->loop);
    assert_int_equal(fixture->calls, 1);
}

static void test_stop_before_run_is_not_lost(void **state)
{
    struct fixture *fixture = *state;
    loop_stop(fixture->loop);
    loop_run(fixture->loop);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->calls, 0);
}

static void count_signal(int number, void *arg)
{
    struct fixture *fixture = arg;
    fixture->calls++;
    fixture->events = (unsigned)number;
}

static void test_signal_is_caught_in_the_loop(void **state)
{
    struct fixture *fixture = *state;
    loop_on_signal(fixture->loop, &fixture->signal_watch, SIGUSR1, count_signal, fixture);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(fixture->calls, 0);
    serve_until(fixture, 1);
    assert_int_equal(fixture->events, SIGUSR1);
}

static void test_wakes_before_the_turn_make_one_call(void **state)
{
    struct fixture *fixture = *state;
    wake_init(&fixture->wake, fixture->loop, count_call, fixture);
    for (int i = 0; i < 3; i++)
        wake_send(&fixture->wake);
    loop_turn(fixture->loop, DEADLINE_MS);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->calls, 1);
    wake_send(&fixture->wake);
    loop_turn(fixture->loop, DEADLINE_MS);
    assert_int_equal(fixture->calls, 2);
}

static void *send_wake(void *arg)
{
    wake_send(arg);
    return NULL;
}

static void test_wake_from_a_thread_ends_the_wait(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    wake_init(&fixture->wake, fixture->loop, stop_loop, fixture);
    assert_int_equal(pthread_create(&thread, NULL, send_wake, &fixture->wake), 0);
    loop_run(fixture->loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(fixture->calls, 1);
}

static void test_wake_stopped_twice_is_fine(void **state)
{
    struct fixture *fixture = *state;
    wake_init(&fixture->wake, fixture->loop, count_call, fixture);
    int fd = fixture->wake.fd;
    wake_stop(&fixture->wake);
    wake_stop(&fixture->wake);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_twenty_thousand_timers_fire_each(void **state)
{
    enum { MANY = 20000 };
    struct fixture *fixture = *state;
    struct timer *timers = calloc(MANY, sizeof(*timers));
    int64_t start = clock_ms();
    for (int i = 0; i < MANY; i++) {
        timer_init(&timers[i], fixture->loop, stop_loop, fixture);
        timer_set(&timers[i], 1 + i % 50);
    }
    int64_t deadline = start + DEADLINE_MS;
    while (fixture->calls < MANY && clock_ms() < deadline)
        loop_turn(fixture->loop, DEADLINE_MS);
    assert_int_equal(fixture->calls, MANY);
    free(timers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_io_reports_reading_when_octets_came),
        TEST(test_io_is_level_triggered),
        TEST(test_io_reports_both_directions_in_one_call),
        TEST(test_io_watches_for_exactly_what_is_wanted_now),
        TEST(test_io_stopped_is_silent_and_may_be_stopped_again),
        TEST(test_io_zeroed_may_be_stopped),
        TEST(test_io_stopped_by_another_in_the_same_turn_is_not_called),
        TEST(test_io_reports_the_end_of_the_peer_as_reading),
        TEST(test_timer_fires_once_and_never_early),
        TEST(test_timer_moved_later_fires_later),
        TEST(test_timer_moved_earlier_fires_earlier),
        TEST(test_timer_moved_later_and_back_fires_at_the_last_time_set),
        TEST(test_timer_cancelled_does_not_fire),
        TEST(test_timer_zeroed_is_not_set_and_may_be_cancelled),
        TEST(test_timer_may_be_set_again_while_it_fires),
        TEST(test_turn_ends_after_its_timeout_without_events),
        TEST(test_now_stands_still_within_a_turn_and_moves_between),
        TEST(test_later_runs_once_in_order_although_queued_twice),
        TEST(test_later_runs_when_all_events_were_served),
        TEST(test_later_queued_while_running_runs_in_the_same_round),
        TEST(test_forget_drops_any_place_of_the_queue),
        TEST(test_queue_takes_items_after_the_last_was_forgotten),
        TEST(test_run_ends_with_the_turn_that_stopped_it),
        TEST(test_stop_before_run_is_not_lost),
        TEST(test_signal_is_caught_in_the_loop),
        TEST(test_wakes_before_the_turn_make_one_call),
        TEST(test_wake_from_a_thread_ends_the_wait),
        TEST(test_wake_stopped_twice_is_fine),
        TEST(test_twenty_thousand_timers_fire_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
