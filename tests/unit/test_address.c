/*
 * Every spelling by which somebody once slipped past a relay check is here, with the one reading
 * that policy and routing shall have of it.
 */
#include "util/mail/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void assert_span(struct span actual, struct span expected)
{
    assert_int_equal(actual.len, expected.len);
    if (expected.len > 0)
        assert_memory_equal(actual.data, expected.data, expected.len);
}

static enum address_result parse(struct span text, struct address *address, struct span *rest)
{
    return address_parse_path(text, SPAN("our.test"), address, rest);
}

static void path_gives_the_parsed_form(void **state)
{
    (void)state;
    static const struct {
        struct span text, local, domain, rest;
    } rows[] = {
        {SPAN_INIT("<a@b.test>"), SPAN_INIT("a"), SPAN_INIT("b.test"), SPAN_INIT("")},
        {SPAN_INIT(" <a@b.test>"), SPAN_INIT("a"), SPAN_INIT("b.test"), SPAN_INIT("")},
        {SPAN_INIT("\t <a@b.test> SIZE=1"), SPAN_INIT("a"), SPAN_INIT("b.test"),
         SPAN_INIT(" SIZE=1")},
        {SPAN_INIT("a@b.test"), SPAN_INIT("a"), SPAN_INIT("b.test"), SPAN_INIT("")},
        {SPAN_INIT(" a@b.test BODY=7BIT"), SPAN_INIT("a"), SPAN_INIT("b.test"),
         SPAN_INIT(" BODY=7BIT")},
        {SPAN_INIT("<A.B@C.Test>"), SPAN_INIT("A.B"), SPAN_INIT("c.test"), SPAN_INIT("")},
        {SPAN_INIT("<a@b.test.>"), SPAN_INIT("a"), SPAN_INIT("b.test"), SPAN_INIT("")},
        {SPAN_INIT("<u%ext@our.test>"), SPAN_INIT("u%ext"), SPAN_INIT("our.test"), SPAN_INIT("")},
        {SPAN_INIT("<ext!u@our.test>"), SPAN_INIT("ext!u"), SPAN_INIT("our.test"), SPAN_INIT("")},
        {SPAN_INIT("<\"u@ext\"@our.test>"), SPAN_INIT("u@ext"), SPAN_INIT("our.test"),
         SPAN_INIT("")},
        {SPAN_INIT("<\"a b\\\"c\\\\\"@b.test>"), SPAN_INIT("a b\"c\\"), SPAN_INIT("b.test"),
         SPAN_INIT("")},
        {SPAN_INIT("<\"\\a\"@b.test>"), SPAN_INIT("a"), SPAN_INIT("b.test"), SPAN_INIT("")},
        {SPAN_INIT("<@our.test:u@ext.test>"), SPAN_INIT("u"), SPAN_INIT("ext.test"), SPAN_INIT("")},
        {SPAN_INIT("<@a.test,@[IPv6:::1]:u@ext.test>"), SPAN_INIT("u"), SPAN_INIT("ext.test"),
         SPAN_INIT("")},
        {SPAN_INIT("<PostMaster>"), SPAN_INIT("PostMaster"), SPAN_INIT("our.test"), SPAN_INIT("")},
        {SPAN_INIT(" kimo"), SPAN_INIT("kimo"), SPAN_INIT("our.test"), SPAN_INIT("")},
        {SPAN_INIT("<a@x>"), SPAN_INIT("a"), SPAN_INIT("x"), SPAN_INIT("")},
        {SPAN_INIT("<-oQ/tmp@b.test>"), SPAN_INIT("-oQ/tmp"), SPAN_INIT("b.test"), SPAN_INIT("")},
        {SPAN_INIT("<|cmd@b.test>"), SPAN_INIT("|cmd"), SPAN_INIT("b.test"), SPAN_INIT("")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address;
        struct span rest;
        assert_int_equal(parse(rows[i].text, &address, &rest), ADDRESS_OK);
        assert_span(address_local(&address), rows[i].local);
        assert_span(address_domain(&address), rows[i].domain);
        assert_span(rest, rows[i].rest);
        assert_false(address.domain_is_literal);
    }
}

static void path_takes_address_literals(void **state)
{
    (void)state;
    static const struct {
        struct span text, domain;
    } rows[] = {
        {SPAN_INIT("<u@[127.0.0.1]>"), SPAN_INIT("[127.0.0.1]")},
        {SPAN_INIT("<u@[IPv6:::1]>"), SPAN_INIT("[ipv6:::1]")},
        {SPAN_INIT("<u@[ipv6:2001:DB8::1]>"), SPAN_INIT("[ipv6:2001:db8::1]")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address;
        struct span rest;
        assert_int_equal(parse(rows[i].text, &address, &rest), ADDRESS_OK);
        assert_true(address.domain_is_literal);
        assert_span(address_domain(&address), rows[i].domain);
    }
}

static void null_path_is_empty(void **state)
{
    (void)state;
    struct address address;
    struct span rest;
    assert_int_equal(parse(SPAN("<> SIZE=5"), &address, &rest), ADDRESS_EMPTY);
    assert_span(rest, SPAN(" SIZE=5"));
    char text[ADDRESS_TEXT_MAX];
    assert_span(address_text(&address, text), SPAN(""));
}

static void path_refuses_what_is_no_address(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_INIT(""),
        SPAN_INIT("<"),
        SPAN_INIT(">"),
        SPAN_INIT("<a"),
        SPAN_INIT("<a@"),
        SPAN_INIT("<a@>"),
        SPAN_INIT("<@>"),
        SPAN_INIT("<@b.test>"),
        SPAN_INIT("<\"\">"),
        SPAN_INIT("<\"\"@b.test>"),
        SPAN_INIT("<\"a@b.test>"),
        SPAN_INIT("<\"a\\"),
        SPAN_INIT("<a@b.test"),
        SPAN_INIT("a@b.test>"),
        SPAN_INIT("<a@b.test>x"),
        SPAN_INIT("<a@b@c.test>"),
        SPAN_INIT("<a b@c.test>"),
        SPAN_INIT("<.a@b.test>"),
        SPAN_INIT("<a.@b.test>"),
        SPAN_INIT("<a..b@b.test>"),
        SPAN_INIT("<a@.b.test>"),
        SPAN_INIT("<a@b..test>"),
        SPAN_INIT("<a@b.test..>"),
        SPAN_INIT("<a@.>"),
        SPAN_INIT("<a@-b.test>"),
        SPAN_INIT("<a@b-.test>"),
        SPAN_INIT("<a@b_c.test>"),
        SPAN_INIT("<a@[127.0.0.1>"),
        SPAN_INIT("<a@[]>"),
        SPAN_INIT("<a@[::1]>"),
        SPAN_INIT("<a@[IPv6:127.0.0.1]>"),
        SPAN_INIT("<a@[300.0.0.1]>"),
        SPAN_INIT("<a@[X-tag:foo]>"),
        SPAN_INIT("<(comment)a@b.test>"),
        SPAN_INIT("<((((((((((((((((((((((((("),
        SPAN_INIT("<a\0b@c.test>"),
        SPAN_INIT("<\"a\0b\"@c.test>"),
        SPAN_INIT("<\"a\nb\"@c.test>"),
        SPAN_INIT("<a@b\0.test>"),
        SPAN_INIT("<a@[127.0.0.1\0]>"),
        SPAN_INIT("<@b.test;a@c.test>"),
        SPAN_INIT("<@b.test,a@c.test>"),
        SPAN_INIT("< a@b.test>"),
        SPAN_INIT("<a@b.test >"),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address;
        struct span rest;
        assert_int_equal(parse(rows[i], &address, &rest), ADDRESS_SYNTAX);
    }
}

static void path_refuses_what_is_no_utf8(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_INIT("<\xff@b.test>"),          SPAN_INIT("<e\xc3@b.test>"),
        SPAN_INIT("<a@b\xe9.test>"),         SPAN_INIT("<\"\xc0\xaf\"@b.test>"),
        SPAN_INIT("<a@\xc3.test>"),          SPAN_INIT("a\xff"),
        SPAN_INIT("<@x\xff.test:a@b.test>"), SPAN_INIT("<\xe0\x80\xaf@b.test>"),
        SPAN_INIT("<\xed\xa0\x80@b.test>"),  SPAN_INIT("<\xf4\x90\x80\x80@b.test>"),
        SPAN_INIT("<a\xc2\x85@b.test>"),     SPAN_INIT("<a\xe2\x82"),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address;
        struct span rest;
        assert_int_equal(parse(rows[i], &address, &rest), ADDRESS_NOT_UTF8);
    }
}

/* Local parts as they are, domains as the DNS knows them: in one spelling (RFC 6531 §3.2). */
static void address_beyond_ascii_has_one_form(void **state)
{
    (void)state;
    static const struct {
        struct span text, local, domain;
    } rows[] = {
        {SPAN_INIT("<\xc3\xa9@b.test>"), SPAN_INIT("\xc3\xa9"), SPAN_INIT("b.test")},
        {SPAN_INIT("<\"\xc3\xa9 x\"@b.test>"), SPAN_INIT("\xc3\xa9 x"), SPAN_INIT("b.test")},
        {SPAN_INIT("<a@b\xc3\xbc"
                   "cher.test>"),
         SPAN_INIT("a"), SPAN_INIT("xn--bcher-kva.test")},
        {SPAN_INIT("<a@B\xc3\x9c"
                   "CHER.TEST.>"),
         SPAN_INIT("a"), SPAN_INIT("xn--bcher-kva.test")},
        {SPAN_INIT("<a@bu\xcc\x88"
                   "cher.test>"),
         SPAN_INIT("a"), SPAN_INIT("xn--bcher-kva.test")},
        {SPAN_INIT("<a@b\xc3\xbc"
                   "cher\xe3\x80\x82test>"),
         SPAN_INIT("a"), SPAN_INIT("xn--bcher-kva.test")},
        {SPAN_INIT("<a@XN--BCHER-KVA.test>"), SPAN_INIT("a"), SPAN_INIT("xn--bcher-kva.test")},
        {SPAN_INIT("<\xf0\x9f\x90\x8e.x@b.test>"), SPAN_INIT("\xf0\x9f\x90\x8e.x"),
         SPAN_INIT("b.test")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address, again;
        struct span rest;
        char text[ADDRESS_TEXT_MAX];
        assert_int_equal(parse(rows[i].text, &address, &rest), ADDRESS_OK);
        assert_true(span_equal(address_local(&address), rows[i].local));
        assert_true(span_equal(address_domain(&address), rows[i].domain));
        assert_int_equal(address_parse(address_text(&address, text), &again), ADDRESS_OK);
        assert_true(span_equal(address_local(&again), rows[i].local));
    }
}

static void domain_beyond_ascii_that_is_none_is_refused(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_INIT("<a@\xe3\x80\x82>"),      SPAN_INIT("<a@-\xc3\xbc.test>"),
        SPAN_INIT("<a@\xc3\xbc..test>"),    SPAN_INIT("<a@\xe2\x80\x8b.test>"),
        SPAN_INIT("<a@\xef\xbc\xa0.test>"), SPAN_INIT("<a@\xc3\xbc\xe3\x80\x82.test>"),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address;
        struct span rest;
        if (parse(rows[i], &address, &rest) != ADDRESS_SYNTAX)
            print_error("row %zu\n", i);
        assert_int_equal(parse(rows[i], &address, &rest), ADDRESS_SYNTAX);
    }
}

static void local_part_beyond_ascii_counts_octets(void **state)
{
    (void)state;
    char text[200];
    struct address address;
    for (size_t count = 31; count <= 33; count++) {
        size_t len = 0;
        for (size_t i = 0; i < count; i++, len += 2)
            memcpy(text + len, "\xc3\xa9", 2);
        memcpy(text + len, "@b.test", 7);
        assert_int_equal(address_parse(span_of(text, len + 7), &address),
                         count <= 32 ? ADDRESS_OK : ADDRESS_TOO_LONG);
    }
}

/* "<local@domain>" of the lengths asked for; the domain in labels of 50. */
static struct span sized_path(char out[700], size_t local, size_t domain)
{
    char *at = out;
    *at++ = '<';
    memset(at, 'l', local);
    at += local;
    *at++ = '@';
    for (size_t i = 0; i < domain; i++)
        *at++ = i % 51 == 50 && i + 1 < domain ? '.' : 'd';
    *at++ = '>';
    return span_of(out, (size_t)(at - out));
}

static void path_holds_the_limits_of_rfc_5321(void **state)
{
    (void)state;
    static const struct {
        size_t local, domain;
        enum address_result result;
    } rows[] = {
        {64, 20, ADDRESS_OK},  {65, 20, ADDRESS_TOO_LONG},  {500, 20, ADDRESS_TOO_LONG},
        {1, 252, ADDRESS_OK},  {1, 253, ADDRESS_TOO_LONG},  {1, 256, ADDRESS_TOO_LONG},
        {64, 189, ADDRESS_OK}, {64, 190, ADDRESS_TOO_LONG},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[700];
        struct address address;
        struct span rest;
        assert_int_equal(parse(sized_path(text, rows[i].local, rows[i].domain), &address, &rest),
                         rows[i].result);
    }
}

static void path_without_default_domain_needs_a_domain(void **state)
{
    (void)state;
    struct address address;
    struct span rest;
    assert_int_equal(address_parse_path(SPAN("<kimo>"), SPAN(""), &address, &rest), ADDRESS_SYNTAX);
}

static void default_domain_becomes_lower_case(void **state)
{
    (void)state;
    struct address address;
    struct span rest;
    assert_int_equal(address_parse_path(SPAN("kimo"), SPAN("Our.Test"), &address, &rest),
                     ADDRESS_OK);
    assert_span(address_domain(&address), SPAN("our.test"));
}

static void lone_address_allows_nothing_behind(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        enum address_result result;
    } rows[] = {
        {SPAN_INIT("a@b.test"), ADDRESS_OK},      {SPAN_INIT("\"a b\"@b.test"), ADDRESS_OK},
        {SPAN_INIT("a@b.test "), ADDRESS_SYNTAX}, {SPAN_INIT("<a@b.test>"), ADDRESS_SYNTAX},
        {SPAN_INIT("a"), ADDRESS_SYNTAX},         {SPAN_INIT(""), ADDRESS_SYNTAX},
        {SPAN_INIT(" a@b.test"), ADDRESS_SYNTAX}, {SPAN_INIT("a@b.test\xff"), ADDRESS_NOT_UTF8},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address;
        assert_int_equal(address_parse(rows[i].text, &address), rows[i].result);
    }
}

static void text_parses_back_to_the_same_address(void **state)
{
    (void)state;
    static const struct {
        struct span in, text;
    } rows[] = {
        {SPAN_INIT("a.b@c.test"), SPAN_INIT("a.b@c.test")},
        {SPAN_INIT("\"a.b\"@c.test"), SPAN_INIT("a.b@c.test")},
        {SPAN_INIT("\"a..b\"@c.test"), SPAN_INIT("\"a..b\"@c.test")},
        {SPAN_INIT("\".a\"@c.test"), SPAN_INIT("\".a\"@c.test")},
        {SPAN_INIT("\"a.\"@c.test"), SPAN_INIT("\"a.\"@c.test")},
        {SPAN_INIT("\"a b\"@c.test"), SPAN_INIT("\"a b\"@c.test")},
        {SPAN_INIT("\"a\\\"\\\\\"@c.test"), SPAN_INIT("\"a\\\"\\\\\"@c.test")},
        {SPAN_INIT("\"a@b\"@C.test"), SPAN_INIT("\"a@b\"@c.test")},
        {SPAN_INIT("a@[127.0.0.1]"), SPAN_INIT("a@[127.0.0.1]")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address, again;
        char text[ADDRESS_TEXT_MAX];
        assert_int_equal(address_parse(rows[i].in, &address), ADDRESS_OK);
        struct span written = address_text(&address, text);
        assert_span(written, rows[i].text);
        assert_int_equal(address_parse(written, &again), ADDRESS_OK);
        assert_span(address_local(&again), address_local(&address));
        assert_span(address_domain(&again), address_domain(&address));
    }
}

static void longest_quoted_local_part_fits_its_text(void **state)
{
    (void)state;
    char in[2 * ADDRESS_LOCAL_MAX + 2 + 7];
    char *at = in;
    *at++ = '"';
    for (size_t i = 0; i < ADDRESS_LOCAL_MAX; i++, at += 2)
        memcpy(at, "\\\"", 2);
    memcpy(at, "\"@c.te", 6);
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(address_parse(span_of(in, 2 * ADDRESS_LOCAL_MAX + 7), &address), ADDRESS_OK);
    assert_span(address_text(&address, text), span_of(in, 2 * ADDRESS_LOCAL_MAX + 7));
}

static void key_is_in_lower_case_and_unquoted(void **state)
{
    (void)state;
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(address_parse(SPAN("\"Al Ice\"@B.Test"), &address), ADDRESS_OK);
    assert_span(address_key(&address, text), SPAN("al ice@b.test"));
}

static void a_login_is_an_address_or_a_local_part_or_nobodys(void **state)
{
    (void)state;
    static const struct {
        struct span given, login;
    } rows[] = {
        {SPAN_INIT("alice"), SPAN_INIT("alice@b.test")},
        {SPAN_INIT("ALICE@C.test"), SPAN_INIT("alice@c.test")},
        {SPAN_INIT("<alice@c.test>"), SPAN_INIT("alice@c.test")},
        {SPAN_INIT("alice x"), SPAN_INIT("alice x")},
        {SPAN_INIT("@"), SPAN_INIT("@")},
        {SPAN_INIT(""), SPAN_INIT("")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[ADDRESS_TEXT_MAX];
        assert_span(address_login(rows[i].given, SPAN("b.test"), text), rows[i].login);
    }
    char octets[ADDRESS_TEXT_MAX + 1], text[ADDRESS_TEXT_MAX];
    memset(octets, '@', sizeof(octets));
    assert_int_equal(address_login(span_of(octets, sizeof(octets)), SPAN("b.test"), text).len,
                     ADDRESS_TEXT_MAX);
}

static void keys_of_one_address_differ_in_no_spelling(void **state)
{
    (void)state;
    static const struct {
        struct span a, b;
        bool equal;
    } rows[] = {
        {SPAN_INIT("Al@b.test"), SPAN_INIT("aL@B.TEST"), true},
        {SPAN_INIT("\"al\"@b.test"), SPAN_INIT("al@b.test"), true},
        {SPAN_INIT("al@b.test"), SPAN_INIT("al@c.test"), false},
        {SPAN_INIT("al@b.test"), SPAN_INIT("all@b.test"), false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address a, b;
        char key_a[ADDRESS_TEXT_MAX], key_b[ADDRESS_TEXT_MAX];
        assert_int_equal(address_parse(rows[i].a, &a), ADDRESS_OK);
        assert_int_equal(address_parse(rows[i].b, &b), ADDRESS_OK);
        assert_int_equal(span_equal(address_key(&a, key_a), address_key(&b, key_b)), rows[i].equal);
    }
}

static void domain_has_letters_digits_hyphens(void **state)
{
    (void)state;
    static const struct {
        struct span domain;
        bool valid;
    } rows[] = {
        {SPAN_INIT("example.test"), true},
        {SPAN_INIT("a"), true},
        {SPAN_INIT("xn--bcher-kva.x"), true},
        {SPAN_INIT("1.2.3.4"), true},
        {SPAN_INIT(""), false},
        {SPAN_INIT("."), false},
        {SPAN_INIT("a."), false},
        {SPAN_INIT(".a"), false},
        {SPAN_INIT("a..b"), false},
        {SPAN_INIT("-a"), false},
        {SPAN_INIT("a-"), false},
        {SPAN_INIT("a b"), false},
        {SPAN_INIT("a\0b"), false},
        {SPAN_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), true},
        {SPAN_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), false},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(domain_is_valid(rows[i].domain), rows[i].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_gives_the_parsed_form),
        cmocka_unit_test(path_takes_address_literals),
        cmocka_unit_test(null_path_is_empty),
        cmocka_unit_test(path_refuses_what_is_no_address),
        cmocka_unit_test(path_refuses_what_is_no_utf8),
        cmocka_unit_test(address_beyond_ascii_has_one_form),
        cmocka_unit_test(domain_beyond_ascii_that_is_none_is_refused),
        cmocka_unit_test(local_part_beyond_ascii_counts_octets),
        cmocka_unit_test(path_holds_the_limits_of_rfc_5321),
        cmocka_unit_test(path_without_default_domain_needs_a_domain),
        cmocka_unit_test(default_domain_becomes_lower_case),
        cmocka_unit_test(lone_address_allows_nothing_behind),
        cmocka_unit_test(text_parses_back_to_the_same_address),
        cmocka_unit_test(longest_quoted_local_part_fits_its_text),
        cmocka_unit_test(key_is_in_lower_case_and_unquoted),
        cmocka_unit_test(a_login_is_an_address_or_a_local_part_or_nobodys),
        cmocka_unit_test(keys_of_one_address_differ_in_no_spelling),
        cmocka_unit_test(domain_has_letters_digits_hyphens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
