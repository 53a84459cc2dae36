#include "util/mail/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    struct span input;
    size_t most;
    enum line_result result;
    struct span line;
    size_t used;
} rows[] = {
    {SPAN_INIT("NOOP\r\n"), 100, LINE_OK, SPAN_INIT("NOOP"), 6},
    {SPAN_INIT("NOOP\r\nQUIT\r\n"), 100, LINE_OK, SPAN_INIT("NOOP"), 6},
    {SPAN_INIT("NOOP\n"), 100, LINE_OK, SPAN_INIT("NOOP"), 5},
    {SPAN_INIT("\r\n"), 100, LINE_OK, SPAN_INIT(""), 2},
    {SPAN_INIT("\n"), 100, LINE_OK, SPAN_INIT(""), 1},
    {SPAN_INIT("a\rb\r\n"), 100, LINE_OK, SPAN_INIT("a\rb"), 5},
    {SPAN_INIT("a\r\r\n"), 100, LINE_OK, SPAN_INIT("a\r"), 4},
    {SPAN_INIT("a\0b\r\n"), 100, LINE_OK, SPAN_INIT("a\0b"), 5},
    {SPAN_INIT(""), 100, LINE_MORE, SPAN_INIT(""), 0},
    {SPAN_INIT("NOOP"), 100, LINE_MORE, SPAN_INIT(""), 0},
    {SPAN_INIT("NOOP\r"), 100, LINE_MORE, SPAN_INIT(""), 0},
    /* exactly the limit, one more, and nothing in sight */
    {SPAN_INIT("12345678\r\n"), 10, LINE_OK, SPAN_INIT("12345678"), 10},
    {SPAN_INIT("123456789\r\n"), 10, LINE_TOO_LONG, SPAN_INIT(""), 11},
    {SPAN_INIT("123456789"), 10, LINE_MORE, SPAN_INIT(""), 0},
    {SPAN_INIT("1234567890"), 10, LINE_TOO_LONG, SPAN_INIT(""), 10},
    {SPAN_INIT("123456789012345"), 10, LINE_TOO_LONG, SPAN_INIT(""), 15},
    {SPAN_INIT("1234567890\nNOOP\r\n"), 10, LINE_TOO_LONG, SPAN_INIT(""), 11},
};

static void lines_are_cut_at_their_feed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span line = SPAN("");
        size_t used = 99;
        assert_int_equal(line_cut(rows[i].input, rows[i].most, &line, &used), rows[i].result);
        assert_int_equal(used, rows[i].used);
        assert_int_equal(line.len, rows[i].line.len);
        assert_memory_equal(line.data, rows[i].line.data, line.len);
    }
}

/* What is swallowed of a long line in pieces is the same as at once: its feed ends it. */
static void long_line_is_swallowed_up_to_its_feed_only(void **state)
{
    (void)state;
    struct span input = SPAN("aaaaaaaaaaaaaaaaaaaaaaaa\r\nQUIT\r\n");
    struct span line;
    size_t used;
    assert_int_equal(line_cut(input, 8, &line, &used), LINE_TOO_LONG);
    assert_int_equal(input.data[used - 1], '\n');
    assert_int_equal(line_cut(span_skip(input, used), 8, &line, &used), LINE_OK);
    assert_memory_equal(line.data, "QUIT", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut_at_their_feed),
        cmocka_unit_test(long_line_is_swallowed_up_to_its_feed_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
