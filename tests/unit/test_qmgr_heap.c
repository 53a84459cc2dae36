/*
 * The heap is compared with what sorting would give: one wrong step and a letter waits for ever
 * behind one that is due later.
 */
#include "qmgr/heap.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void empty_heap_has_nobody_due(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_item item;
    assert_false(heap_take_due(&heap, UINT32_MAX, &item));
    heap_free(&heap);
}

static void items_come_out_in_the_order_of_their_times(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_item item;
    uint32_t last = 0, number = 12345;
    for (uint32_t i = 0; i < 3000; i++) {
        number = number * 1103515245U + 12345U;
        heap_push(&heap, (struct heap_item){number >> 20, i});
    }
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(heap_first(&heap).time >= last, 1);
        assert_true(heap_take_due(&heap, UINT32_MAX, &item));
        assert_true(item.time >= last);
        last = item.time;
    }
    assert_int_equal(heap.count, 0);
    heap_free(&heap);
}

static void item_is_taken_at_its_second_and_not_before(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_item item;
    heap_push(&heap, (struct heap_item){100, 7});
    assert_false(heap_take_due(&heap, 99, &item));
    assert_true(heap_take_due(&heap, 100, &item));
    assert_int_equal(item.value, 7);
    heap_free(&heap);
}

static void pushes_and_takes_may_alternate(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_item item;
    for (uint32_t i = 0; i < 500; i++) {
        heap_push(&heap, (struct heap_item){1000 - i, i});
        heap_push(&heap, (struct heap_item){2000 + i, i});
        assert_true(heap_take_due(&heap, UINT32_MAX, &item));
        assert_int_equal(item.time, 1000 - i);
    }
    assert_int_equal(heap.count, 500);
    assert_int_equal(heap_first(&heap).time, 2000);
    heap_free(&heap);
}

/* Where each item lies, as the heap says. */
struct places {
    size_t at[200];
};

static void note_place(void *arg, uint32_t value, size_t at)
{
    struct places *places = arg;
    places->at[value] = at;
}

static void heap_says_where_every_item_lies(void **state)
{
    (void)state;
    struct places places;
    struct heap heap = {.placed = note_place, .arg = &places};
    struct heap_item item;
    for (uint32_t i = 0; i < 200; i++)
        heap_push(&heap, (struct heap_item){(i * 37) % 101, i});
    while (heap.count > 0) {
        for (size_t i = 0; i < heap.count; i++)
            assert_int_equal(places.at[heap.items[i].value], i);
        assert_true(heap_take_due(&heap, UINT32_MAX, &item));
    }
    heap_free(&heap);
}

static void hastened_items_come_before_their_time_and_in_order(void **state)
{
    (void)state;
    struct places places;
    struct heap heap = {.placed = note_place, .arg = &places};
    struct heap_item item;
    for (uint32_t i = 0; i < 200; i++)
        heap_push(&heap, (struct heap_item){1000 + (i * 37) % 101, i});
    for (uint32_t i = 0; i < 200; i += 3)
        heap_hasten(&heap, places.at[i], 500 - i);
    for (uint32_t count = 0, last = 0; count < 200; count++, last = item.time) {
        assert_true(heap_take_due(&heap, UINT32_MAX, &item));
        assert_true(item.time >= last);
        assert_int_equal(item.value % 3 == 0, item.time <= 500);
        assert_int_equal(count < 67, item.time <= 500);
    }
    heap_free(&heap);
}

static void item_hastened_to_its_own_time_stays(void **state)
{
    (void)state;
    struct heap heap = {0};
    heap_push(&heap, (struct heap_item){5, 0});
    heap_push(&heap, (struct heap_item){6, 1});
    heap_hasten(&heap, 1, 6);
    assert_int_equal(heap_first(&heap).value, 0);
    heap_hasten(&heap, 1, 4);
    assert_int_equal(heap_first(&heap).value, 1);
    heap_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_heap_has_nobody_due),
        cmocka_unit_test(items_come_out_in_the_order_of_their_times),
        cmocka_unit_test(item_is_taken_at_its_second_and_not_before),
        cmocka_unit_test(pushes_and_takes_may_alternate),
        cmocka_unit_test(heap_says_where_every_item_lies),
        cmocka_unit_test(hastened_items_come_before_their_time_and_in_order),
        cmocka_unit_test(item_hastened_to_its_own_time_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
