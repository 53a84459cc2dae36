/*
 * The batches of state changes: nothing settles before its sync, nothing is lost by one that fails,
 * and the last word on a slot stays the last.
 */
#include "qmgr/states.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct settled {
    uint32_t entries[16];
    size_t count;
};

static void note(void *arg, const struct state_change *change)
{
    struct settled *settled = arg;
    assert_true(settled->count < 16);
    settled->entries[settled->count++] = change->queue_entry;
}

static void add(struct states *states, uint32_t queue_entry)
{
    states_add(states, &(struct state_change){.queue_entry = queue_entry});
}

static void change_settles_only_when_its_batch_is_durable(void **state)
{
    (void)state;
    struct states states = {0};
    struct settled settled = {0};
    add(&states, 1);
    add(&states, 2);
    struct state_list *batch = states_begin(&states);
    assert_non_null(batch);
    assert_int_equal(batch->count, 2);
    assert_int_equal(settled.count, 0);
    assert_int_equal(states_end(&states, note, &settled), 0);
    assert_int_equal(settled.count, 2);
    assert_int_equal(settled.entries[0], 1);
    assert_int_equal(settled.entries[1], 2);
    states_free(&states);
}

static void one_batch_is_under_way_at_a_time(void **state)
{
    (void)state;
    struct states states = {0};
    struct settled settled = {0};
    add(&states, 1);
    struct state_list *batch = states_begin(&states);
    add(&states, 2);
    assert_null(states_begin(&states));
    assert_int_equal(batch->count, 1);
    assert_int_equal(states_end(&states, note, &settled), 0);
    assert_int_equal(settled.count, 1);
    batch = states_begin(&states);
    assert_int_equal(batch->count, 1);
    assert_int_equal(batch->items[0].queue_entry, 2);
    assert_int_equal(states_end(&states, note, &settled), 0);
    states_free(&states);
}

static void failed_batch_is_written_again_before_what_came_meanwhile(void **state)
{
    (void)state;
    struct states states = {0};
    struct settled settled = {0};
    add(&states, 1);
    struct state_list *batch = states_begin(&states);
    batch->items[0].failed = true;
    add(&states, 2);
    assert_int_equal(states_end(&states, note, &settled), 1);
    assert_int_equal(settled.count, 0);
    batch = states_begin(&states);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->items[0].queue_entry, 1);
    assert_int_equal(batch->items[1].queue_entry, 2);
    assert_int_equal(states_end(&states, note, &settled), 0);
    assert_int_equal(settled.count, 2);
    states_free(&states);
}

static void one_segments_failure_settles_all_others(void **state)
{
    (void)state;
    struct states states = {0};
    struct settled settled = {0};
    for (uint32_t i = 0; i < 6; i++)
        add(&states, i);
    struct state_list *batch = states_begin(&states);
    batch->items[1].failed = batch->items[4].failed = true;
    assert_int_equal(states_end(&states, note, &settled), 2);
    assert_int_equal(settled.count, 4);
    assert_int_equal(settled.entries[1], 2);
    batch = states_begin(&states);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->items[0].queue_entry, 1);
    assert_int_equal(batch->items[1].queue_entry, 4);
    assert_int_equal(states_end(&states, note, &settled), 0);
    assert_int_equal(settled.count, 6);
    states_free(&states);
}

static void empty_batch_is_a_batch(void **state)
{
    (void)state;
    struct states states = {0};
    struct settled settled = {0};
    struct state_list *batch = states_begin(&states);
    assert_non_null(batch);
    assert_int_equal(batch->count, 0);
    assert_int_equal(states_end(&states, note, &settled), 0);
    assert_int_equal(settled.count, 0);
    states_free(&states);
}

static void large_failed_batch_keeps_its_order(void **state)
{
    (void)state;
    struct states states = {0};
    struct settled settled = {0};
    for (uint32_t i = 0; i < 1000; i++)
        add(&states, i);
    struct state_list *batch = states_begin(&states);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(batch->items[i].queue_entry, i);
        batch->items[i].failed = true;
    }
    assert_int_equal(states_end(&states, note, &settled), 1000);
    add(&states, 1000);
    batch = states_begin(&states);
    assert_int_equal(batch->count, 1001);
    assert_int_equal(batch->items[1000].queue_entry, 1000);
    states_free(&states);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(change_settles_only_when_its_batch_is_durable),
        cmocka_unit_test(one_batch_is_under_way_at_a_time),
        cmocka_unit_test(failed_batch_is_written_again_before_what_came_meanwhile),
        cmocka_unit_test(one_segments_failure_settles_all_others),
        cmocka_unit_test(empty_batch_is_a_batch),
        cmocka_unit_test(large_failed_batch_keeps_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
