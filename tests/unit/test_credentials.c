/* What an entry of the table of passwords means, and what it does not. */
#include "util/table/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define KEY         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define SALT        "MDEyMzQ1Njc4OWFiY2RlZg=="
#define KEYS        "scram-sha-256=4096," SALT "," KEY "," KEY

static void either_form_may_be_missing(void **state)
{
    static const struct {
        struct span value, crypt;
        bool has_scram;
    } rows[] = {
        {SPAN_INIT(""), SPAN_INIT(""), false},
        {SPAN_INIT("$y$j9T$salt$hash"), SPAN_INIT("$y$j9T$salt$hash"), false},
        {SPAN_INIT("$5$rounds=5000$salt$hash"), SPAN_INIT("$5$rounds=5000$salt$hash"), false},
        {SPAN_INIT("*"), SPAN_INIT("*"), false},
        {SPAN_INIT(KEYS), SPAN_INIT(""), true},
        {SPAN_INIT("$y$x " KEYS), SPAN_INIT("$y$x"), true},
        {SPAN_INIT("$y$x  \t " KEYS " "), SPAN_INIT("$y$x"), true},
        {SPAN_INIT(KEYS " $y$x"), SPAN_INIT("$y$x"), true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena arena = {0};
        struct credentials credentials;
        assert_true(credentials_parse(&arena, rows[i].value, &credentials));
        assert_true(span_equal(credentials.crypt, rows[i].crypt));
        assert_int_equal(credentials.crypt.data[credentials.crypt.len], 0);
        assert_int_equal(credentials.has_scram, rows[i].has_scram);
        if (rows[i].has_scram) {
            assert_int_equal(credentials.scram.iterations, 4096);
            assert_true(span_equal(credentials.scram.salt, SPAN(SALT)));
            assert_true(span_equal(credentials.scram.stored, SPAN(KEY)));
            assert_true(span_equal(credentials.scram.server, SPAN(KEY)));
        }
        arena_free(&arena);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const values[] = {
        "$y$a $y$b",
        KEYS " " KEYS,
        "scram-sha-256=",
        "scram-sha-256=4096",
        "scram-sha-256=4096," SALT "," KEY,
        "scram-sha-256=4096," SALT "," KEY "," KEY "," KEY,
        "scram-sha-256=4095," SALT "," KEY "," KEY,
        "scram-sha-256=10000001," SALT "," KEY "," KEY,
        "scram-sha-256=-1," SALT "," KEY "," KEY,
        "scram-sha-256=4096,MDEy," KEY "," KEY,
        "scram-sha-256=4096,," KEY "," KEY,
        "scram-sha-256=4096," SALT ",AAAA," KEY,
        "scram-sha-256=4096," SALT "," KEY ",AAAA",
        "scram-sha-256=4096,!" SALT "," KEY "," KEY,
    };
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        struct arena arena = {0};
        struct credentials credentials;
        if (credentials_parse(&arena, span_cstr(values[i]), &credentials))
            fail_msg("value %zu", i);
        arena_free(&arena);
    }
}

static void a_value_is_written_as_it_is_read(void **state)
{
    static const char *const values[] = {"", "$y$x", KEYS, "$y$x " KEYS};
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        struct arena arena = {0};
        struct credentials credentials;
        assert_true(credentials_parse(&arena, span_cstr(values[i]), &credentials));
        assert_string_equal(credentials_text(&arena, &credentials).data, values[i]);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(either_form_may_be_missing),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_value_is_written_as_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
