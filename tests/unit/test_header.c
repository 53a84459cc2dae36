#include "util/mail/header.h"

#include "util/base/buf.h"

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

static void fields_come_one_by_one(void **state)
{
    (void)state;
    struct span rest =
        SPAN("From: a@b\r\nSubject : x\r\n y\r\n\tz\r\nTo:\nX:1\r\n\r\nbody: no\r\n");
    static const struct header_field expected[] = {
        {SPAN_INIT("From"), SPAN_INIT(" a@b")},
        {SPAN_INIT("Subject"), SPAN_INIT(" x\r\n y\r\n\tz")},
        {SPAN_INIT("To"), SPAN_INIT("")},
        {SPAN_INIT("X"), SPAN_INIT("1")},
    };
    struct header_field field;
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(header_next(&rest, &field));
        assert_span(field.name, expected[i].name);
        assert_span(field.value, expected[i].value);
    }
    assert_false(header_next(&rest, &field));
    assert_span(rest, SPAN("\r\nbody: no\r\n"));
}

static void block_stops_where_no_field_is(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_INIT(""),           SPAN_INIT("\r\n"),      SPAN_INIT(" folded: first\r\n"),
        SPAN_INIT("no colon\n"), SPAN_INIT(": x\r\n"),   SPAN_INIT("a b: x\r\n"),
        SPAN_INIT("a\0: x\r\n"), SPAN_INIT("\xe9: x\n"),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span rest = rows[i];
        struct header_field field;
        assert_false(header_next(&rest, &field));
        assert_int_equal(rest.len, rows[i].len);
    }
}

static void body_begins_behind_the_empty_line(void **state)
{
    (void)state;
    static const struct {
        struct span message;
        size_t end;
    } rows[] = {
        {SPAN_INIT("a: b\r\n\r\nbody"), 8},
        {SPAN_INIT("a: b\n\nbody"), 6},
        {SPAN_INIT("\r\nbody"), 2},
        {SPAN_INIT("a: b\r\n"), 6},
        {SPAN_INIT("a: b"), 4},
        {SPAN_INIT(""), 0},
        {SPAN_INIT("\n"), 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(header_end(rows[i].message), rows[i].end);
}

static void scan_counts_hops_in_the_block_alone(void **state)
{
    (void)state;
    static const struct {
        struct span message;
        size_t most, received, size;
    } rows[] = {
        {SPAN_INIT("Received: a\r\n b\r\nRECEIVED : c\r\n\r\nReceived: d\r\n"), 1000, 2, 33},
        {SPAN_INIT("Received-SPF: a\r\nX-Received: b\r\n\r\n"), 1000, 0, 34},
        {SPAN_INIT("From someone\r\nReceived: a\r\n\r\n"), 1000, 1, 29},
        {SPAN_INIT(" odd\r\nReceived: a\r\n"), 1000, 1, 19},
        {SPAN_INIT("Received: a\r\nReceived: b\r\n\r\n"), 13, 1, 13},
        {SPAN_INIT(""), 1000, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct header_facts facts = header_scan(rows[i].message, rows[i].most);
        assert_int_equal(facts.received, rows[i].received);
        assert_int_equal(facts.size, rows[i].size);
    }
}

static void half_a_million_fields_are_counted(void **state)
{
    (void)state;
    struct buf message = {0};
    for (size_t i = 0; i < 500000; i++)
        buf_add(&message, SPAN("Received: x\r\n"));
    struct header_facts facts = header_scan(buf_span(&message), buf_len(&message));
    assert_int_equal(facts.received, 500000);
    buf_free(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_one_by_one),
        cmocka_unit_test(block_stops_where_no_field_is),
        cmocka_unit_test(body_begins_behind_the_empty_line),
        cmocka_unit_test(scan_counts_hops_in_the_block_alone),
        cmocka_unit_test(half_a_million_fields_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
