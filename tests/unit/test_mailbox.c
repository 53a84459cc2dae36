#include "util/mail/mailbox.h"

#include "util/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void one_mailbox_in_any_clear_form_is_found(void **state)
{
    (void)state;
    static const struct span values[] = {
        SPAN_INIT(" alice@example.test\r\n"),
        SPAN_INIT("alice@example.test"),
        SPAN_INIT(" Alice <alice@example.test>\r\n"),
        SPAN_INIT(" <alice@example.test>"),
        SPAN_INIT(" < alice@example.test\t>"),
        SPAN_INIT(" \"Alice, of <Wonderland>\" <alice@example.test>"),
        SPAN_INIT(" \"bob@example.org\" <alice@example.test>"),
        SPAN_INIT(" A. Liddell\r\n\t<alice@example.test>\r\n"),
        SPAN_INIT(" \xc3\x84lice <alice@example.test>"),
        SPAN_INIT(" =?utf-8?q?=C3=84lice?= <alice@example.test>"),
        SPAN_INIT(" alice@example.test (Alice (of \\) Wonderland))"),
        SPAN_INIT(" (one) Alice (two) <(three)alice@example.test(four)> (five)\r\n"),
        SPAN_INIT("\r\n alice@EXAMPLE.test\r\n \r\n"),
        SPAN_INIT(" \"al\\ice\"@example.test"),
        SPAN_INIT(" \"a \\\" b\" <alice@example.test>"),
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        struct address address;
        char key[ADDRESS_TEXT_MAX];
        assert_true(mailbox_parse_lone(values[i], &address));
        struct span found = address_key(&address, key);
        assert_true(span_equal(found, SPAN("alice@example.test")));
    }
}

static void a_local_part_may_be_quoted(void **state)
{
    (void)state;
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    assert_true(mailbox_parse_lone(SPAN(" X <\"a >b\"@example.test>"), &address));
    assert_true(span_equal(address_text(&address, text), SPAN("\"a >b\"@example.test")));
}

static void what_can_be_read_in_two_ways_is_none(void **state)
{
    (void)state;
    static const struct span values[] = {
        SPAN_INIT(""),
        SPAN_INIT(" \r\n"),
        SPAN_INIT(" Alice"),
        SPAN_INIT(" <>"),
        SPAN_INIT(" (alice@example.test)"),
        /* lists and groups, empty elements of obsolete lists among them (RFC 5322 §4.4) */
        SPAN_INIT(" alice@example.test, bob@example.org"),
        SPAN_INIT(" <alice@example.test>, <alice@example.test>"),
        SPAN_INIT(" ,alice@example.test"),
        SPAN_INIT(" alice@example.test,"),
        SPAN_INIT(" friends: alice@example.test;"),
        SPAN_INIT(" undisclosed-recipients:;"),
        SPAN_INIT(" alice@example.test;"),
        /* two addresses, only one of which is the author's */
        SPAN_INIT(" bob@example.org <alice@example.test>"),
        SPAN_INIT(" bob@example.org alice@example.test"),
        SPAN_INIT(" <bob@example.org> <alice@example.test>"),
        SPAN_INIT(" <alice@example.test> bob@example.org"),
        SPAN_INIT(" <alice@example.test>bob"),
        SPAN_INIT(" <<alice@example.test>>"),
        SPAN_INIT(" <alice@example.test <bob@example.org>"),
        SPAN_INIT(" \"x\"@example.org <alice@example.test>"),
        /* obsolete: a route, blanks within an address (RFC 5322 §4.4) */
        SPAN_INIT(" <@example.org:alice@example.test>"),
        SPAN_INIT(" alice @ example.test"),
        SPAN_INIT(" alice(comment)@example.test"),
        SPAN_INIT(" <alice@example.test\r\n bob>"),
        /* what does not end */
        SPAN_INIT(" \"Alice <alice@example.test>"),
        SPAN_INIT(" (Alice <alice@example.test>"),
        SPAN_INIT(" alice@example.test (one"),
        SPAN_INIT(" alice@example.test (one\\)"),
        SPAN_INIT(" <alice@example.test"),
        SPAN_INIT(" \"Alice\\"),
        SPAN_INIT(" (\\"),
        SPAN_INIT(" alice@example.test>"),
        SPAN_INIT(" Alice) <alice@example.test>"),
        SPAN_INIT(" Al\\ice <alice@example.test>"),
        /* octets that some readers stop at */
        SPAN_INIT(" alice@example.test\0"),
        SPAN_INIT(" bob\0 <alice@example.test>"),
        SPAN_INIT(" \"a\x7f\" <alice@example.test>"),
        SPAN_INIT(" (\x1b[2J) alice@example.test"),
        /* no address */
        SPAN_INIT(" alice"),
        SPAN_INIT(" @example.test"),
        SPAN_INIT(" alice@"),
        SPAN_INIT(" Alice <alice>"),
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        struct address address;
        if (mailbox_parse_lone(values[i], &address))
            fail_msg("taken for one mailbox: %.*s", SPAN_ARG(values[i]));
    }
}

static void comments_nest_as_deep_as_memory(void **state)
{
    (void)state;
    struct buf value = {0};
    struct address address;
    for (size_t i = 0; i < 1000000; i++)
        buf_add(&value, SPAN("("));
    assert_false(mailbox_parse_lone(buf_span(&value), &address));
    for (size_t i = 0; i < 1000000; i++)
        buf_add(&value, SPAN(")"));
    buf_add(&value, SPAN("alice@example.test"));
    assert_true(mailbox_parse_lone(buf_span(&value), &address));
    buf_free(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_mailbox_in_any_clear_form_is_found),
        cmocka_unit_test(a_local_part_may_be_quoted),
        cmocka_unit_test(what_can_be_read_in_two_ways_is_none),
        cmocka_unit_test(comments_nest_as_deep_as_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
