/* rate_limits: who is counted by what, which reply it gets, and what the settings have to do with
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "util/base/clock.h"
#include "util/daemon/rate_limits.h"

struct fixture {
    struct rates *rates;
    struct page *page;
    struct conf *conf;
};

static void complain(void *arg, const char *message)
{
    (void)arg;
    print_error("%s\n", message);
}

static struct conf *conf_of(const char *text)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(in);
    struct conf *conf = conf_parse(in, "/etc/veredus.conf", complain, NULL);
    (void)fclose(in);
    assert_non_null(conf);
    return conf;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    int page = page_create(), rates = rates_create();
    fixture.page = page_map(page, true);
    fixture.rates = rates_map(rates);
    (void)close(page);
    (void)close(rates);
    fixture.conf =
        conf_of("hostname = mx.example.test\nlimits {\n"
                "connections_rate = 3\nmessages_rate = 3\nrecipients_rate = 3\n"
                "recipients_per_account = 5\nmessages_per_account = 4\nauth_failures = 4\n"
                "auth_failures_per_account = 6\n}\n");
    *state = &fixture;
    return fixture.page != NULL && fixture.rates != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    rates_unmap(fixture->rates);
    page_unmap(fixture->page);
    conf_free(fixture->conf);
    return 0;
}

static struct rate_client client_of(struct fixture *fixture, uint64_t network)
{
    return (struct rate_client){.rates = fixture->rates,
                                .page = fixture->page,
                                .conf = fixture->conf,
                                .network = network,
                                .session = SPAN("S1"),
                                .client = SPAN("192.0.2.1")};
}

/* How often `count` of a row passes before it is refused with the reply. */
static unsigned passes(struct reply (*count)(const struct rate_client *),
                       const struct rate_client *client, struct reply *reply)
{
    unsigned passed = 0;
    while (passed < 50 && reply_is_pending(*reply = count(client)))
        passed++;
    return passed;
}

static void each_rate_of_a_network_has_its_limit_and_its_reply(void **state)
{
    static const struct {
        struct reply (*count)(const struct rate_client *);
        unsigned code;
        bool close;
        const char *enhanced;
    } rows[] = {
        {rate_limits_connection, 421, true, "4.7.0"},
        {rate_limits_message, 450, false, "4.7.1"},
        {rate_limits_recipient, 450, false, "4.7.1"},
    };
    struct fixture *fixture = *state;
    struct rate_client client = client_of(fixture, 7), other = client_of(fixture, 8);
    struct reply reply;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(passes(rows[i].count, &client, &reply), 3);
        assert_int_equal(reply.code, rows[i].code);
        assert_int_equal(reply.close, rows[i].close);
        assert_string_equal(reply.enhanced, rows[i].enhanced);
        assert_int_equal(passes(rows[i].count, &other, &reply), 3);
    }
    assert_int_equal(page_get(fixture->page, PAGE_RATE_REFUSED), 6);
    assert_int_equal(page_get(fixture->page, PAGE_ACCOUNTS_STOPPED), 0);
}

static void trusted_networks_are_not_limited(void **state)
{
    struct fixture *fixture = *state;
    struct rate_client client = client_of(fixture, 7);
    struct reply reply;
    client.trusted = true;
    assert_int_equal(passes(rate_limits_connection, &client, &reply), 50);
    assert_int_equal(passes(rate_limits_message, &client, &reply), 50);
    assert_int_equal(passes(rate_limits_recipient, &client, &reply), 50);
}

static void both_rates_of_an_account_are_its_own_wherever_it_comes_from(void **state)
{
    static const struct {
        struct reply (*count)(const struct rate_client *);
        unsigned limit;
    } rows[] = {{rate_limits_message, 4}, {rate_limits_recipient, 5}};
    struct fixture *fixture = *state;
    struct rate_client client = client_of(fixture, 7), trusted = client_of(fixture, 8);
    struct reply reply;
    char name[RATES_NAME_MAX];
    trusted.trusted = true;
    for (unsigned i = 0; i < 2; i++) {
        client.account = SPAN("alice@example.test");
        trusted.account = SPAN("Alice@example.test");
        assert_int_equal(passes(rows[i].count, &client, &reply), rows[i].limit);
        assert_int_equal(passes(rows[i].count, &trusted, &reply), 0);
        assert_int_equal(reply.code, 450);
        assert_false(reply.close);
        assert_string_equal(reply.enhanced, "4.7.1");
        assert_int_equal(page_get(fixture->page, PAGE_ACCOUNTS_STOPPED), i + 1);
        trusted.account = SPAN("bob@example.test");
        assert_int_equal(passes(rows[i].count, &trusted, &reply), rows[i].limit);
        assert_int_equal(page_get(fixture->page, PAGE_ACCOUNTS_STOPPED), i + 2);
        page_add(fixture->page, PAGE_ACCOUNTS_STOPPED, -1);
    }
    assert_true(
        span_equal(rates_stopped(fixture->rates, 0, clock_ms(), name), SPAN("alice@example.test")));
    assert_true(
        span_equal(rates_stopped(fixture->rates, 1, clock_ms(), name), SPAN("bob@example.test")));
    assert_int_equal(rates_stopped(fixture->rates, 2, clock_ms(), name).len, 0); /* each once */
}

/* What it sends without a login is its network's. */
static void who_is_logged_in_counts_for_no_network(void **state)
{
    struct fixture *fixture = *state;
    struct rate_client client = client_of(fixture, 7);
    struct reply reply;
    client.account = SPAN("alice@example.test");
    assert_int_equal(passes(rate_limits_message, &client, &reply), 4);
    client.account = SPAN("");
    assert_int_equal(passes(rate_limits_message, &client, &reply), 3);
}

static void logins_are_put_off_after_failures_of_the_network_or_to_the_account(void **state)
{
    struct fixture *fixture = *state;
    struct rate_client client = client_of(fixture, 7), other = client_of(fixture, 8);
    struct rate_client third = client_of(fixture, 9);
    struct span alice = SPAN("alice@example.test"), bob = SPAN("bob@example.test");
    for (int i = 0; i < 4; i++) {
        assert_true(reply_is_pending(rate_limits_login(&client, alice)));
        rate_limits_login_failed(&client, alice);
    }
    assert_int_equal(rate_limits_login(&client, bob).code, 454);
    assert_int_equal(rate_limits_login(&client, SPAN("")).code, 454);
    for (int i = 0; i < 2; i++) {
        assert_true(reply_is_pending(rate_limits_login(&other, alice)));
        rate_limits_login_failed(&other, alice);
    }
    assert_int_equal(rate_limits_login(&third, alice).code, 454);
    assert_true(reply_is_pending(rate_limits_login(&third, bob)));
    third.trusted = true;
    assert_true(reply_is_pending(rate_limits_login(&third, alice)));
}

static void a_daemon_without_the_memory_limits_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct rate_client client = client_of(fixture, 7);
    struct reply reply;
    client.rates = NULL;
    client.account = SPAN("alice@example.test");
    assert_int_equal(passes(rate_limits_connection, &client, &reply), 50);
    assert_int_equal(passes(rate_limits_recipient, &client, &reply), 50);
    rate_limits_login_failed(&client, client.account);
    assert_true(reply_is_pending(rate_limits_login(&client, client.account)));
}

static void a_setting_is_found_by_its_file_and_line(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena = {0};
    assert_true(span_equal(conf_place(fixture->conf, "messages_rate", &arena),
                           SPAN("/etc/veredus.conf:4")));
    assert_true(
        span_equal(conf_place(fixture->conf, "hostname", &arena), SPAN("/etc/veredus.conf:1")));
    assert_true(span_equal(conf_place(fixture->conf, "idle", &arena), SPAN("/etc/veredus.conf")));
    assert_true(
        span_equal(conf_place(fixture->conf, "no such", &arena), SPAN("/etc/veredus.conf")));
    arena_free(&arena);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_rate_of_a_network_has_its_limit_and_its_reply),
        TEST(trusted_networks_are_not_limited),
        TEST(both_rates_of_an_account_are_its_own_wherever_it_comes_from),
        TEST(who_is_logged_in_counts_for_no_network),
        TEST(logins_are_put_off_after_failures_of_the_network_or_to_the_account),
        TEST(a_daemon_without_the_memory_limits_nobody),
        TEST(a_setting_is_found_by_its_file_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
