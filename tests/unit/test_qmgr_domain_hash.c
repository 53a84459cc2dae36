/*
 * The hash of a domain: one for all spellings of it, narrow enough to leave others alone, and never
 * one that hides a name beneath another.
 */
#include "qmgr/domain_hash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint32_t hash(const char *domain)
{
    return domain_hash(span_cstr(domain));
}

static void domain_is_what_follows_the_last_at(void **state)
{
    static const struct {
        const char *address, *domain;
    } rows[] = {{"a@b.test", "b.test"},
                {"\"x@y\"@b.test", "b.test"},
                {"b.test", "b.test"},
                {"a@", ""},
                {"", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(
            span_equal(domain_of_address(span_cstr(rows[i].address)), span_cstr(rows[i].domain)));
}

static void letters_have_no_case(void **state)
{
    (void)state;
    assert_int_equal(hash("MX.Example.TEST"), hash("mx.example.test"));
    assert_int_not_equal(hash("mx.example.test"), hash("mx2.example.test"));
    assert_int_not_equal(hash("mx[.example.test"), hash("mx{.example.test"));
}

static void no_domain_has_the_hash_of_the_unknown(void **state)
{
    char domain[] = "aaaa.test";
    (void)state;
    for (unsigned i = 0; i < 26 * 26 * 26 * 26; i++) {
        for (unsigned at = 0, rest = i; at < 4; at++, rest /= 26)
            domain[at] = (char)('a' + rest % 26);
        assert_int_not_equal(hash(domain), DOMAIN_HASH_UNKNOWN);
    }
}

static void names_beneath_a_domain_may_always_be_beneath_it(void **state)
{
    static const char *const parents[] = {"example.test", "b.example.test", "a.b.example.test"};
    (void)state;
    for (size_t i = 0; i < sizeof parents / sizeof parents[0]; i++)
        assert_true(domain_hash_may_be_under(hash("A.b.example.TEST"), hash(parents[i])));
    assert_false(domain_hash_may_be_under(hash("a.b.example.test"), hash("example.org")));
    assert_false(domain_hash_may_be_under(hash("notexample.test"), hash("example.test")));
}

static void few_of_many_domains_share_a_hash(void **state)
{
    enum { DOMAINS = 2000 };
    static uint32_t hashes[DOMAINS];
    unsigned same = 0;
    (void)state;
    for (unsigned i = 0; i < DOMAINS; i++) {
        char domain[] = "host0000.test";
        for (unsigned at = 7, rest = i; at > 3; at--, rest /= 10)
            domain[at] = (char)('0' + rest % 10);
        hashes[i] = hash(domain);
        for (unsigned before = 0; before < i; before++)
            same += hashes[before] == hashes[i];
    }
    assert_true(same <= 50); /* two million pairs of two equal halves: one in 65536, 30 */
}

static void name_is_beneath_another_at_a_dot_alone(void **state)
{
    static const struct {
        const char *domain, *parent;
        bool under;
    } rows[] = {
        {"example.test", "example.test", true},
        {"a.b.Example.test", "example.TEST", true},
        {"notexample.test", "example.test", false},
        {"test", "example.test", false},
        {"example.test.org", "example.test", false},
        {".example.test", "example.test", true},
        {"", "example.test", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(domain_is_under(span_cstr(rows[i].domain), span_cstr(rows[i].parent)),
                         rows[i].under);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domain_is_what_follows_the_last_at),
        cmocka_unit_test(letters_have_no_case),
        cmocka_unit_test(no_domain_has_the_hash_of_the_unknown),
        cmocka_unit_test(names_beneath_a_domain_may_always_be_beneath_it),
        cmocka_unit_test(few_of_many_domains_share_a_hash),
        cmocka_unit_test(name_is_beneath_another_at_a_dot_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
