/* hasher: real threads, real hashes of a low cost, and what a job hears of its end. */
#include "auth/hasher.h"

#include <crypt.h>
#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/base/arena.h"

enum { JOBS = 24, TURNS = 2000, TURN_MS = 20 };

struct fixture {
    struct loop *loop;
    struct hasher *hasher;
    struct crypt_data scratch;
    unsigned done;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    fixture->loop = loop_new();
    fixture->hasher = hasher_new(fixture->loop);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    hasher_free(fixture->hasher);
    loop_free(fixture->loop);
    mem_free(fixture);
    return 0;
}

/* The hash of `password` in `out`. */
static void hash_into(struct fixture *fixture, const char *method, unsigned long cost,
                      const char *password, char out[CRYPT_OUTPUT_SIZE])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    assert_non_null(crypt_gensalt_rn(method, cost, NULL, 0, setting, sizeof(setting)));
    const char *hash =
        crypt_rn(password, setting, &fixture->scratch, (int)sizeof(fixture->scratch));
    assert_non_null(hash);
    memcpy(out, hash, strlen(hash) + 1);
}

static void count(void *arg)
{
    struct fixture *fixture = arg;
    fixture->done++;
}

static void wait_done(struct fixture *fixture, unsigned jobs)
{
    for (int i = 0; i < TURNS && fixture->done < jobs; i++)
        loop_turn(fixture->loop, TURN_MS);
    assert_int_equal(fixture->done, jobs);
}

static bool matches(struct fixture *fixture, const char *password, const char *stored)
{
    struct hash_job job = {
        .password = password, .stored = stored, .done = count, .arg = fixture, .match = true};
    fixture->done = 0;
    hasher_submit(fixture->hasher, &job);
    wait_done(fixture, 1);
    return job.match;
}

static void the_right_password_matches_and_no_other(void **state)
{
    static const struct {
        const char *method;
        unsigned long cost; /* the least there is */
    } rows[] = {{"$y$", 1}, {"$2b$", 4}, {"$6$", 1000}, {"$5$", 1000}};
    struct fixture *fixture = *state;
    char stored[CRYPT_OUTPUT_SIZE];
    hasher_start(fixture->hasher, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hash_into(fixture, rows[i].method, rows[i].cost, "secret", stored);
        assert_true(matches(fixture, "secret", stored));
        assert_false(matches(fixture, "Secret", stored));
        assert_false(matches(fixture, "secret ", stored));
        assert_false(matches(fixture, "", stored));
    }
}

static void what_is_no_hash_matches_nothing(void **state)
{
    static const char *const stored[] = {"", "*", "!", "*0", "*1", "secret", "$", "$y$", "$y$j9T$"};
    struct fixture *fixture = *state;
    hasher_start(fixture->hasher, 1);
    for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++) {
        assert_false(matches(fixture, "secret", stored[i]));
        assert_false(matches(fixture, stored[i], stored[i]));
        assert_false(matches(fixture, "", stored[i]));
    }
}

static void a_hash_that_was_cut_or_lengthened_matches_nothing(void **state)
{
    struct fixture *fixture = *state;
    char stored[CRYPT_OUTPUT_SIZE];
    hash_into(fixture, "$y$", 1, "secret", stored);
    size_t len = strlen(stored);
    hasher_start(fixture->hasher, 1);
    assert_true(matches(fixture, "secret", stored));
    stored[len] = 'x';
    stored[len + 1] = '\0';
    assert_false(matches(fixture, "secret", stored));
    stored[len - 1] = '\0';
    assert_false(matches(fixture, "secret", stored));
}

static void locked_entries_are_told_from_hashes(void **state)
{
    static const char *const no_hash[] = {"", "*", "!", "*0", "!$y$j9T$salt$hash", "x"};
    struct fixture *fixture = *state;
    char stored[CRYPT_OUTPUT_SIZE];
    for (size_t i = 0; i < sizeof(no_hash) / sizeof(no_hash[0]); i++)
        assert_false(hasher_takes(no_hash[i]));
    hash_into(fixture, "$y$", 1, "secret", stored);
    assert_true(hasher_takes(stored));
    assert_true(hasher_takes(hasher_dummy(fixture->hasher)));
}

/* Same method, same cost: the parameters stand before the salt, crypt(5). */
static void the_dummy_costs_what_a_new_hash_costs(void **state)
{
    const struct fixture *fixture = *state;
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    const char *dummy = hasher_dummy(fixture->hasher);
    assert_non_null(crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)));
    size_t parameters = (size_t)(strchr(setting + 3, '$') - setting) + 1;
    assert_memory_equal(dummy, setting, parameters);
    assert_true(strlen(dummy) > strlen(setting));
}

static void nothing_matches_the_dummy(void **state)
{
    struct fixture *fixture = *state;
    hasher_start(fixture->hasher, 1);
    assert_false(matches(fixture, "", hasher_dummy(fixture->hasher)));
    assert_false(matches(fixture, hasher_dummy(fixture->hasher), hasher_dummy(fixture->hasher)));
}

static void every_job_is_done_once_and_hears_its_own_answer(void **state)
{
    struct fixture *fixture = *state;
    struct hash_job jobs[JOBS];
    char stored[CRYPT_OUTPUT_SIZE];
    hash_into(fixture, "$y$", 1, "secret", stored);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = (struct hash_job){.password = i % 3 == 0 ? "secret" : "guess",
                                    .stored = stored,
                                    .done = count,
                                    .arg = fixture};
        hasher_submit(fixture->hasher, &jobs[i]);
    }
    hasher_start(fixture->hasher, HASHER_THREADS);
    wait_done(fixture, JOBS);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(jobs[i].match, i % 3 == 0);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->done, JOBS);
}

static void jobs_that_were_not_done_are_dropped_at_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct hash_job job = {
        .password = "secret", .stored = "$y$j9T$x", .done = count, .arg = fixture};
    struct hasher *hasher = hasher_new(fixture->loop);
    hasher_submit(hasher, &job);
    hasher_free(hasher);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->done, 0);
}

/* What the kernel says of a thread's mask. */
static uint64_t blocked_signals(const char *thread)
{
    char path[64], line[256];
    uint64_t mask = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", thread);
    FILE *status = fopen(path, "re");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status) != NULL)
        (void)sscanf(line, "SigBlk: %" SCNx64, &mask);
    (void)fclose(status);
    return mask;
}

static void signals_are_left_to_the_loop(void **state)
{
    const struct fixture *fixture = *state;
    unsigned threads = 0;
    hasher_start(fixture->hasher, 3);
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
            continue;
        assert_true((blocked_signals(entry->d_name) & (UINT64_C(1) << (SIGTERM - 1))) != 0);
        threads++;
    }
    (void)closedir(tasks);
    assert_int_equal(threads, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_right_password_matches_and_no_other),
        TEST(what_is_no_hash_matches_nothing),
        TEST(a_hash_that_was_cut_or_lengthened_matches_nothing),
        TEST(locked_entries_are_told_from_hashes),
        TEST(the_dummy_costs_what_a_new_hash_costs),
        TEST(nothing_matches_the_dummy),
        TEST(every_job_is_done_once_and_hears_its_own_answer),
        TEST(signals_are_left_to_the_loop),
        TEST(jobs_that_were_not_done_are_dropped_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
