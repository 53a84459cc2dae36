/*
 * Failed logins over time: what a network and an account may fail, over all services. The memory
 * is the one that submission counts in.
 */
#include "tests/unit/pop3d_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "util/daemon/rate_limits.h"

enum { NETWORK_MOST = 3, ACCOUNT_MOST = 5 };

#define STRANGER  "192.0.2.1"
#define NEIGHBOUR "192.0.2.2"
#define IPV6      "2001:db8::1"
#define IPV6_SAME "2001:db8::ffff:2"
#define WRONG     "USER alice\r\nPASS wrong\r\n"
#define RIGHT     "USER alice\r\nPASS right\r\n"
#define FAILED    "+OK send the password\r\n-ERR [AUTH] authentication failed\r\n"
#define PUT_OFF                                                                                    \
    "+OK send the password\r\n-ERR [SYS/TEMP] too many failed logins, try again later\r\n"
#define NOT_NOW                                                                                    \
    "+OK send the password\r\n-ERR [SYS/TEMP] the password can not be verified now, try "          \
    "again later\r\n"

static int set_up(void **state)
{
    assert_int_equal(rig_set_up(state), 0);
    struct rig *rig = *state;
    int fd = rates_create();
    rig->worker.rates = rates_map(fd);
    assert_non_null(rig->worker.rates);
    (void)close(fd);
    rig->conf.plaintext_auth = PLAINTEXT_ALWAYS;
    rig->conf.limits.connections_rate = RATES_LIMIT;
    rig->conf.limits.auth_failures = NETWORK_MOST;
    rig->conf.limits.auth_failures_per_account = ACCOUNT_MOST;
    rig_connect(rig, STRANGER);
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    struct rates *rates = rig->worker.rates;
    assert_int_equal(rig_tear_down(state), 0);
    rates_unmap(rates);
    return 0;
}

static void guess(struct rig *rig, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        rig_expect(rig, WRONG, FAILED);
}

/* As submission would ask for the same network. */
static struct rate_client elsewhere(const struct rig *rig, const char *address)
{
    union net_address client;
    assert_true(net_parse_address(span_cstr(address), &client));
    return (struct rate_client){.rates = rig->worker.rates,
                                .page = rig->page,
                                .conf = &rig->conf,
                                .network = net_limit_key(&client)};
}

static void assert_logged_in(struct rig *rig)
{
    rig_settle(rig);
    rig_forget(rig);
    assert_non_null(strstr(rig_talk(rig, RIGHT), "+OK maildrop has"));
}

static void a_network_that_failed_too_often_is_put_off_whatever_it_says(void **state)
{
    struct rig *rig = *state;
    guess(rig, NETWORK_MOST);
    rig_expect(rig, WRONG, PUT_OFF);
    rig_expect(rig, RIGHT, PUT_OFF);
    assert_int_equal(page_get(rig->page, PAGE_RATE_REFUSED), 2);
}

/* What is refused before auth is asked costs it no hash. */
static void auth_is_not_asked_for_one_who_is_put_off(void **state)
{
    struct rig *rig = *state;
    guess(rig, NETWORK_MOST);
    unsigned events = rig->events;
    rig_expect(rig, RIGHT, PUT_OFF);
    assert_int_equal(rig->events, events);
}

static void one_who_is_put_off_has_to_say_user_again(void **state)
{
    struct rig *rig = *state;
    guess(rig, NETWORK_MOST);
    rig_expect(rig, RIGHT, PUT_OFF);
    rig_expect(rig, "PASS right\r\n", "-ERR USER comes first\r\n");
}

static void another_connection_changes_nothing_and_another_network_is_served(void **state)
{
    struct rig *rig = *state;
    guess(rig, NETWORK_MOST);
    rig_connect(rig, STRANGER);
    rig_expect(rig, RIGHT, PUT_OFF);
    rig_connect(rig, NEIGHBOUR);
    assert_logged_in(rig);
}

static void addresses_of_one_ipv6_network_are_one(void **state)
{
    struct rig *rig = *state;
    rig_connect(rig, IPV6);
    guess(rig, NETWORK_MOST);
    rig_connect(rig, IPV6_SAME);
    rig_expect(rig, RIGHT, PUT_OFF);
}

static void a_right_password_counts_nothing(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < 2 * NETWORK_MOST; i++) {
        rig_connect(rig, STRANGER);
        assert_logged_in(rig);
    }
    rig_connect(rig, STRANGER);
    guess(rig, NETWORK_MOST);
}

static void what_can_not_be_verified_counts_nothing(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < 2 * NETWORK_MOST; i++)
        rig_expect(rig, "USER alice\r\nPASS later\r\n", NOT_NOW);
    assert_logged_in(rig);
}

static void an_account_that_many_networks_guess_at_is_closed_to_strangers(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < ACCOUNT_MOST; i++) {
        char address[32];
        (void)snprintf(address, sizeof(address), "198.51.100.%u", i + 1);
        rig_connect(rig, address);
        guess(rig, 1);
    }
    rig_connect(rig, NEIGHBOUR);
    rig_expect(rig, RIGHT, PUT_OFF);
}

static void a_trusted_network_is_never_put_off(void **state)
{
    struct rig *rig = *state;
    struct net_prefix trusted;
    assert_true(net_parse_prefix(SPAN("192.0.2.0/24"), &trusted));
    rig->conf.trusted_networks.items = &trusted;
    rig->conf.trusted_networks.count = 1;
    rig_connect(rig, STRANGER);
    guess(rig, 2 * ACCOUNT_MOST);
    assert_logged_in(rig);
}

static void what_fails_here_is_put_off_at_submission(void **state)
{
    struct rig *rig = *state;
    guess(rig, NETWORK_MOST);
    const struct rate_client stranger = elsewhere(rig, STRANGER);
    const struct rate_client neighbour = elsewhere(rig, NEIGHBOUR);
    assert_int_equal(rate_limits_login(&stranger, SPAN("")).code, 454);
    assert_true(reply_is_pending(rate_limits_login(&neighbour, SPAN(""))));
}

static void what_fails_at_submission_is_put_off_here(void **state)
{
    struct rig *rig = *state;
    const struct rate_client stranger = elsewhere(rig, STRANGER);
    for (unsigned i = 0; i < NETWORK_MOST; i++)
        rate_limits_login_failed(&stranger, SPAN("bob@example.test"));
    rig_expect(rig, RIGHT, PUT_OFF);
}

static void without_the_memory_nobody_is_limited(void **state)
{
    struct rig *rig = *state;
    struct rates *rates = rig->worker.rates;
    rig->worker.rates = NULL;
    guess(rig, 2 * ACCOUNT_MOST);
    assert_logged_in(rig);
    rig->worker.rates = rates;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_network_that_failed_too_often_is_put_off_whatever_it_says),
        TEST(auth_is_not_asked_for_one_who_is_put_off),
        TEST(one_who_is_put_off_has_to_say_user_again),
        TEST(another_connection_changes_nothing_and_another_network_is_served),
        TEST(addresses_of_one_ipv6_network_are_one),
        TEST(a_right_password_counts_nothing),
        TEST(what_can_not_be_verified_counts_nothing),
        TEST(an_account_that_many_networks_guess_at_is_closed_to_strangers),
        TEST(a_trusted_network_is_never_put_off),
        TEST(what_fails_here_is_put_off_at_submission),
        TEST(what_fails_at_submission_is_put_off_here),
        TEST(without_the_memory_nobody_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
