#include "util/mail/received.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct received plain = {
    .helo = SPAN_INIT("client.test"),
    .client_name = SPAN_INIT("unknown"),
    .client_address = SPAN_INIT("192.0.2.1"),
    .by = SPAN_INIT("mx.example.test"),
    .protocol = SPAN_INIT("ESMTP"),
    .id = SPAN_INIT("4K7"),
    .time_us = 1793607330123456,
};

static void assert_written(const struct received *facts, struct span expected)
{
    struct buf out = {0};
    received_write(&out, facts);
    assert_int_equal(buf_len(&out), expected.len);
    assert_memory_equal(buf_span(&out).data, expected.data, expected.len);
    buf_free(&out);
}

static void field_holds_all_facts(void **state)
{
    (void)state;
    assert_written(&plain, SPAN("Received: from client.test (unknown [192.0.2.1])\r\n"
                                "\tby mx.example.test with ESMTP id 4K7;\r\n"
                                "\tMon, 02 Nov 2026 08:15:30 +0000\r\n"));
}

static void one_recipient_is_named(void **state)
{
    (void)state;
    struct received facts = plain;
    facts.recipient = SPAN("bob@example.test");
    assert_written(&facts, SPAN("Received: from client.test (unknown [192.0.2.1])\r\n"
                                "\tby mx.example.test with ESMTP id 4K7\r\n"
                                "\tfor <bob@example.test>;\r\n"
                                "\tMon, 02 Nov 2026 08:15:30 +0000\r\n"));
}

static void ipv6_address_is_tagged(void **state)
{
    (void)state;
    struct received facts = plain;
    facts.client_address = SPAN("2001:db8::1");
    facts.helo = SPAN("[IPv6:2001:db8::1]");
    assert_written(&facts, SPAN("Received: from [IPv6:2001:db8::1] (unknown [IPv6:2001:db8::1])\r\n"
                                "\tby mx.example.test with ESMTP id 4K7;\r\n"
                                "\tMon, 02 Nov 2026 08:15:30 +0000\r\n"));
}

static void helo_can_not_write_our_header(void **state)
{
    (void)state;
    struct received facts = plain;
    facts.helo = SPAN("a\r\nX: (\x1b \0");
    assert_written(&facts, SPAN("Received: from a\\x0d\\x0aX:\\x20\\x28\\x1b\\x20\\x00 (unknown "
                                "[192.0.2.1])\r\n\tby mx.example.test with ESMTP id 4K7;\r\n"
                                "\tMon, 02 Nov 2026 08:15:30 +0000\r\n"));
}

static void missing_helo_is_unknown(void **state)
{
    (void)state;
    struct received facts = plain;
    facts.helo = SPAN("");
    assert_written(&facts, SPAN("Received: from unknown (unknown [192.0.2.1])\r\n"
                                "\tby mx.example.test with ESMTP id 4K7;\r\n"
                                "\tMon, 02 Nov 2026 08:15:30 +0000\r\n"));
}

/* RFC 5322 §2.1.1 */
static void no_line_exceeds_998_octets(void **state)
{
    (void)state;
    static char flood[65536];
    memset(flood, 1, sizeof(flood));
    struct received facts = plain;
    facts.helo = facts.client_name = span_of(flood, sizeof(flood));
    struct buf out = {0};
    received_write(&out, &facts);
    struct span rest = buf_span(&out), line;
    while (span_next(&rest, '\n', &line))
        assert_in_range(line.len, 1, 999);
    buf_free(&out);
}

static void date_is_in_the_form_of_rfc_5322(void **state)
{
    (void)state;
    static const struct {
        uint64_t time_us;
        struct span text;
    } rows[] = {
        {0, SPAN_INIT("Thu, 01 Jan 1970 00:00:00 +0000")},
        {951782399999999, SPAN_INIT("Mon, 28 Feb 2000 23:59:59 +0000")},
        {951782400000000, SPAN_INIT("Tue, 29 Feb 2000 00:00:00 +0000")},
        {1793607330000000, SPAN_INIT("Mon, 02 Nov 2026 08:15:30 +0000")},
        {4102444799000000, SPAN_INIT("Thu, 31 Dec 2099 23:59:59 +0000")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[DATE_TEXT_MAX];
        struct span date = date_write(rows[i].time_us, text);
        assert_int_equal(date.len, rows[i].text.len);
        assert_memory_equal(date.data, rows[i].text.data, date.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_holds_all_facts),
        cmocka_unit_test(one_recipient_is_named),
        cmocka_unit_test(ipv6_address_is_tagged),
        cmocka_unit_test(helo_can_not_write_our_header),
        cmocka_unit_test(missing_helo_is_unknown),
        cmocka_unit_test(no_line_exceeds_998_octets),
        cmocka_unit_test(date_is_in_the_form_of_rfc_5322),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
