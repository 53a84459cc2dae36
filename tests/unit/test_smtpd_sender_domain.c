/* sender_domain: what is refused for good, what for now, and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtpd/sender_domain.h"
#include "tests/unit/dns_rig.h"

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static const struct rig_row rows[] = {
    ROW("mx.test", DNS_MX, "10 a.mx.test"),
    {.name = "null.test", .type = DNS_MX, RAW("\0\0\0")},
    {.name = "mixed.test", .type = DNS_MX, RAW("\0\0\0")},
    ROW("mixed.test", DNS_MX, "10 a.mx.test"),
    {.name = "nul.test", .type = DNS_MX, RAW("\0\0\1\0\0")},
    ROW("v4.test", DNS_A, "192.0.2.1"),
    ROW("v6.test", DNS_AAAA, "2001:db8::1"),
    ROW("text.test", DNS_TXT, "nothing for mail"),
    ROW("alias.test", RIG_CNAME, "mx.test"),
    FAULT("servfail.test", RIG_SERVFAIL),
    FAULT("silent.test", RIG_SILENT),
    END_OF_ROWS,
};

static void on_done(void *arg)
{
    bool *done = arg;
    assert_false(*done);
    *done = true;
}

static void domains_are_judged_by_what_the_dns_says(void **state)
{
    static const struct {
        const char *name;
        enum sender_domain_result result;
    } expected[] = {
        {"mx.test", SENDER_DOMAIN_GOOD},
        {"null.test", SENDER_DOMAIN_NULL_MX},
        {"mixed.test", SENDER_DOMAIN_GOOD},
        {"nul.test", SENDER_DOMAIN_UNKNOWN},
        {"v4.test", SENDER_DOMAIN_GOOD},
        {"v6.test", SENDER_DOMAIN_GOOD},
        {"text.test", SENDER_DOMAIN_UNKNOWN},
        {"alias.test", SENDER_DOMAIN_GOOD},
        {"none.test", SENDER_DOMAIN_UNKNOWN},
        {"a..b", SENDER_DOMAIN_UNKNOWN},
        {"", SENDER_DOMAIN_UNKNOWN},
        {"servfail.test", SENDER_DOMAIN_TEMPORARY},
        {"silent.test", SENDER_DOMAIN_TEMPORARY},
    };
    struct dns_rig rig;
    struct sender_domain domain;
    bool done = false;
    (void)state;
    dns_rig_init(&rig, rows);
    sender_domain_init(&domain, rig.dns, on_done, &done);
    for (size_t i = 0; i < COUNT(expected); i++) {
        done = false;
        sender_domain_start(&domain, span_cstr(expected[i].name));
        assert_false(done);
        dns_rig_until(&rig, &done);
        if (domain.result != expected[i].result)
            fail_msg("%s: %d", expected[i].name, (int)domain.result);
    }
    dns_rig_stop(&rig);
}

static void a_name_that_is_too_long_is_unknown(void **state)
{
    struct dns_rig rig;
    struct sender_domain domain;
    char name[300];
    bool done = false;
    (void)state;
    memset(name, 'a', sizeof name);
    dns_rig_init(&rig, rows);
    sender_domain_init(&domain, rig.dns, on_done, &done);
    sender_domain_start(&domain, span_of(name, sizeof name));
    dns_rig_until(&rig, &done);
    assert_int_equal(domain.result, SENDER_DOMAIN_UNKNOWN);
    dns_rig_stop(&rig);
}

static void replies_say_which_kind_of_no_it_is(void **state)
{
    static const struct {
        enum sender_domain_result result;
        unsigned code;
        const char *enhanced;
    } expected[] = {
        {SENDER_DOMAIN_NULL_MX, 550, "5.7.27"},
        {SENDER_DOMAIN_UNKNOWN, 550, "5.1.8"},
        {SENDER_DOMAIN_TEMPORARY, 450, "4.1.8"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(expected); i++) {
        struct reply reply = sender_domain_reply(expected[i].result);
        assert_int_equal(reply.code, expected[i].code);
        assert_string_equal(reply.enhanced, expected[i].enhanced);
        assert_false(reply.close);
    }
}

static void who_cancels_hears_nothing_at_either_step(void **state)
{
    struct dns_rig rig;
    struct sender_domain domain;
    bool done = false;
    (void)state;
    dns_rig_init(&rig, rows);
    sender_domain_init(&domain, rig.dns, on_done, &done);
    sender_domain_start(&domain, SPAN("v4.test"));
    sender_domain_cancel(&domain);
    sender_domain_start(&domain, SPAN("v4.test"));
    while (!dns_is_asked(&domain.v6))
        loop_turn(rig.loop, 1000);
    sender_domain_cancel(&domain);
    while (dns_counts(rig.dns).under_way > 0)
        loop_turn(rig.loop, 1000);
    assert_false(done);
    dns_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_are_judged_by_what_the_dns_says),
        cmocka_unit_test(a_name_that_is_too_long_is_unknown),
        cmocka_unit_test(replies_say_which_kind_of_no_it_is),
        cmocka_unit_test(who_cancels_hears_nothing_at_either_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
