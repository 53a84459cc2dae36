/* delays: how they grow, whom they concern, and what forgets them. Times are given, not waited for.
 */
#include "auth/delays.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ALICE SPAN("alice@example.test")
#define BOB   SPAN("bob@example.test")
#define HERE  SPAN("192.0.2.1")
#define THERE SPAN("192.0.2.2")

enum { FIRST = 2, MOST = 15, FORGET_MS = DELAYS_FORGET_SECONDS * 1000 };

static int set_up(void **state)
{
    *state = delays_new(FIRST, MOST);
    return 0;
}

static int tear_down(void **state)
{
    delays_free(*state);
    return 0;
}

/* Each failure from another client. */
static int64_t fail_account(struct delays *delays, struct span account, int64_t now)
{
    static unsigned client;
    client++;
    return delays_failed(delays, account, span_of(&client, sizeof(client)), now);
}

/* Each failure with another account. */
static int64_t fail_client(struct delays *delays, struct span client, int64_t now)
{
    static unsigned account;
    account++;
    return delays_failed(delays, span_of(&account, sizeof(account)), client, now);
}

static void delays_of_an_account_double_up_to_the_most(void **state)
{
    static const int64_t expected[] = {2000, 4000, 8000, 15000, 15000};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(fail_account(*state, ALICE, 0), expected[i]);
    assert_int_equal(fail_account(*state, BOB, 0), 2000);
}

static void delays_of_a_client_double_up_to_the_most(void **state)
{
    static const int64_t expected[] = {2000, 4000, 8000, 15000, 15000};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(fail_client(*state, HERE, 0), expected[i]);
    assert_int_equal(fail_client(*state, THERE, 0), 2000);
}

static void addresses_of_one_ipv6_network_share_their_delay(void **state)
{
    assert_int_equal(fail_client(*state, SPAN("2001:db8::1"), 0), 2000);
    assert_int_equal(fail_client(*state, SPAN("2001:db8::2:3"), 0), 4000);
    assert_int_equal(fail_client(*state, SPAN("2001:db8:0:1::1"), 0), 2000);
}

static void the_longer_of_both_counts(void **state)
{
    for (int i = 0; i < 3; i++)
        (void)fail_client(*state, HERE, 0);
    assert_int_equal(delays_failed(*state, ALICE, HERE, 0), 15000);
    assert_int_equal(delays_failed(*state, ALICE, THERE, 0), 4000);
}

static void an_account_and_a_client_of_the_same_name_are_two(void **state)
{
    (void)fail_account(*state, HERE, 0);
    (void)fail_account(*state, HERE, 0);
    assert_int_equal(fail_client(*state, HERE, 0), 2000);
}

static void a_thousand_failures_do_not_overflow(void **state)
{
    int64_t last = 0;
    for (int i = 0; i < 1000; i++)
        last = delays_failed(*state, ALICE, HERE, i);
    assert_int_equal(last, 15000);
}

static void ten_minutes_without_a_failure_forget_it(void **state)
{
    (void)delays_failed(*state, ALICE, HERE, 0);
    assert_int_equal(delays_failed(*state, ALICE, HERE, FORGET_MS), 4000);
    assert_int_equal(delays_failed(*state, ALICE, HERE, 2 * FORGET_MS), 8000);
    assert_int_equal(delays_failed(*state, ALICE, HERE, 3 * FORGET_MS + 1), 2000);
}

static void a_right_password_forgets_the_account_and_not_the_client(void **state)
{
    (void)delays_failed(*state, ALICE, HERE, 0);
    (void)delays_failed(*state, ALICE, HERE, 0);
    delays_succeeded(*state, ALICE);
    assert_int_equal(fail_account(*state, ALICE, 0), 2000);
    assert_int_equal(delays_failed(*state, BOB, HERE, 0), 8000);
    delays_succeeded(*state, SPAN("never@failed.test"));
}

static void names_too_long_for_the_table_are_still_told_apart(void **state)
{
    char one[500], other[500];
    memset(one, 'a', sizeof(one));
    memset(other, 'a', sizeof(other));
    other[499] = 'b';
    (void)fail_account(*state, span_of(one, sizeof(one)), 0);
    assert_int_equal(fail_account(*state, span_of(one, sizeof(one)), 0), 4000);
    assert_int_equal(fail_account(*state, span_of(other, sizeof(other)), 0), 2000);
    delays_succeeded(*state, span_of(one, sizeof(one)));
    assert_int_equal(fail_account(*state, span_of(one, sizeof(one)), 0), 2000);
}

static void the_oldest_are_forgotten_when_there_are_too_many(void **state)
{
    (void)delays_failed(*state, ALICE, HERE, 0);
    for (int i = 0; i < DELAYS_MOST; i++)
        (void)fail_account(*state, span_of(&i, sizeof(i)), 1);
    assert_int_equal(delays_failed(*state, ALICE, HERE, 1), 2000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(delays_of_an_account_double_up_to_the_most),
        TEST(delays_of_a_client_double_up_to_the_most),
        TEST(addresses_of_one_ipv6_network_share_their_delay),
        TEST(the_longer_of_both_counts),
        TEST(an_account_and_a_client_of_the_same_name_are_two),
        TEST(a_thousand_failures_do_not_overflow),
        TEST(ten_minutes_without_a_failure_forget_it),
        TEST(a_right_password_forgets_the_account_and_not_the_client),
        TEST(names_too_long_for_the_table_are_still_told_apart),
        TEST(the_oldest_are_forgotten_when_there_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
