/*
 * CR and LF only together, however the octets are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "util/mail/line_ends.h"

static bool is_paired(struct span text, size_t cut, struct span *missing)
{
    struct line_ends ends = {0};
    return line_ends_add(&ends, span_first(text, cut)) &&
           line_ends_add(&ends, span_skip(text, cut)) && line_ends_complete(&ends, missing);
}

static void pairs_are_taken_and_lone_ones_are_not(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        bool good;
        struct span missing;
    } rows[] = {
        {SPAN_INIT(""), true, SPAN_INIT("")},
        {SPAN_INIT("text"), true, SPAN_INIT("\r\n")},
        {SPAN_INIT("text\r\n"), true, SPAN_INIT("")},
        {SPAN_INIT("\r\n\r\na\r\n"), true, SPAN_INIT("")},
        {SPAN_INIT("a\0b\r\n\xff"), true, SPAN_INIT("\r\n")},
        {SPAN_INIT("\n"), false, SPAN_INIT("")},
        {SPAN_INIT("\r"), false, SPAN_INIT("")},
        {SPAN_INIT("a\nb\r\n"), false, SPAN_INIT("")},
        {SPAN_INIT("a\rb\r\n"), false, SPAN_INIT("")},
        {SPAN_INIT("\r\r\n"), false, SPAN_INIT("")},
        {SPAN_INIT("\r\n\n"), false, SPAN_INIT("")},
        {SPAN_INIT("\n\r\n"), false, SPAN_INIT("")},
        {SPAN_INIT("a\r\0\n"), false, SPAN_INIT("")},
        {SPAN_INIT("a\r\nb\r"), false, SPAN_INIT("")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t cut = 0; cut <= rows[i].text.len; cut++) {
            struct span missing;
            assert_int_equal(is_paired(rows[i].text, cut, &missing), rows[i].good);
            if (rows[i].good)
                assert_true(span_equal(missing, rows[i].missing));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_taken_and_lone_ones_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
