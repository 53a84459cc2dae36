/* rates: exact limits over a moving window, whatever the number of those who count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/sys/rates.h"

enum { MINUTE = 60000, THREADS = 4, PROCESSES = 4, ATTEMPTS = 20000 };

struct fixture {
    int fd;
    struct rates *rates, *other; /* two processes would map it so */
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture.fd = rates_create();
    assert_true(fixture.fd >= 0);
    fixture.rates = rates_map(fixture.fd);
    fixture.other = rates_map(fixture.fd);
    assert_non_null(fixture.rates);
    assert_non_null(fixture.other);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    rates_unmap(fixture->rates);
    rates_unmap(fixture->other);
    (void)close(fixture->fd);
    return 0;
}

static struct rates_ask ask_of(enum rate rate, uint64_t who, uint64_t limit, int64_t now)
{
    return (struct rates_ask){rate, who, limit, now};
}

/* How many of `attempts` pass. */
static unsigned passed(struct rates *rates, struct rates_ask ask, unsigned attempts)
{
    unsigned count = 0;
    for (unsigned i = 0; i < attempts; i++)
        count += rates_take(rates, &ask) == RATES_OK;
    return count;
}

/* ---- the memory ---- */

static void the_memory_can_not_be_resized_nor_unsealed(void **state)
{
    const struct fixture *fixture = *state;
    struct stat status;
    assert_int_equal(fstat(fixture->fd, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(ftruncate(fixture->fd, 0), -1);
    assert_int_equal(ftruncate(fixture->fd, status.st_size + 1), -1);
    assert_int_equal(fcntl(fixture->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void memory_of_another_size_is_refused(void **state)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    (void)state;
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_null(rates_map(fd));
    assert_int_equal(errno, EINVAL);
    (void)close(fd);
}

/* ---- limits ---- */

static void a_limit_is_exact_and_shared_by_all_mappings(void **state)
{
    struct fixture *fixture = *state;
    struct rates_ask ask = ask_of(RATE_CONNECTIONS, 7, 10, MINUTE);
    assert_int_equal(passed(fixture->rates, ask, 6), 6);
    assert_int_equal(passed(fixture->other, ask, 6), 4);
    assert_true(rates_is_full(fixture->rates, &ask));
}

static void the_largest_limit_is_counted_to_its_end(void **state)
{
    struct fixture *fixture = *state;
    struct rates_ask ask = ask_of(RATE_RECIPIENTS, 7, RATES_LIMIT, 0);
    assert_int_equal(passed(fixture->rates, ask, RATES_LIMIT + 5), RATES_LIMIT);
    /* And a window later all of them still count. */
    ask.now = rates_window_ms(RATE_RECIPIENTS);
    assert_int_equal(passed(fixture->rates, ask, 1), 0);
}

static void the_first_excess_of_a_window_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    struct rates_ask ask = ask_of(RATE_ACCOUNT_RECIPIENTS, 7, 2, 0);
    assert_int_equal(passed(fixture->rates, ask, 2), 2);
    assert_int_equal(rates_take(fixture->rates, &ask), RATES_EXCEEDED_FIRST);
    assert_int_equal(rates_take(fixture->other, &ask), RATES_EXCEEDED);
    assert_int_equal(rates_take(fixture->rates, &ask), RATES_EXCEEDED);
    ask.now = rates_window_ms(RATE_ACCOUNT_RECIPIENTS);
    assert_int_equal(rates_take(fixture->rates, &ask), RATES_EXCEEDED_FIRST);
}

static void what_was_refused_is_not_counted(void **state)
{
    struct fixture *fixture = *state;
    struct rates_ask ask = ask_of(RATE_CONNECTIONS, 7, 10, 0);
    assert_int_equal(passed(fixture->rates, ask, 1000), 10);
    ask.limit = 11;
    assert_int_equal(passed(fixture->rates, ask, 1000), 1);
}

static void the_window_before_counts_by_the_share_that_is_left_of_it(void **state)
{
    static const struct {
        int64_t now;
        unsigned passes; /* of a limit of 100, after 100 in the first window */
    } rows[] = {
        {MINUTE - 1, 0},           {MINUTE, 0},           {MINUTE + MINUTE / 4, 25},
        {MINUTE + MINUTE / 2, 50}, {2 * MINUTE - 1, 100}, {2 * MINUTE, 100},
        {9 * MINUTE, 100},
    };
    struct fixture *fixture = *state;
    for (uint64_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rates_ask ask = ask_of(RATE_CONNECTIONS, i + 1, 100, 0);
        assert_int_equal(passed(fixture->rates, ask, 100), 100);
        ask.now = rows[i].now;
        assert_int_equal(passed(fixture->rates, ask, 200), rows[i].passes);
    }
}

static void a_clock_that_is_a_window_behind_counts_in_the_later_one(void **state)
{
    struct fixture *fixture = *state;
    struct rates_ask ask = ask_of(RATE_CONNECTIONS, 7, 10, MINUTE);
    assert_int_equal(passed(fixture->rates, ask, 4), 4);
    ask.now = MINUTE - 1;
    assert_int_equal(passed(fixture->other, ask, 10), 6);
    ask.now = MINUTE;
    assert_int_equal(passed(fixture->rates, ask, 10), 0);
}

static void rates_and_networks_do_not_count_for_each_other(void **state)
{
    struct fixture *fixture = *state;
    for (int rate = 0; rate < RATE_COUNT; rate++)
        for (uint64_t who = 1; who < 100; who++)
            assert_int_equal(passed(fixture->rates, ask_of((enum rate)rate, who, 3, 0), 5), 3);
}

static void asking_whether_it_is_full_counts_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct rates_ask ask = ask_of(RATE_FAILURES, 7, 2, 0);
    for (int i = 0; i < 10; i++)
        assert_false(rates_is_full(fixture->rates, &ask));
    assert_int_equal(passed(fixture->rates, ask, 2), 2);
    assert_true(rates_is_full(fixture->rates, &ask));
}

/* Ten times as many as there are slots: those who were there often stay. */
static void a_flood_of_newcomers_does_not_wash_out_who_was_often_there(void **state)
{
    struct fixture *fixture = *state;
    struct rates_ask often = ask_of(RATE_CONNECTIONS, UINT64_MAX, 50, 0);
    assert_int_equal(passed(fixture->rates, often, 40), 40);
    for (uint64_t who = 1; who < 10 * RATES_SLOTS; who++)
        (void)passed(fixture->rates, ask_of(RATE_CONNECTIONS, who, 50, 0), 1);
    assert_int_equal(passed(fixture->rates, often, 50), 10);
}

static void accounts_are_compared_without_case_in_every_mapping(void **state)
{
    struct fixture *fixture = *state;
    uint64_t alice = rates_account(fixture->rates, SPAN("alice@example.test"));
    assert_int_equal(alice, rates_account(fixture->other, SPAN("Alice@EXAMPLE.test")));
    assert_int_not_equal(alice, rates_account(fixture->rates, SPAN("alice@example.tes")));
}

/* ---- many at once ---- */

struct racer {
    struct rates *rates;
    struct rates_ask ask;
    unsigned passed, first;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        enum rates_result result = rates_take(racer->rates, &racer->ask);
        racer->passed += result == RATES_OK;
        racer->first += result == RATES_EXCEEDED_FIRST;
    }
    return NULL;
}

static void threads_together_pass_exactly_the_limit_and_tell_once(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[THREADS];
    struct racer racers[THREADS];
    unsigned sum = 0, first = 0;
    for (int i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){i % 2 ? fixture->rates : fixture->other,
                                   ask_of(RATE_MESSAGES, 7, ATTEMPTS, 0), 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += racers[i].passed;
        first += racers[i].first;
    }
    assert_int_equal(sum, ATTEMPTS);
    assert_int_equal(first, 1);
}

/* Many networks at once, each counted by all processes: what passed is told through a pipe. */
static void processes_together_pass_exactly_the_limit_of_each_network(void **state)
{
    enum { NETWORKS = 200, LIMIT = 30 };
    struct fixture *fixture = *state;
    unsigned sum = 0;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid != 0)
            continue;
        struct rates *mine = rates_map(fixture->fd);
        unsigned count = 0;
        for (unsigned round = 0; mine != NULL && round < LIMIT; round++)
            for (uint64_t who = 0; who < NETWORKS; who++)
                count += passed(mine, ask_of(RATE_CONNECTIONS, who, LIMIT, 0), 1);
        _exit(write(ends[1], &count, sizeof(count)) == sizeof(count) ? 0 : 1);
    }
    for (int i = 0; i < PROCESSES; i++) {
        unsigned count;
        int status;
        assert_int_equal(read(ends[0], &count, sizeof(count)), sizeof(count));
        assert_true(wait(&status) > 0 && status == 0);
        sum += count;
    }
    assert_int_equal(sum, NETWORKS * LIMIT);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* An owned worker writes what it likes: limits go wrong, and nothing else. */
static void octets_of_any_kind_only_spoil_the_limits(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    assert_int_equal(fstat(fixture->fd, &status), 0);
    size_t size = (size_t)status.st_size;
    unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fixture->fd, 0);
    assert_true(memory != MAP_FAILED);
    srandom(1);
    for (size_t i = 0; i < size; i++)
        memory[i] = (unsigned char)random();
    for (uint64_t who = 0; who < 20000; who++) {
        struct rates_ask ask = ask_of((enum rate)(who % RATE_COUNT), who, 10, (int64_t)who * 1000);
        assert_in_range(passed(fixture->rates, ask, 12), 0, 12);
    }
    for (size_t i = 0; i < RATES_STOPPED; i++) {
        char name[RATES_NAME_MAX];
        struct span shown = rates_stopped(fixture->rates, i, 1, name);
        assert_in_range(shown.len, 0, RATES_NAME_MAX);
        for (size_t j = 0; j < shown.len; j++)
            assert_in_range(shown.data[j], '!', '~');
    }
    (void)munmap(memory, size);
}

/* ---- stopped accounts ---- */

/* Whether the account is shown at `now`, and how often. */
static unsigned shown(const struct rates *rates, const char *account, int64_t now)
{
    unsigned count = 0;
    for (size_t i = 0; i < RATES_STOPPED; i++) {
        char name[RATES_NAME_MAX];
        count += span_equal(rates_stopped(rates, i, now, name), span_cstr(account));
    }
    return count;
}

static void a_stopped_account_is_shown_once_until_its_time_ends(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(shown(fixture->rates, "alice@example.test", 1), 0);
    rates_note_stopped(fixture->rates, SPAN("alice@example.test"), 1, 100);
    rates_note_stopped(fixture->rates, SPAN("alice@example.test"), 1, 200);
    assert_int_equal(shown(fixture->other, "alice@example.test", 199), 1);
    assert_int_equal(shown(fixture->other, "alice@example.test", 200), 0);
}

static void a_name_that_could_forge_a_line_is_shown_harmless(void **state)
{
    struct fixture *fixture = *state;
    rates_note_stopped(fixture->rates, SPAN("a b\nready 1\x1b"), 0, 10);
    assert_int_equal(shown(fixture->other, "a?b?ready?1?", 1), 1);
    rates_note_stopped(fixture->rates, SPAN(""), 0, 10);
    assert_int_equal(shown(fixture->other, "a?b?ready?1?", 1), 1);
}

static void with_too_many_stopped_the_one_that_ends_first_gives_way(void **state)
{
    struct fixture *fixture = *state;
    char name[32];
    for (int i = 0; i <= RATES_STOPPED; i++) {
        (void)snprintf(name, sizeof(name), "user%d", i);
        rates_note_stopped(fixture->rates, span_cstr(name), 1, 100 + i);
    }
    assert_int_equal(shown(fixture->rates, "user0", 1), 0);
    assert_int_equal(shown(fixture->rates, "user1", 1), 1);
    assert_int_equal(shown(fixture->rates, name, 1), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_memory_can_not_be_resized_nor_unsealed),
        TEST(memory_of_another_size_is_refused),
        TEST(a_limit_is_exact_and_shared_by_all_mappings),
        TEST(the_largest_limit_is_counted_to_its_end),
        TEST(the_first_excess_of_a_window_is_told_once),
        TEST(what_was_refused_is_not_counted),
        TEST(the_window_before_counts_by_the_share_that_is_left_of_it),
        TEST(a_clock_that_is_a_window_behind_counts_in_the_later_one),
        TEST(rates_and_networks_do_not_count_for_each_other),
        TEST(asking_whether_it_is_full_counts_nothing),
        TEST(a_flood_of_newcomers_does_not_wash_out_who_was_often_there),
        TEST(accounts_are_compared_without_case_in_every_mapping),
        TEST(threads_together_pass_exactly_the_limit_and_tell_once),
        TEST(processes_together_pass_exactly_the_limit_of_each_network),
        TEST(octets_of_any_kind_only_spoil_the_limits),
        TEST(a_stopped_account_is_shown_once_until_its_time_ends),
        TEST(a_name_that_could_forge_a_line_is_shown_harmless),
        TEST(with_too_many_stopped_the_one_that_ends_first_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
