/* entries: the one entry is changed, and not an octet besides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl/entries.h"

static void assert_text(struct buf *out, const char *expected)
{
    buf_add(out, span_of("", 1));
    assert_string_equal(buf_span(out).data, expected);
    buf_free(out);
}

static void an_entry_is_set_where_it_stands_or_at_the_end(void **state)
{
    static const struct {
        const char *before, *value, *after;
    } rows[] = {
        {"", "v", "bob v\n"},
        {"", "", "bob\n"},
        {"# note\n", "v", "# note\nbob v\n"},
        {"ann 1\nbob 2\ncyd 3\n", "v", "ann 1\nbob v\ncyd 3\n"},
        {"ann 1\ncyd 3", "v", "ann 1\ncyd 3\nbob v\n"},
        {"ann 1\nbob", "v", "ann 1\nbob v\n"},
        {"BOB 2\n", "v", "bob v\n"},
        {"bob: 2\n", "v", "bob v\n"},
        {"bob\t2\r\n", "v", "bob v\n"},
        {"bobby 2\n", "v", "bobby 2\nbob v\n"},
        {"bob 1,\n  2,\n\t3\ncyd 4\n", "v", "bob v\ncyd 4\n"},
        {"bob 1\n# kept\n\n 2\ncyd 4\n", "v", "bob v\n# kept\n\ncyd 4\n"},
        {"bob 1\n  # kept\ncyd 4\n", "v", "bob v\n  # kept\ncyd 4\n"},
        {"# bob 1\n", "v", "# bob 1\nbob v\n"},
        {"bob 1\nann 2\nbob 3\n", "v", "bob v\nann 2\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = {0};
        entries_set(span_cstr(rows[i].before), SPAN("bob"), span_cstr(rows[i].value), &out);
        assert_text(&out, rows[i].after);
    }
}

static void an_entry_is_removed_with_its_continuation_alone(void **state)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"", ""},
        {"bob 1\n", ""},
        {"bob 1", ""},
        {"ann 1\nbob 2\n  3\ncyd 4\n", "ann 1\ncyd 4\n"},
        {"ann 1\nbob 2\n# note\n 3\n", "ann 1\n# note\n"},
        {"ann 1\n# bob\n 2\n", "ann 1\n# bob\n 2\n"},
        {"ann bob\n bob\n", "ann bob\n bob\n"},
        {"bob 1\nbob 2\nann 3", "ann 3"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = {0};
        entries_remove(span_cstr(rows[i].before), SPAN("bob"), &out);
        assert_text(&out, rows[i].after);
    }
}

static void only_the_first_word_of_an_entry_is_a_key(void **state)
{
    static const struct {
        const char *text;
        bool has;
    } rows[] = {
        {"bob", true},   {"bob\n", true},          {"bob 1\n", true}, {"Bob: 1\n", true},
        {"", false},     {"#bob\n", false},        {" bob\n", false}, {"ann bob\n", false},
        {"bo\n", false}, {"ann 1\n bob\n", false}, {"bob2\n", false}, {"\n\nbob\n", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(entries_has(span_cstr(rows[i].text), SPAN("bob")), rows[i].has);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_set_where_it_stands_or_at_the_end),
        cmocka_unit_test(an_entry_is_removed_with_its_continuation_alone),
        cmocka_unit_test(only_the_first_word_of_an_entry_is_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
