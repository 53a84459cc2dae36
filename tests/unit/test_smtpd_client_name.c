/* client_name: a name counts when it leads back to the address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "smtpd/client_name.h"
#include "tests/unit/dns_rig.h"

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])
#define OF(octet)   octet ".2.0.192.in-addr.arpa"
#define OF_V6       "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"

static const struct rig_row rows[] = {
    ROW(OF("1"), DNS_PTR, "Good.test"),
    ROW("good.test", DNS_A, "192.0.2.9"),
    ROW("good.test", DNS_A, "192.0.2.1"),
    ROW(OF("2"), DNS_PTR, "forged.test"),
    ROW("forged.test", DNS_A, "192.0.2.99"),
    ROW(OF("3"), DNS_PTR, "gone.test"),
    ROW(OF("4"), DNS_PTR, "gone.test"),
    ROW(OF("4"), DNS_PTR, "second.test"),
    ROW("second.test", DNS_A, "192.0.2.4"),
    FAULT(OF("5"), RIG_SERVFAIL),
    ROW(OF("6"), DNS_PTR, "trouble.test"),
    FAULT("trouble.test", RIG_REFUSED),
    ROW(OF("7"), DNS_PTR, "trouble.test"),
    ROW(OF("7"), DNS_PTR, "seven.test"),
    ROW("seven.test", DNS_A, "192.0.2.7"),
    {.name = OF("8"), .type = DNS_PTR, RAW("\3b\nd\4test\0")},
    ROW(OF("10"), RIG_CNAME, "10.classless.test"), /* RFC 2317 */
    ROW("10.classless.test", DNS_PTR, "ten.test"),
    ROW("ten.test", RIG_CNAME, "eleven.test"),
    ROW("eleven.test", DNS_A, "192.0.2.10"),
    ROW(OF("12"), DNS_PTR, "six.test"),
    ROW("six.test", DNS_AAAA, "2001:db8::1"),
    ROW(OF_V6, DNS_PTR, "six.test"),
    END_OF_ROWS,
};

static void on_done(void *arg)
{
    bool *done = arg;
    assert_false(*done);
    *done = true;
}

static void names_are_verified_both_ways(void **state)
{
    static const struct {
        const char *address;
        enum client_name_result result;
        const char *name;
    } expected[] = {
        {"192.0.2.1", CLIENT_NAME_VERIFIED, "good.test"},
        {"192.0.2.2", CLIENT_NAME_UNVERIFIED, ""},
        {"192.0.2.3", CLIENT_NAME_UNVERIFIED, ""},
        {"192.0.2.4", CLIENT_NAME_VERIFIED, "second.test"},
        {"192.0.2.5", CLIENT_NAME_TEMPORARY, ""},
        {"192.0.2.6", CLIENT_NAME_TEMPORARY, ""},
        {"192.0.2.7", CLIENT_NAME_VERIFIED, "seven.test"},
        {"192.0.2.8", CLIENT_NAME_UNVERIFIED, ""},
        {"192.0.2.9", CLIENT_NAME_UNVERIFIED, ""},
        {"192.0.2.10", CLIENT_NAME_VERIFIED, "ten.test"},
        {"192.0.2.12", CLIENT_NAME_UNVERIFIED, ""},
        {"2001:db8::1", CLIENT_NAME_VERIFIED, "six.test"},
        {"2001:db8::2", CLIENT_NAME_UNVERIFIED, ""},
    };
    struct dns_rig rig;
    struct client_name client;
    bool done = false;
    (void)state;
    dns_rig_init(&rig, rows);
    client_name_init(&client, rig.dns, on_done, &done);
    for (size_t i = 0; i < COUNT(expected); i++) {
        union net_address address;
        assert_true(net_parse_address(span_cstr(expected[i].address), &address));
        done = false;
        client_name_start(&client, &address);
        assert_false(done);
        dns_rig_until(&rig, &done);
        if (client.result != expected[i].result || strcmp(client.name, expected[i].name) != 0)
            fail_msg("%s: %d, %s", expected[i].address, (int)client.result, client.name);
    }
    dns_rig_stop(&rig);
}

static void of_a_hundred_names_some_are_looked_at(void **state)
{
    enum { MANY = 100 };
    static char names[MANY][16];
    static struct rig_row many[MANY + 2];
    struct dns_rig rig;
    struct client_name client;
    union net_address address;
    bool done = false;
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "n%zu.test", i);
        many[i] = (struct rig_row){.name = OF("1"), .type = DNS_PTR, .data = names[i]};
    }
    many[MANY] = (struct rig_row){.name = "n99.test", .type = DNS_A, .data = "192.0.2.1"};
    dns_rig_init(&rig, many);
    assert_true(net_parse_address(SPAN("192.0.2.1"), &address));
    client_name_init(&client, rig.dns, on_done, &done);
    client_name_start(&client, &address);
    dns_rig_until(&rig, &done);
    assert_int_equal(client.result, CLIENT_NAME_UNVERIFIED);
    assert_int_equal(dns_counts(rig.dns).sent, 1 + CLIENT_NAME_TRIES);
    dns_rig_stop(&rig);
}

static void who_cancels_hears_nothing_at_either_step(void **state)
{
    struct dns_rig rig;
    struct client_name client;
    union net_address address;
    bool done = false;
    (void)state;
    dns_rig_init(&rig, rows);
    assert_true(net_parse_address(SPAN("192.0.2.1"), &address));
    client_name_init(&client, rig.dns, on_done, &done);
    client_name_start(&client, &address);
    client_name_cancel(&client);
    client_name_start(&client, &address);
    while (client.under_way == 0)
        loop_turn(rig.loop, 1000);
    client_name_cancel(&client);
    while (dns_counts(rig.dns).under_way > 0)
        loop_turn(rig.loop, 1000);
    assert_false(done);
    dns_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_verified_both_ways),
        cmocka_unit_test(of_a_hundred_names_some_are_looked_at),
        cmocka_unit_test(who_cancels_hears_nothing_at_either_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
