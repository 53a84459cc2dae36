/*
 * Spans are what every parser cuts with, so their edges are tested one by one: nothing, NULL, NUL
 * octets, octets above 127, offsets behind the end.
 */
#include "util/base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct span no_data = {NULL, 0};

static void assert_span(struct span actual, struct span expected)
{
    assert_int_equal(actual.len, expected.len);
    if (expected.len > 0)
        assert_memory_equal(actual.data, expected.data, expected.len);
}

static void cstr_counts_octets_before_the_nul(void **state)
{
    (void)state;
    assert_span(span_cstr("alice"), SPAN("alice"));
    assert_int_equal(span_cstr("").len, 0);
}

static void cstr_of_null_is_empty(void **state)
{
    (void)state;
    assert_int_equal(span_cstr(NULL).len, 0);
    assert_non_null(span_cstr(NULL).data);
}

static void equal_compares_octets(void **state)
{
    (void)state;
    static const struct {
        struct span a, b;
        bool equal, equal_nocase;
    } rows[] = {
        {SPAN_INIT("mail"), SPAN_INIT("mail"), true, true},
        {SPAN_INIT("mail"), SPAN_INIT("MaiL"), false, true},
        {SPAN_INIT("mail"), SPAN_INIT("mails"), false, false},
        {SPAN_INIT("mail"), SPAN_INIT("maid"), false, false},
        {SPAN_INIT(""), SPAN_INIT(""), true, true},
        {{NULL, 0}, SPAN_INIT(""), true, true},
        {SPAN_INIT("a\0b"), SPAN_INIT("a\0b"), true, true},
        {SPAN_INIT("a\0b"), SPAN_INIT("a\0c"), false, false},
        /* Only letters have a case: @ and `, [ and { differ in the same bit. */
        {SPAN_INIT("@["), SPAN_INIT("`{"), false, false},
        {SPAN_INIT("\xc4"), SPAN_INIT("\xe4"), false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(span_equal(rows[i].a, rows[i].b), rows[i].equal);
        assert_int_equal(span_equal(rows[i].b, rows[i].a), rows[i].equal);
        assert_int_equal(span_equal_nocase(rows[i].a, rows[i].b), rows[i].equal_nocase);
        assert_int_equal(span_equal_nocase(rows[i].b, rows[i].a), rows[i].equal_nocase);
    }
}

static void prefix_and_suffix(void **state)
{
    (void)state;
    static const struct {
        struct span s, part;
        bool prefix, prefix_nocase, suffix;
    } rows[] = {
        {SPAN_INIT("RCPT TO:"), SPAN_INIT("RCPT"), true, true, false},
        {SPAN_INIT("RCPT TO:"), SPAN_INIT("rcpt"), false, true, false},
        {SPAN_INIT("RCPT TO:"), SPAN_INIT("TO:"), false, false, true},
        {SPAN_INIT("RCPT"), SPAN_INIT("RCPT"), true, true, true},
        {SPAN_INIT("RCP"), SPAN_INIT("RCPT"), false, false, false},
        {SPAN_INIT("RCPT"), SPAN_INIT(""), true, true, true},
        {SPAN_INIT(""), SPAN_INIT(""), true, true, true},
        {{NULL, 0}, {NULL, 0}, true, true, true},
        {{NULL, 0}, SPAN_INIT("a"), false, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(span_has_prefix(rows[i].s, rows[i].part), rows[i].prefix);
        assert_int_equal(span_has_prefix_nocase(rows[i].s, rows[i].part), rows[i].prefix_nocase);
        assert_int_equal(span_has_suffix(rows[i].s, rows[i].part), rows[i].suffix);
    }
}

static void skip_and_first_stop_at_the_end(void **state)
{
    (void)state;
    static const struct {
        struct span s;
        size_t count;
        struct span first, rest;
    } rows[] = {
        {SPAN_INIT("abc"), 0, SPAN_INIT(""), SPAN_INIT("abc")},
        {SPAN_INIT("abc"), 1, SPAN_INIT("a"), SPAN_INIT("bc")},
        {SPAN_INIT("abc"), 3, SPAN_INIT("abc"), SPAN_INIT("")},
        {SPAN_INIT("abc"), 4, SPAN_INIT("abc"), SPAN_INIT("")},
        {SPAN_INIT("abc"), SIZE_MAX, SPAN_INIT("abc"), SPAN_INIT("")},
        {{NULL, 0}, 0, SPAN_INIT(""), SPAN_INIT("")},
        {{NULL, 0}, 7, SPAN_INIT(""), SPAN_INIT("")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_span(span_first(rows[i].s, rows[i].count), rows[i].first);
        assert_span(span_skip(rows[i].s, rows[i].count), rows[i].rest);
    }
}

static void skip_points_into_the_same_octets(void **state)
{
    (void)state;
    struct span s = SPAN("abc");
    assert_ptr_equal(span_skip(s, 2).data, s.data + 2);
    assert_ptr_equal(span_skip(s, 9).data, s.data + 3);
}

static void find_gives_the_first_and_the_last(void **state)
{
    (void)state;
    struct span s = SPAN("a@b@c\0d\xff");
    assert_int_equal(span_find(s, '@'), 1);
    assert_int_equal(span_find_last(s, '@'), 3);
    assert_int_equal(span_find(s, '\0'), 5);
    assert_int_equal(span_find(s, (char)0xff), 7);
}

static void find_without_a_hit_gives_the_length(void **state)
{
    (void)state;
    assert_int_equal(span_find(SPAN("abc"), 'x'), 3);
    assert_int_equal(span_find_last(SPAN("abc"), 'x'), 3);
    assert_int_equal(span_find(no_data, 'x'), 0);
    assert_int_equal(span_find_last(no_data, 'x'), 0);
    /* The NUL behind the literal is not part of the span. */
    assert_int_equal(span_find(SPAN("abc"), '\0'), 3);
}

static void trim_drops_blanks_at_both_ends_only(void **state)
{
    (void)state;
    static const struct {
        struct span s, trimmed;
    } rows[] = {
        {SPAN_INIT(" \t a b\t "), SPAN_INIT("a b")},
        {SPAN_INIT("a"), SPAN_INIT("a")},
        {SPAN_INIT(" \t "), SPAN_INIT("")},
        {SPAN_INIT(""), SPAN_INIT("")},
        {{NULL, 0}, SPAN_INIT("")},
        {SPAN_INIT("\r a \n"), SPAN_INIT("\r a \n")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_span(span_trim(rows[i].s), rows[i].trimmed);
}

static void next_cuts_word_by_word(void **state)
{
    (void)state;
    struct span rest = SPAN("one two  four");
    struct span word;
    static const struct span words[] = {SPAN_INIT("one"), SPAN_INIT("two"), SPAN_INIT(""),
                                        SPAN_INIT("four")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_true(span_next(&rest, ' ', &word));
        assert_span(word, words[i]);
    }
    assert_false(span_next(&rest, ' ', &word));
}

static void next_ends_behind_a_last_separator(void **state)
{
    (void)state;
    struct span rest = SPAN("one,");
    struct span word;
    assert_true(span_next(&rest, ',', &word));
    assert_span(word, SPAN("one"));
    assert_false(span_next(&rest, ',', &word));
}

static void next_of_nothing_is_false(void **state)
{
    (void)state;
    struct span rest = no_data;
    struct span word;
    assert_false(span_next(&rest, ',', &word));
}

static void to_u64_reads_decimal_numbers(void **state)
{
    (void)state;
    static const struct {
        struct span s;
        uint64_t max, number;
    } rows[] = {
        {SPAN_INIT("0"), 0, 0},
        {SPAN_INIT("007"), 7, 7},
        {SPAN_INIT("65535"), 65535, 65535},
        {SPAN_INIT("18446744073709551615"), UINT64_MAX, UINT64_MAX},
        {SPAN_INIT("00000000000000000001"), UINT64_MAX, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t number = 99;
        assert_true(span_to_u64(rows[i].s, rows[i].max, &number));
        assert_true(number == rows[i].number);
    }
}

static void to_u64_refuses_everything_else(void **state)
{
    (void)state;
    static const struct {
        struct span s;
        uint64_t max;
    } rows[] = {
        {SPAN_INIT(""), UINT64_MAX},
        {{NULL, 0}, UINT64_MAX},
        {SPAN_INIT("-1"), UINT64_MAX},
        {SPAN_INIT("+1"), UINT64_MAX},
        {SPAN_INIT(" 1"), UINT64_MAX},
        {SPAN_INIT("1 "), UINT64_MAX},
        {SPAN_INIT("0x1"), UINT64_MAX},
        {SPAN_INIT("1\0"), UINT64_MAX},
        {SPAN_INIT("65536"), 65535},
        {SPAN_INIT("18446744073709551616"), UINT64_MAX},
        {SPAN_INIT("99999999999999999999"), UINT64_MAX},
        {SPAN_INIT("000000000000000000001"), UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t number = 99;
        assert_false(span_to_u64(rows[i].s, rows[i].max, &number));
        assert_int_equal(number, 99);
    }
}

static void to_cstr_copies_what_fits(void **state)
{
    (void)state;
    char out[4] = "xxx";
    assert_true(span_to_cstr(SPAN("abc"), out, sizeof(out)));
    assert_string_equal(out, "abc");
    assert_true(span_to_cstr(no_data, out, sizeof(out)));
    assert_string_equal(out, "");
}

static void to_cstr_never_truncates(void **state)
{
    (void)state;
    char out[4] = "xxx";
    assert_false(span_to_cstr(SPAN("abcd"), out, sizeof(out)));
    assert_string_equal(out, "");
    assert_false(span_to_cstr(SPAN(""), out, 0));
}

static void to_cstr_refuses_a_nul_inside(void **state)
{
    (void)state;
    char out[8] = "xxx";
    assert_false(span_to_cstr(SPAN("a\0b"), out, sizeof(out)));
    assert_string_equal(out, "");
}

static void any_octet_is_shown_as_two_digits(void **state)
{
    (void)state;
    static const struct {
        char octet;
        const char *shown;
    } rows[] = {
        {'\0', "\\x00"}, {'\n', "\\x0a"}, {'a', "\\x61"}, {'\\', "\\x5c"}, {(char)0xff, "\\xff"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[SPAN_ESCAPE];
        span_escape(rows[i].octet, out);
        assert_memory_equal(out, rows[i].shown, SPAN_ESCAPE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_octet_is_shown_as_two_digits),
        cmocka_unit_test(cstr_counts_octets_before_the_nul),
        cmocka_unit_test(cstr_of_null_is_empty),
        cmocka_unit_test(equal_compares_octets),
        cmocka_unit_test(prefix_and_suffix),
        cmocka_unit_test(skip_and_first_stop_at_the_end),
        cmocka_unit_test(skip_points_into_the_same_octets),
        cmocka_unit_test(find_gives_the_first_and_the_last),
        cmocka_unit_test(find_without_a_hit_gives_the_length),
        cmocka_unit_test(trim_drops_blanks_at_both_ends_only),
        cmocka_unit_test(next_cuts_word_by_word),
        cmocka_unit_test(next_ends_behind_a_last_separator),
        cmocka_unit_test(next_of_nothing_is_false),
        cmocka_unit_test(to_u64_reads_decimal_numbers),
        cmocka_unit_test(to_u64_refuses_everything_else),
        cmocka_unit_test(to_cstr_copies_what_fits),
        cmocka_unit_test(to_cstr_never_truncates),
        cmocka_unit_test(to_cstr_refuses_a_nul_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
