/*
 * Names are made for one letter and one recipient, and read from whoever made them.
 */
#include "local/maildir_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct letter_place place = {.salt = {{1, 2, 3}},
                                          .number = 7,
                                          .offset = 4096,
                                          .arrival_us = 1795248000999999,
                                          .recipient = 3};

static void the_same_place_gives_the_same_name_and_any_other_another(void **state)
{
    (void)state;
    struct letter_place others[5] = {place, place, place, place, place};
    others[1].salt.octets[15] = 1;
    others[2].number++;
    others[3].offset += 64;
    others[4].recipient++;
    char names[5][MAILDIR_NAME_SIZE], again[MAILDIR_NAME_SIZE];
    maildir_name_unique(&place, SPAN("mx"), again);
    for (size_t i = 0; i < 5; i++) {
        maildir_name_unique(&others[i], SPAN("mx"), names[i]);
        if (i == 0)
            assert_string_equal(names[i], again);
        else
            assert_string_not_equal(names[i], again);
    }
}

static void a_name_has_the_time_a_hash_and_the_host(void **state)
{
    (void)state;
    char name[MAILDIR_NAME_SIZE];
    maildir_name_unique(&place, SPAN("mx.example.test"), name);
    assert_memory_equal(name, "1795248000.M999999V", 19);
    assert_string_equal(name + 39, ".mx.example.test");
    assert_true(maildir_name_is_ours(span_cstr(name)));
    assert_int_equal(maildir_name_arrival(span_cstr(name)), 1795248000);
}

static void names_sort_as_the_letters_came(void **state)
{
    (void)state;
    static const uint64_t arrivals[] = {1795248000000009, 1795248000000010, 1795248000100000,
                                        1795248001000000};
    char before[MAILDIR_NAME_SIZE] = "", name[MAILDIR_NAME_SIZE];
    for (size_t i = 0; i < sizeof(arrivals) / sizeof(arrivals[0]); i++) {
        struct letter_place later = place;
        later.arrival_us = arrivals[i];
        maildir_name_unique(&later, SPAN("mx"), name);
        assert_true(strcmp(before, name) < 0);
        strcpy(before, name);
    }
}

static void a_host_name_can_not_break_the_name(void **state)
{
    (void)state;
    char name[MAILDIR_NAME_SIZE], host[400];
    maildir_name_unique(&place, SPAN("a/b:c,d"), name);
    assert_string_equal(name + 39, ".a\\057b\\072c\\054d");
    memset(host, '/', sizeof host);
    maildir_name_unique(&place, span_of(host, sizeof host), name);
    assert_int_equal(strlen(name + 40), MAILDIR_HOST_MOST);
}

static void the_longest_name_fits(void **state)
{
    (void)state;
    struct letter_place far = place;
    far.arrival_us = UINT64_MAX;
    char host[400], unique[MAILDIR_NAME_SIZE], name[MAILDIR_NAME_SIZE];
    memset(host, 'h', sizeof host);
    maildir_name_unique(&far, span_of(host, sizeof host), unique);
    maildir_name_final(unique, UINT64_MAX, UINT64_MAX, name);
    assert_true(strlen(name) < MAILDIR_NAME_SIZE - sizeof ":2,DFPRST");
}

static void the_unique_part_ends_at_comma_or_colon(void **state)
{
    (void)state;
    static const struct span names[] = {SPAN_INIT("1.a"), SPAN_INIT("1.a,S=3"),
                                        SPAN_INIT("1.a:2,S"), SPAN_INIT("1.a,W=3:2,RS")};
    for (size_t i = 0; i < 4; i++)
        assert_true(span_equal(maildir_name_unique_part(names[i]), SPAN("1.a")));
}

static void only_our_form_is_ours(void **state)
{
    (void)state;
    assert_true(maildir_name_is_ours(SPAN("1.M000001V0123456789abcdef0123.h,P=1")));
    static const struct span foreign[] = {
        SPAN_INIT(""),
        SPAN_INIT("1.M000001V0123456789abcdef012"),
        SPAN_INIT("1.M000001V0123456789abcdef0123"),
        SPAN_INIT("1.M000001V0123456789abcdef012g.h"),
        SPAN_INIT(".M000001V0123456789abcdef0123.h"),
        SPAN_INIT("1.V0123456789abcdef0123.h"),
        SPAN_INIT("1.M00001V0123456789abcdef0123.h"),
        SPAN_INIT("1.M000001"),
        SPAN_INIT("1.M0123456789abcdef0123.h"),
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_false(maildir_name_is_ours(foreign[i]));
}

static void a_size_is_read_only_where_it_is_plausible(void **state)
{
    (void)state;
    uint64_t octets = 0;
    assert_true(maildir_name_wire_size(SPAN("1.a,S=10,W=12:2,S"), &octets));
    assert_int_equal(octets, 12);
    assert_true(maildir_name_wire_size(SPAN("1.a,W=5"), &octets));
    static const struct span bad[] = {SPAN_INIT("1.a"),           SPAN_INIT("1.a,S=5"),
                                      SPAN_INIT("1.a,S=10,W=9"),  SPAN_INIT("1.a,S=10,W=23"),
                                      SPAN_INIT("1.a,W=-1"),      SPAN_INIT("1.a,W="),
                                      SPAN_INIT("1.a:2,S,W=100"), SPAN_INIT("1.a,W=12x")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(maildir_name_wire_size(bad[i], &octets));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_place_gives_the_same_name_and_any_other_another),
        cmocka_unit_test(a_name_has_the_time_a_hash_and_the_host),
        cmocka_unit_test(names_sort_as_the_letters_came),
        cmocka_unit_test(a_host_name_can_not_break_the_name),
        cmocka_unit_test(the_longest_name_fits),
        cmocka_unit_test(the_unique_part_ends_at_comma_or_colon),
        cmocka_unit_test(only_our_form_is_ours),
        cmocka_unit_test(a_size_is_read_only_where_it_is_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
