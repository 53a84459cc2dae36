/*
 * Each thread tells of itself what was seen in it.
 */
#include "util/sys/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE};
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

static void *look_at_mask(void *arg)
{
    (void)pthread_sigmask(SIG_SETMASK, NULL, arg);
    return arg;
}

static void thread_runs_with_its_argument(void **state)
{
    (void)state;
    pthread_t thread;
    sigset_t mask;
    void *answer = NULL;
    thread_start(&thread, look_at_mask, &mask);
    assert_int_equal(pthread_join(thread, &answer), 0);
    assert_ptr_equal(answer, &mask);
}

static void thread_has_every_signal_blocked(void **state)
{
    (void)state;
    pthread_t thread;
    sigset_t mask;
    (void)sigemptyset(&mask);
    thread_start(&thread, look_at_mask, &mask);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < SIGNALS; i++)
        assert_int_equal(sigismember(&mask, signals[i]), 1);
}

static void starter_keeps_its_own_mask(void **state)
{
    (void)state;
    pthread_t thread;
    sigset_t mine, mask;
    (void)sigemptyset(&mine);
    (void)sigaddset(&mine, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mine, NULL), 0);
    thread_start(&thread, look_at_mask, &mask);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)look_at_mask(&mask);
    for (size_t i = 0; i < SIGNALS; i++)
        assert_int_equal(sigismember(&mask, signals[i]), signals[i] == SIGUSR1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_runs_with_its_argument),
        cmocka_unit_test(thread_has_every_signal_blocked),
        cmocka_unit_test(starter_keeps_its_own_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
