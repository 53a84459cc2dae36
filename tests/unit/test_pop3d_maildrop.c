/*
 * The messages of a session: numbers, marks, names in parts.
 */
#include "pop3d/maildrop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGES = 20 };

static int set_up(void **state)
{
    static struct maildrop maildrop;
    static char names[MESSAGES][16];
    struct mailbox_entry entries[MESSAGES];
    int lock[2];
    for (size_t i = 0; i < MESSAGES; i++) {
        int len = snprintf(names[i], sizeof(names[i]), "new/%02zu", i);
        entries[i] = (struct mailbox_entry){
            .octets = i + 1,
            .uidl = span_of(names[i] + 4, 2),
            .name = span_of(names[i], (size_t)len),
        };
    }
    assert_int_equal(pipe(lock), 0);
    (void)close(lock[0]);
    maildrop_init(&maildrop);
    assert_true(maildrop_open(&maildrop, lock[1], mailbox_list_seal(entries, MESSAGES)));
    *state = &maildrop;
    return 0;
}

static int tear_down(void **state)
{
    maildrop_close(*state);
    return 0;
}

static void test_an_open_maildrop_counts_all_messages(void **state)
{
    const struct maildrop *maildrop = *state;
    assert_int_equal(maildrop->left, MESSAGES);
    assert_int_equal(maildrop->octets, MESSAGES * (MESSAGES + 1) / 2);
    assert_int_equal(maildrop->last, 0);
}

static void test_numbers_begin_with_one(void **state)
{
    const struct maildrop *maildrop = *state;
    uint32_t index;
    assert_true(maildrop_find(maildrop, SPAN("1"), &index));
    assert_int_equal(index, 0);
    assert_true(maildrop_find(maildrop, SPAN("20"), &index));
    assert_int_equal(index, 19);
    assert_false(maildrop_find(maildrop, SPAN("0"), &index));
    assert_false(maildrop_find(maildrop, SPAN("21"), &index));
    assert_false(maildrop_find(maildrop, SPAN("4294967297"), &index));
    assert_false(maildrop_find(maildrop, SPAN(""), &index));
}

static void test_a_marked_message_is_not_found_and_not_counted(void **state)
{
    struct maildrop *maildrop = *state;
    uint32_t index;
    maildrop_mark(maildrop, 7, 8);
    maildrop_mark(maildrop, 8, 9);
    assert_true(maildrop_is_marked(maildrop, 7));
    assert_true(maildrop_is_marked(maildrop, 8));
    assert_false(maildrop_is_marked(maildrop, 9));
    assert_false(maildrop_find(maildrop, SPAN("8"), &index));
    assert_true(maildrop_find(maildrop, SPAN("10"), &index));
    assert_int_equal(maildrop->left, MESSAGES - 2);
    assert_int_equal(maildrop->octets, MESSAGES * (MESSAGES + 1) / 2 - 17);
}

static void test_unmarking_brings_all_back_and_forgets_last(void **state)
{
    struct maildrop *maildrop = *state;
    uint32_t index;
    maildrop->last = 5;
    maildrop_mark(maildrop, 0, 1);
    maildrop_unmark_all(maildrop);
    assert_true(maildrop_find(maildrop, SPAN("1"), &index));
    assert_int_equal(maildrop->left, MESSAGES);
    assert_int_equal(maildrop->last, 0);
}

static void test_marked_names_come_in_parts_that_keep_the_limit(void **state)
{
    struct maildrop *maildrop = *state;
    struct buf names = {.limit = 15}; /* two of seven octets */
    uint32_t next = 0;
    size_t total = 0;
    for (uint32_t i = 0; i < MESSAGES; i += 4)
        maildrop_mark(maildrop, i, i + 1);
    for (int part = 0; part < 3; part++) {
        buf_reset(&names);
        maildrop_add_marked(maildrop, &next, &names);
        total += buf_len(&names);
        assert_int_equal(buf_len(&names) % sizeof("new/00"), 0);
    }
    assert_int_equal(total, 5 * sizeof("new/00"));
    assert_int_equal(next, MESSAGES);
    buf_free(&names);
}

static void test_a_name_comes_with_its_nul(void **state)
{
    struct buf names = {0};
    assert_true(maildrop_add_name(*state, 3, &names));
    assert_true(span_equal(buf_span(&names), span_of("new/03", 7)));
    assert_false(maildrop_add_name(*state, MESSAGES, &names));
    buf_free(&names);
}

static void test_closing_gives_the_lock_back(void **state)
{
    struct maildrop *maildrop = *state;
    int lock = maildrop->lock;
    maildrop_close(maildrop);
    assert_int_equal(maildrop->lock, -1);
    assert_int_equal(close(lock), -1);
}

static void test_what_is_no_list_is_refused_and_unlocks(void **state)
{
    struct maildrop maildrop;
    int lock = dup(0);
    (void)state;
    maildrop_init(&maildrop);
    int list = memfd_create("unsealed", MFD_CLOEXEC);
    assert_false(maildrop_open(&maildrop, lock, list));
    assert_int_equal(maildrop.lock, -1);
    assert_int_equal(close(lock), -1);
    assert_int_equal(close(list), -1);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_an_open_maildrop_counts_all_messages),
        OPENED(test_numbers_begin_with_one),
        OPENED(test_a_marked_message_is_not_found_and_not_counted),
        OPENED(test_unmarking_brings_all_back_and_forgets_last),
        OPENED(test_marked_names_come_in_parts_that_keep_the_limit),
        OPENED(test_a_name_comes_with_its_nul),
        OPENED(test_closing_gives_the_lock_back),
        cmocka_unit_test(test_what_is_no_list_is_refused_and_unlocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
