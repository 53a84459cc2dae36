/*
 * A buffer is compared with a plain model of what it should hold: an offset too many at one of its
 * ends would mix up the octets of two commands.
 */
#include "util/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_holds(const struct buf *buf, struct span expected)
{
    assert_int_equal(buf_len(buf), expected.len);
    assert_true(span_equal(buf_span(buf), expected));
}

static void unused_buffer_is_empty(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_holds(&buf, SPAN(""));
    assert_non_null(buf_span(&buf).data);
    buf_consume(&buf, 5);
    assert_holds(&buf, SPAN(""));
    buf_free(&buf);
}

static void appends_at_the_end(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_true(buf_append(&buf, SPAN("EHLO ")));
    buf_add(&buf, SPAN("mx"));
    assert_true(buf_append(&buf, span_of(NULL, 0)));
    assert_true(buf_append(&buf, SPAN("25.test")));
    assert_holds(&buf, SPAN("EHLO mx25.test"));
    buf_free(&buf);
}

static void consumes_at_the_front(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_add(&buf, SPAN("abcdef"));
    buf_consume(&buf, 0);
    assert_holds(&buf, SPAN("abcdef"));
    buf_consume(&buf, 2);
    assert_holds(&buf, SPAN("cdef"));
    buf_consume(&buf, 4);
    assert_holds(&buf, SPAN(""));
    buf_free(&buf);
}

static void consuming_more_than_held_empties(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_add(&buf, SPAN("abc"));
    buf_consume(&buf, SIZE_MAX);
    assert_holds(&buf, SPAN(""));
    buf_add(&buf, SPAN("d"));
    assert_holds(&buf, SPAN("d"));
    buf_free(&buf);
}

static void limit_refuses_and_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    struct buf buf = {.limit = 8};
    assert_true(buf_append(&buf, SPAN("12345")));
    assert_false(buf_append(&buf, SPAN("6789")));
    assert_holds(&buf, SPAN("12345"));
    assert_null(buf_room(&buf, 4));
    assert_holds(&buf, SPAN("12345"));
    buf_free(&buf);
}

static void limit_can_be_reached_exactly(void **state)
{
    (void)state;
    struct buf buf = {.limit = 8};
    assert_true(buf_append(&buf, SPAN("12345")));
    assert_true(buf_append(&buf, SPAN("678")));
    assert_holds(&buf, SPAN("12345678"));
    assert_true(buf_append(&buf, SPAN("")));
    assert_false(buf_append(&buf, SPAN("9")));
    buf_free(&buf);
}

static void limit_counts_only_what_is_held(void **state)
{
    (void)state;
    struct buf buf = {.limit = 8};
    for (int i = 0; i < 1000; i++) {
        assert_true(buf_append(&buf, SPAN("abcd")));
        assert_true(buf_append(&buf, SPAN("efgh")));
        assert_holds(&buf, SPAN("abcdefgh"));
        buf_consume(&buf, 8);
    }
    buf_free(&buf);
}

static void limited_buffer_never_takes_more_memory_than_its_limit(void **state)
{
    (void)state;
    struct buf buf = {.limit = 1000};
    for (int i = 0; i < 5000; i++) {
        assert_true(buf_append(&buf, SPAN("1234567")));
        if (buf_len(&buf) > 990)
            buf_consume(&buf, 7);
    }
    assert_true(buf.cap <= 1001);
    buf_free(&buf);
}

static void steady_traffic_does_not_grow_the_memory(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (int i = 0; i < 10000; i++) {
        buf_add(&buf, SPAN("0123456789"));
        if (i >= 10)
            buf_consume(&buf, 10);
    }
    assert_int_equal(buf_len(&buf), 100);
    assert_true(buf.cap <= 1024);
    buf_free(&buf);
}

static void room_is_filled_in_place(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_add(&buf, SPAN("ab"));
    char *room = buf_room(&buf, 10);
    assert_non_null(room);
    memcpy(room, "cdefghijkl", 10);
    assert_holds(&buf, SPAN("ab"));
    buf_filled(&buf, 3);
    assert_holds(&buf, SPAN("abcde"));
    buf_filled(&buf, 0);
    assert_holds(&buf, SPAN("abcde"));
    buf_free(&buf);
}

static void octets_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct buf buf = {0};
    unsigned char in = 0, out = 0;
    for (size_t step = 0; step < 3000; step++) {
        size_t count = step * 37 % 101;
        unsigned char *room = (unsigned char *)buf_room(&buf, count);
        for (size_t i = 0; i < count; i++)
            room[i] = in++;
        buf_filled(&buf, count);

        size_t taken = step * 53 % 97 < buf_len(&buf) ? step * 53 % 97 : buf_len(&buf);
        for (size_t i = 0; i < taken; i++)
            assert_int_equal((unsigned char)buf_span(&buf).data[i], out++);
        buf_consume(&buf, taken);
    }
    assert_int_equal((unsigned char)(in - out), (unsigned char)buf_len(&buf));
    buf_free(&buf);
}

static void reset_keeps_the_memory(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_add(&buf, SPAN("abc"));
    const char *memory = buf.data;
    buf_reset(&buf);
    assert_holds(&buf, SPAN(""));
    buf_add(&buf, SPAN("xyz"));
    assert_ptr_equal(buf.data, memory);
    buf_free(&buf);
}

static void free_keeps_the_limit(void **state)
{
    (void)state;
    struct buf buf = {.limit = 3};
    assert_true(buf_append(&buf, SPAN("abc")));
    buf_free(&buf);
    assert_null(buf.data);
    assert_holds(&buf, SPAN(""));
    assert_false(buf_append(&buf, SPAN("abcd")));
    assert_true(buf_append(&buf, SPAN("abc")));
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_buffer_is_empty),
        cmocka_unit_test(appends_at_the_end),
        cmocka_unit_test(consumes_at_the_front),
        cmocka_unit_test(consuming_more_than_held_empties),
        cmocka_unit_test(limit_refuses_and_leaves_the_buffer_as_it_was),
        cmocka_unit_test(limit_can_be_reached_exactly),
        cmocka_unit_test(limit_counts_only_what_is_held),
        cmocka_unit_test(limited_buffer_never_takes_more_memory_than_its_limit),
        cmocka_unit_test(steady_traffic_does_not_grow_the_memory),
        cmocka_unit_test(room_is_filled_in_place),
        cmocka_unit_test(octets_come_out_in_the_order_they_went_in),
        cmocka_unit_test(reset_keeps_the_memory),
        cmocka_unit_test(free_keeps_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
