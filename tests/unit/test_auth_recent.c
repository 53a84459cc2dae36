/* recent: what is remembered, for how long, and what makes it forgotten. */
#include "auth/recent.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ALICE  SPAN("alice@example.test")
#define SECRET SPAN("secret")
#define STORED SPAN("$y$stored")

enum { NOW = 5000, LIFE_MS = RECENT_SECONDS * 1000 };

static int set_up(void **state)
{
    struct recent *recent = recent_new();
    recent_add(recent, ALICE, SECRET, STORED, NOW);
    *state = recent;
    return 0;
}

static int tear_down(void **state)
{
    recent_free(*state);
    return 0;
}

static void a_login_is_remembered_until_its_time_is_over(void **state)
{
    assert_true(recent_knows(*state, ALICE, SECRET, STORED, NOW));
    assert_true(recent_knows(*state, ALICE, SECRET, STORED, NOW + LIFE_MS - 1));
    assert_false(recent_knows(*state, ALICE, SECRET, STORED, NOW + LIFE_MS));
}

static void being_asked_does_not_lengthen_the_time_but_being_right_again_does(void **state)
{
    assert_true(recent_knows(*state, ALICE, SECRET, STORED, NOW + 1000));
    recent_add(*state, ALICE, SECRET, STORED, NOW + 2000);
    assert_true(recent_knows(*state, ALICE, SECRET, STORED, NOW + LIFE_MS + 1999));
    assert_false(recent_knows(*state, ALICE, SECRET, STORED, NOW + LIFE_MS + 2000));
}

static void every_part_counts_and_none_runs_into_the_next(void **state)
{
    static const struct {
        struct span user, password, stored;
    } rows[] = {
        {SPAN_INIT("bob@example.test"), SPAN_INIT("secret"), SPAN_INIT("$y$stored")},
        {SPAN_INIT("alice@example.test"), SPAN_INIT("Secret"), SPAN_INIT("$y$stored")},
        {SPAN_INIT("alice@example.test"), SPAN_INIT("secret\0"), SPAN_INIT("$y$stored")},
        {SPAN_INIT("alice@example.test"), SPAN_INIT("secret"), SPAN_INIT("$y$changed")},
        {SPAN_INIT("alice@example.tests"), SPAN_INIT("ecret"), SPAN_INIT("$y$stored")},
        {SPAN_INIT("alice@example.test"), SPAN_INIT("secret$"), SPAN_INIT("y$stored")},
        {SPAN_INIT("alice@example.test"), SPAN_INIT(""), SPAN_INIT("$y$stored")},
        {SPAN_INIT(""), SPAN_INIT(""), SPAN_INIT("")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_false(recent_knows(*state, rows[i].user, rows[i].password, rows[i].stored, NOW));
    assert_true(recent_knows(*state, ALICE, SECRET, STORED, NOW));
}

static void another_process_remembers_nothing_of_it(void **state)
{
    (void)state;
    struct recent *other = recent_new();
    assert_false(recent_knows(other, ALICE, SECRET, STORED, NOW));
    recent_free(other);
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
    for (unsigned i = 0; i < RECENT_MOST; i++)
        recent_add(*state, span_of(&i, sizeof(i)), SECRET, STORED, NOW + 1);
    unsigned first = 0;
    assert_false(recent_knows(*state, ALICE, SECRET, STORED, NOW + 1));
    assert_true(recent_knows(*state, span_of(&first, sizeof(first)), SECRET, STORED, NOW + 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_login_is_remembered_until_its_time_is_over),
        TEST(being_asked_does_not_lengthen_the_time_but_being_right_again_does),
        TEST(every_part_counts_and_none_runs_into_the_next),
        TEST(another_process_remembers_nothing_of_it),
        TEST(the_oldest_goes_when_there_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
