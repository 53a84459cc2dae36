/* greylist: who is put off and for how long, what is remembered over restarts, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lookup/greylist.h"
#include "util/base/arena.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { NOW = 1790000000, HOUR = 3600, DAY = 24 * HOUR };

static const struct greylist_rules rules = {
    .delay = 300, .window = 2 * DAY, .life = 35 * DAY, .passes = 3};

struct fixture {
    struct greylist greylist;
    char directory[64], path[96], other[96];
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    (void)snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/greylist-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/greylist", fixture->directory);
    (void)snprintf(fixture->other, sizeof(fixture->other), "%s/other", fixture->directory);
    assert_true(greylist_open(&fixture->greylist, fixture->path));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    greylist_close(&fixture->greylist);
    (void)unlink(fixture->path);
    (void)unlink(fixture->other);
    assert_int_equal(rmdir(fixture->directory), 0);
    mem_free(fixture);
    return 0;
}

static uint32_t judge(const struct fixture *fixture, const char *client, const char *sender,
                      uint32_t now)
{
    union net_address address;
    assert_true(net_parse_address(span_cstr(client), &address));
    const struct greylist_try attempt = {&address, span_cstr(sender), SPAN("alice@example.test"),
                                         now};
    return greylist_judge(&fixture->greylist, &rules, &attempt);
}

static void a_letter_is_taken_when_it_comes_again_in_time(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint32_t after, left;
    } tries[] = {{0, 300},     {1, 299},      {299, 1},        {300, 0},           {301, 0},
                 {3 * DAY, 0}, {37 * DAY, 0}, {73 * DAY, 300}, {73 * DAY + 300, 0}};
    for (size_t i = 0; i < COUNT(tries); i++)
        assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW + tries[i].after),
                         tries[i].left);
}

static void one_that_comes_too_late_begins_anew(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW), 300);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW + 2 * DAY + 1), 300);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW + 2 * DAY + 301), 0);
}

static void neighbours_are_one(void **state)
{
    static const struct {
        const char *first, *second;
        bool same;
    } pairs[] = {
        {"192.0.2.1", "192.0.2.254", true},
        {"192.0.2.1", "192.0.3.1", false},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff::1", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        char sender[32];
        (void)snprintf(sender, sizeof(sender), "joe%zu@a.test", i);
        assert_int_equal(judge(fixture, pairs[i].first, sender, NOW), 300);
        assert_int_equal(judge(fixture, pairs[i].second, sender, NOW + 300),
                         pairs[i].same ? 0 : 300);
    }
}

static void another_sender_is_another_letter_but_case_is_not(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW), 300);
    assert_int_equal(judge(fixture, "192.0.2.1", "JOE@a.Test", NOW + 300), 0);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@b.test", NOW + 300), 300);
    assert_int_equal(judge(fixture, "192.0.2.1", "", NOW + 300), 300);
}

/* Three letters that came again, not one that came three times. */
static void a_network_that_proved_itself_is_put_off_no_more(void **state)
{
    struct fixture *fixture = *state;
    static const char *const senders[] = {"a@a.test", "b@a.test", "c@a.test"};
    for (size_t i = 0; i < COUNT(senders); i++) {
        assert_int_equal(judge(fixture, "192.0.2.1", senders[i], NOW), 300);
        assert_int_equal(judge(fixture, "192.0.2.1", senders[i], NOW + 300), 0);
        if (i == 0) {
            assert_int_equal(judge(fixture, "192.0.2.1", senders[0], NOW + 301), 0);
            assert_int_equal(judge(fixture, "192.0.2.1", senders[0], NOW + 302), 0);
        }
    }
    assert_int_equal(judge(fixture, "192.0.2.9", "new@a.test", NOW + 303), 0);
    assert_int_equal(judge(fixture, "192.0.3.9", "new@a.test", NOW + 303), 300);
    /* As long as it is heard of: each letter renews it. */
    assert_int_equal(judge(fixture, "192.0.2.9", "new@b.test", NOW + 34 * DAY), 0);
    assert_int_equal(judge(fixture, "192.0.2.9", "new@c.test", NOW + 68 * DAY), 0);
    assert_int_equal(judge(fixture, "192.0.2.9", "new@d.test", NOW + 104 * DAY), 300);
    assert_int_equal(judge(fixture, "192.0.2.9", "new@d.test", NOW + 104 * DAY + 300), 0);
    assert_int_equal(judge(fixture, "192.0.2.9", "new@e.test", NOW + 104 * DAY + 300), 300);
}

static void a_clock_that_is_set_back_costs_one_more_try(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW), 300);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW - DAY), 300);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW - DAY + 300), 0);
}

static void it_outlives_the_process_and_is_shared_by_two(void **state)
{
    struct fixture *fixture = *state;
    struct fixture second = *fixture;
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW), 300);
    assert_true(greylist_open(&second.greylist, fixture->path));
    assert_int_equal(judge(&second, "192.0.2.1", "joe@a.test", NOW + 300), 0);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW + 301), 0);
    greylist_close(&fixture->greylist);
    assert_true(greylist_open(&fixture->greylist, fixture->path));
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW + 302), 0);
    greylist_close(&second.greylist);
}

/* More first tries than the whole table has places for: the proven network is still known. */
static void a_flood_pushes_out_no_one_who_came_again(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW), 300);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW + 300), 0);
    struct stat before, after;
    assert_int_equal(stat(fixture->path, &before), 0);
    for (uint32_t i = 0; i < 200000; i++) {
        char sender[32];
        (void)snprintf(sender, sizeof(sender), "flood%u@a.test", i);
        (void)judge(fixture, "203.0.113.1", sender, NOW + 400);
    }
    assert_int_equal(stat(fixture->path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW + 500), 0);
}

static void what_is_no_greylist_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct greylist other;
    int fd = open(fixture->other, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(fd, "something else, and not short\n", 30), 30);
    (void)close(fd);
    assert_false(greylist_open(&other, fixture->other));
    assert_int_equal(other.fd, -1);
    struct stat status;
    assert_int_equal(stat(fixture->other, &status), 0);
    assert_int_equal(status.st_size, 30);

    assert_int_equal(unlink(fixture->other), 0);
    assert_int_equal(symlink(fixture->path, fixture->other), 0);
    assert_false(greylist_open(&other, fixture->other));
    assert_int_equal(unlink(fixture->other), 0);
    assert_int_equal(link(fixture->path, fixture->other), 0);
    assert_false(greylist_open(&other, fixture->other));
    assert_int_equal(unlink(fixture->other), 0);
    assert_int_equal(mkfifo(fixture->other, 0600), 0);
    assert_false(greylist_open(&other, fixture->other));
}

static void without_its_file_it_puts_nobody_off(void **state)
{
    struct fixture closed = {.greylist = {.fd = -1}};
    struct fixture *fixture = *state;
    assert_int_equal(judge(&closed, "192.0.2.1", "joe@a.test", NOW), 0);
    assert_int_equal(truncate(fixture->path, 4096), 0);
    assert_int_equal(judge(fixture, "192.0.2.1", "joe@a.test", NOW), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_letter_is_taken_when_it_comes_again_in_time),
        TEST(one_that_comes_too_late_begins_anew),
        TEST(neighbours_are_one),
        TEST(another_sender_is_another_letter_but_case_is_not),
        TEST(a_network_that_proved_itself_is_put_off_no_more),
        TEST(a_clock_that_is_set_back_costs_one_more_try),
        TEST(it_outlives_the_process_and_is_shared_by_two),
        TEST(a_flood_pushes_out_no_one_who_came_again),
        TEST(what_is_no_greylist_is_left_alone),
        TEST(without_its_file_it_puts_nobody_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
