/* Each page is mapped twice, as its owner and as a reader do. */
#include "util/sys/page.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The owner's mapping and a reader's, of one page. */
struct fixture {
    int fd;
    int readonly;
    struct page *own;
    struct page *seen;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture.fd = page_create();
    assert_true(fixture.fd >= 0);
    fixture.readonly = page_reopen_readonly(fixture.fd);
    assert_true(fixture.readonly >= 0);
    fixture.own = page_map(fixture.fd, true);
    fixture.seen = page_map(fixture.readonly, false);
    assert_non_null(fixture.own);
    assert_non_null(fixture.seen);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    page_unmap(fixture->own);
    page_unmap(fixture->seen);
    (void)close(fixture->fd);
    (void)close(fixture->readonly);
    return 0;
}

/* ---- signs of life ---- */

static void test_every_beat_of_the_owner_is_seen(void **state)
{
    const struct fixture *fixture = *state;
    assert_int_equal(page_beats(fixture->seen), 0);
    page_beat(fixture->own);
    page_beat(fixture->own);
    assert_int_equal(page_beats(fixture->seen), 2);
}

static void test_a_queue_is_counted_until_its_owner_dies(void **state)
{
    const struct fixture *fixture = *state;
    assert_false(page_queue_is_counted(fixture->seen));
    page_queue_counted(fixture->own);
    assert_true(page_queue_is_counted(fixture->seen));
    page_owner_died(fixture->own);
    assert_false(page_queue_is_counted(fixture->seen));
}

/* ---- the memory ---- */

static void test_a_page_can_not_be_resized_nor_unsealed(void **state)
{
    const struct fixture *fixture = *state;
    struct stat status;
    assert_int_equal(fstat(fixture->fd, &status), 0);
    assert_int_equal(ftruncate(fixture->fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fixture->fd, status.st_size + 1), -1);
    assert_int_equal(fcntl(fixture->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(fcntl(fixture->fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static void test_a_page_is_for_its_owner_alone(void **state)
{
    const struct fixture *fixture = *state;
    struct stat status;
    assert_int_equal(fstat(fixture->fd, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_true(fcntl(fixture->fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fixture->readonly, F_GETFD) & FD_CLOEXEC);
}

static void test_a_readers_descriptor_can_not_be_mapped_for_writing(void **state)
{
    const struct fixture *fixture = *state;
    assert_null(page_map(fixture->readonly, true));
    assert_int_equal(errno, EACCES);
}

static void test_a_readers_mapping_can_not_be_made_writable(void **state)
{
    const struct fixture *fixture = *state;
    assert_int_equal(mprotect(fixture->seen, 4096, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(errno, EACCES);
}

static void test_a_file_of_another_size_is_not_mapped(void **state)
{
    (void)state;
    int fd = memfd_create("short", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_null(page_map(fd, false));
    assert_int_equal(errno, EINVAL);
    (void)close(fd);
}

static void test_reopening_what_is_not_open_fails(void **state)
{
    (void)state;
    assert_int_equal(page_reopen_readonly(-1), -1);
}

/* ---- values ---- */

static void test_values_have_names_that_differ(void **state)
{
    (void)state;
    for (enum page_value a = 0; a < PAGE_VALUE_COUNT; a++) {
        assert_true(strlen(page_value_name(a)) > 0);
        for (enum page_value b = 0; b < a; b++)
            assert_string_not_equal(page_value_name(a), page_value_name(b));
    }
    assert_string_equal(page_value_name(PAGE_LOGIN_FAILURES), "login-failures");
}

static void test_values_begin_with_zero(void **state)
{
    const struct fixture *fixture = *state;
    for (enum page_value value = 0; value < PAGE_VALUE_COUNT; value++)
        assert_int_equal(page_get(fixture->seen, value), 0);
}

static void test_what_the_owner_counts_the_reader_sees(void **state)
{
    const struct fixture *fixture = *state;
    page_add(fixture->own, PAGE_CONNECTIONS, 3);
    page_add(fixture->own, PAGE_CONNECTIONS, 1);
    page_add(fixture->own, PAGE_SESSIONS, 2);
    page_add(fixture->own, PAGE_SESSIONS, -1);
    page_set(fixture->own, PAGE_PRESSURE, PRESSURE_FULL);
    assert_int_equal(page_get(fixture->seen, PAGE_CONNECTIONS), 4);
    assert_int_equal(page_get(fixture->seen, PAGE_SESSIONS), 1);
    assert_int_equal(page_get(fixture->seen, PAGE_PRESSURE), PRESSURE_FULL);
    assert_int_equal(page_get(fixture->seen, PAGE_MESSAGES_IN), 0);
}

static void test_values_outlive_a_mapping(void **state)
{
    struct fixture *fixture = *state;
    page_add(fixture->own, PAGE_DELIVERED, 7);
    page_unmap(fixture->own);
    fixture->own = page_map(fixture->fd, true);
    assert_int_equal(page_get(fixture->own, PAGE_DELIVERED), 7);
}

enum { COUNTS = 20000 };

static void *count_many(void *arg)
{
    for (int i = 0; i < COUNTS; i++)
        page_add(arg, PAGE_CORRUPT, 1);
    return NULL;
}

static void test_two_threads_of_the_owner_lose_no_count(void **state)
{
    const struct fixture *fixture = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, count_many, fixture->own), 0);
    (void)count_many(fixture->own);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(page_get(fixture->seen, PAGE_CORRUPT), 2 * COUNTS);
}

/* ---- the connection table ---- */

static void test_connections_are_counted_by_network(void **state)
{
    const struct fixture *fixture = *state;
    page_connections_add(fixture->own, 10, 1);
    page_connections_add(fixture->own, 10, 1);
    page_connections_add(fixture->own, 11, 1);
    assert_int_equal(page_connections(fixture->seen, 10), 2);
    assert_int_equal(page_connections(fixture->seen, 11), 1);
    assert_int_equal(page_connections(fixture->seen, 12), 0);

    page_connections_add(fixture->own, 10, -1);
    page_connections_add(fixture->own, 11, -1);
    assert_int_equal(page_connections(fixture->seen, 10), 1);
    assert_int_equal(page_connections(fixture->seen, 11), 0);
}

static void test_a_network_that_is_not_there_is_not_counted_down(void **state)
{
    const struct fixture *fixture = *state;
    page_connections_add(fixture->own, 10, -1);
    assert_int_equal(page_connections(fixture->seen, 10), 0);
    page_connections_add(fixture->own, 10, 1);
    assert_int_equal(page_connections(fixture->seen, 10), 1);
}

static void test_five_thousand_networks_are_all_counted(void **state)
{
    enum { NETWORKS = 5000 };
    const struct fixture *fixture = *state;
    for (uint64_t key = 1; key <= NETWORKS; key++)
        page_connections_add(fixture->own, key << 32, 1);
    for (uint64_t key = 1; key <= NETWORKS; key++)
        assert_int_equal(page_connections(fixture->seen, key << 32), 1);
}

static void test_slots_of_networks_that_left_are_used_again(void **state)
{
    enum { NETWORKS = 20 * PAGE_SLOTS };
    const struct fixture *fixture = *state;
    for (uint64_t key = 1; key <= NETWORKS; key++) {
        page_connections_add(fixture->own, key, 1);
        assert_int_equal(page_connections(fixture->seen, key), 1);
        page_connections_add(fixture->own, key, -1);
        assert_int_equal(page_connections(fixture->seen, key), 0);
    }
}

static void test_a_network_stays_counted_while_others_come_and_go(void **state)
{
    const struct fixture *fixture = *state;
    page_connections_add(fixture->own, 1, 1);
    for (uint64_t key = 2; key < PAGE_SLOTS / 2; key++)
        page_connections_add(fixture->own, key, 1);
    for (uint64_t key = 2; key < PAGE_SLOTS / 2; key++)
        page_connections_add(fixture->own, key, -1);
    page_connections_add(fixture->own, 1, 1);
    assert_int_equal(page_connections(fixture->seen, 1), 2);
}

static void test_a_full_table_counts_what_it_holds_and_loses_the_rest(void **state)
{
    const struct fixture *fixture = *state;
    uint64_t total = 0;
    for (uint64_t key = 1; key <= 2 * PAGE_SLOTS; key++)
        page_connections_add(fixture->own, key, 1);
    for (uint64_t key = 1; key <= 2 * PAGE_SLOTS; key++)
        total += page_connections(fixture->seen, key);
    assert_in_range(total, PAGE_SLOTS * 9 / 10, PAGE_SLOTS);
}

static void test_when_the_owner_died_gauges_go_and_counters_stay(void **state)
{
    const struct fixture *fixture = *state;
    page_add(fixture->own, PAGE_CONNECTIONS, 5);
    page_add(fixture->own, PAGE_SESSIONS, 5);
    page_connections_add(fixture->own, 10, 1);
    page_owner_died(fixture->own);
    assert_int_equal(page_get(fixture->seen, PAGE_CONNECTIONS), 5);
    assert_int_equal(page_get(fixture->seen, PAGE_SESSIONS), 0);
    assert_int_equal(page_connections(fixture->seen, 10), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_page_can_not_be_resized_nor_unsealed),
        TEST(test_every_beat_of_the_owner_is_seen),
        TEST(test_a_queue_is_counted_until_its_owner_dies),
        TEST(test_a_page_is_for_its_owner_alone),
        TEST(test_a_readers_descriptor_can_not_be_mapped_for_writing),
        TEST(test_a_readers_mapping_can_not_be_made_writable),
        TEST(test_a_file_of_another_size_is_not_mapped),
        TEST(test_reopening_what_is_not_open_fails),
        TEST(test_values_have_names_that_differ),
        TEST(test_values_begin_with_zero),
        TEST(test_what_the_owner_counts_the_reader_sees),
        TEST(test_values_outlive_a_mapping),
        TEST(test_two_threads_of_the_owner_lose_no_count),
        TEST(test_connections_are_counted_by_network),
        TEST(test_a_network_that_is_not_there_is_not_counted_down),
        TEST(test_five_thousand_networks_are_all_counted),
        TEST(test_slots_of_networks_that_left_are_used_again),
        TEST(test_a_network_stays_counted_while_others_come_and_go),
        TEST(test_a_full_table_counts_what_it_holds_and_loses_the_rest),
        TEST(test_when_the_owner_died_gauges_go_and_counters_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
