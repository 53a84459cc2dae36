#include "util/mail/header.h"

#include "util/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

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
        {SPAN_INIT("receive: a\r\nReceived\r\n b: c\r\nReceived\t : d\n\n"), 1000, 1, 44},
        {SPAN_INIT("Received-SPF: a\r\nX-Received: b\r\n\r\n"), 1000, 0, 34},
        {SPAN_INIT("From someone\r\nReceived: a\r\n\r\n"), 1000, 1, 29},
        {SPAN_INIT(" odd\r\nReceived: a\r\n"), 1000, 1, 19},
        {SPAN_INIT("Received: a\r\nReceived: b\r\n\r\n"), 13, 1, 13},
        {SPAN_INIT(""), 1000, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        /* Whole, and in two pieces, whatever their size. */
        for (size_t cut = 0; cut <= rows[i].message.len; cut++) {
            struct header_scan scan = {0};
            header_scan(&scan, span_first(rows[i].message, cut), rows[i].most);
            header_scan(&scan, span_skip(rows[i].message, cut), rows[i].most);
            assert_int_equal(scan.received, rows[i].received);
            assert_int_equal(scan.size, rows[i].size);
        }
    }
}

static void scan_ends_with_the_block_or_with_the_most(void **state)
{
    (void)state;
    static const struct {
        struct span message;
        size_t most;
        bool ended;
    } rows[] = {
        {SPAN_INIT("a: b\r\n\r\n"), 1000, true}, {SPAN_INIT("a: b\n\n"), 1000, true},
        {SPAN_INIT("a: b\r\n\r"), 1000, false},  {SPAN_INIT("a: b\r\n\r\r\n"), 1000, false},
        {SPAN_INIT("a: b\r\n"), 6, true},        {SPAN_INIT("a: b\r\n"), 7, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct header_scan scan = {0};
        header_scan(&scan, rows[i].message, rows[i].most);
        assert_int_equal(scan.ended, rows[i].ended);
    }
}

static void half_a_million_fields_are_counted(void **state)
{
    (void)state;
    struct buf message = {0};
    for (size_t i = 0; i < 500000; i++)
        buf_add(&message, SPAN("Received: x\r\n"));
    struct header_scan scan = {0};
    header_scan(&scan, buf_span(&message), buf_len(&message));
    assert_int_equal(scan.received, 500000);
    buf_free(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_begins_behind_the_empty_line),
        cmocka_unit_test(scan_counts_hops_in_the_block_alone),
        cmocka_unit_test(scan_ends_with_the_block_or_with_the_most),
        cmocka_unit_test(half_a_million_fields_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
