/*
 * The queue without disk, clock or socket: every move of an entry, whose turn it is, and that a
 * message lives exactly as long as somebody needs it (the sanitizers see the rest).
 */
#include "qmgr/queue.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WINDOW = 4 };

static struct message *message_with(size_t recipients)
{
    struct envelope_recipient list[8] = {{.address = SPAN_INIT("a@example.test"),
                                          .transport = SPAN_INIT("local"),
                                          .nexthop = SPAN_INIT("example.test/a")}};
    struct record record = {.envelope = {.sender = SPAN_INIT("s@example.test"),
                                         .recipients = list,
                                         .recipient_count = recipients}};
    return message_new(&record);
}

static int setup(void **state)
{
    struct queue *queue = mem_new(sizeof *queue);
    queue_init(queue, WINDOW);
    *state = queue;
    return 0;
}

static int teardown(void **state)
{
    queue_free(*state);
    mem_free(*state);
    return 0;
}

static uint32_t add_reading(struct queue *queue)
{
    return queue_add(queue,
                     &(struct queue_entry){.message = message_with(1), .state = QUEUE_READING});
}

static uint32_t add_ready(struct queue *queue, struct span name)
{
    uint32_t number = add_reading(queue);
    queue_ready(queue, number, SPAN("local"), name);
    return number;
}

static uint32_t add_deferred(struct queue *queue, uint32_t time)
{
    return queue_add(queue, &(struct queue_entry){.state = QUEUE_DEFERRED, .time = time});
}

static void waiting_recipient_costs_at_most_48_octets(void **state)
{
    (void)state;
    assert_true(sizeof(struct queue_entry) + sizeof(struct heap_item) <= 48);
}

static void deferred_entries_become_due_in_order(void **state)
{
    struct queue *queue = *state;
    uint32_t late = add_deferred(queue, 200), early = add_deferred(queue, 100);
    assert_int_equal(queue_next_due(queue), 100);
    assert_int_equal(queue_take_due(queue, 99), QUEUE_NONE);
    assert_int_equal(queue_take_due(queue, 150), early);
    assert_int_equal(queue_take_due(queue, 150), QUEUE_NONE);
    assert_int_equal(queue_take_due(queue, 200), late);
    assert_int_equal(queue_next_due(queue), UINT32_MAX);
    assert_int_equal(queue->counts[QUEUE_READING], 2);
}

static void ready_entries_are_served_first_come_first_served(void **state)
{
    struct queue *queue = *state;
    uint32_t first = add_ready(queue, SPAN("")), second = add_ready(queue, SPAN(""));
    assert_int_equal(queue_take_ready(queue, false), first);
    assert_int_equal(queue_take_ready(queue, false), second);
    assert_int_equal(queue_take_ready(queue, false), QUEUE_NONE);
    assert_int_equal(queue->counts[QUEUE_ACTIVE], 2);
}

static void destinations_take_turns(void **state)
{
    struct queue *queue = *state;
    uint32_t a1 = add_ready(queue, SPAN("a")), a2 = add_ready(queue, SPAN("a"));
    uint32_t a3 = add_ready(queue, SPAN("a")), b1 = add_ready(queue, SPAN("b"));
    assert_int_equal(queue_take_ready(queue, false), a1);
    assert_int_equal(queue_take_ready(queue, false), b1);
    assert_int_equal(queue_take_ready(queue, false), a2);
    assert_int_equal(queue_take_ready(queue, false), a3);
}

static void window_bounds_what_is_active(void **state)
{
    struct queue *queue = *state;
    for (int i = 0; i < WINDOW + 1; i++)
        add_ready(queue, SPAN("a"));
    for (int i = 0; i < WINDOW; i++)
        assert_int_not_equal(queue_take_ready(queue, false), QUEUE_NONE);
    assert_int_equal(queue_take_ready(queue, false), QUEUE_NONE);
}

static void full_window_of_one_destination_does_not_stop_another(void **state)
{
    struct queue *queue = *state;
    for (int i = 0; i < WINDOW + 1; i++)
        add_ready(queue, SPAN("a"));
    for (int i = 0; i < WINDOW; i++)
        (void)queue_take_ready(queue, false);
    uint32_t other = add_ready(queue, SPAN("b"));
    assert_int_equal(queue_take_ready(queue, false), other);
}

static void delivery_widens_the_window_and_deferral_does_not(void **state)
{
    struct queue *queue = *state;
    uint32_t a = add_ready(queue, SPAN("a")), b = add_ready(queue, SPAN("a"));
    (void)queue_take_ready(queue, false);
    (void)queue_take_ready(queue, false);
    queue_answered(queue, a, true);
    assert_int_equal(queue->destinations[0]->window, WINDOW + 1);
    queue_answered(queue, b, false);
    assert_int_equal(queue->destinations[0]->window, WINDOW + 1);
    assert_int_equal(queue->destinations[0]->active, 0);
    assert_int_equal(queue->counts[QUEUE_SETTLING], 2);
}

static void entry_that_was_not_given_stands_in_line_as_before(void **state)
{
    struct queue *queue = *state;
    uint32_t first = add_ready(queue, SPAN("a")), second = add_ready(queue, SPAN("a"));
    assert_int_equal(queue_take_ready(queue, false), first);
    queue_not_given(queue, first);
    assert_int_equal(queue->destinations[0]->active, 0);
    assert_int_equal(queue->destinations[0]->window, WINDOW);
    assert_int_equal(queue->suspects, 0);
    assert_int_equal(queue_entry(queue, first)->flags, 0);
    assert_int_equal(queue_take_ready(queue, false), second);
    assert_int_equal(queue_take_ready(queue, false), first);
}

static void suspect_that_was_not_given_stays_a_suspect(void **state)
{
    struct queue *queue = *state;
    uint32_t number = add_ready(queue, SPAN("a"));
    (void)queue_take_ready(queue, false);
    queue_abandoned(queue, number);
    assert_int_equal(queue_take_ready(queue, true), number);
    queue_not_given(queue, number);
    assert_int_equal(queue->suspects, 1);
    assert_int_equal(queue_take_ready(queue, false), QUEUE_NONE);
    assert_int_equal(queue_take_ready(queue, true), number);
}

static void whoever_holds_a_message_in_memory_is_busy(void **state)
{
    struct queue *queue = *state;
    for (int i = 0; i < 2; i++) /* ready, and one of them active */
        (void)add_ready(queue, SPAN("a"));
    uint32_t number = queue_take_ready(queue, false);
    assert_int_equal(queue_busy(queue), 2);
    queue_answered(queue, number, true);
    assert_int_equal(queue_busy(queue), 2); /* settling */
    queue_defer(queue, number, 5);
    assert_int_equal(queue_busy(queue), 1);
    assert_int_equal(queue_take_due(queue, 5), number);
    assert_int_equal(queue_busy(queue), 2); /* reading */
}

static void window_never_outgrows_its_bound(void **state)
{
    struct queue *queue = *state;
    for (int i = 0; i < QUEUE_WINDOW_MOST + 10; i++) {
        uint32_t number = add_ready(queue, SPAN(""));
        assert_int_equal(queue_take_ready(queue, false), number);
        queue_answered(queue, number, true);
        queue_remove(queue, number);
    }
    assert_int_equal(queue->destinations[0]->window, QUEUE_WINDOW_MOST);
}

static void abandoned_entry_is_a_suspect_and_seen_before(void **state)
{
    struct queue *queue = *state;
    uint32_t number = add_ready(queue, SPAN(""));
    (void)queue_take_ready(queue, false);
    queue_abandoned(queue, number);
    assert_int_equal(queue->suspects, 1);
    assert_int_equal(queue_take_ready(queue, false), QUEUE_NONE);
    assert_int_equal(queue_take_ready(queue, true), number);
    assert_int_equal(queue->suspects, 0);
    assert_int_equal(queue_entry(queue, number)->deaths, 1);
    assert_int_equal(queue_entry(queue, number)->flags, QUEUE_SEEN_BEFORE);
    assert_int_equal(queue->destinations[0]->window, WINDOW / 2);
}

static void answer_clears_the_suspicion(void **state)
{
    struct queue *queue = *state;
    uint32_t number = add_ready(queue, SPAN(""));
    (void)queue_take_ready(queue, false);
    queue_abandoned(queue, number);
    (void)queue_take_ready(queue, true);
    queue_answered(queue, number, false);
    assert_int_equal(queue_entry(queue, number)->deaths, 0);
}

static void window_of_one_survives_deaths(void **state)
{
    struct queue *queue = *state;
    uint32_t number = add_ready(queue, SPAN(""));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(queue_take_ready(queue, i > 0), number);
        queue_abandoned(queue, number);
    }
    assert_int_equal(queue->destinations[0]->window, 1);
}

static void deferred_entry_lets_its_message_go(void **state)
{
    struct queue *queue = *state;
    uint32_t number = add_reading(queue);
    queue_decided(queue, number);
    queue_defer(queue, number, 500);
    assert_null(queue_entry(queue, number)->message);
    assert_int_equal(queue_take_due(queue, 500), number);
    struct message *again = message_with(1);
    queue_attach(queue, number, again);
    assert_ptr_equal(queue_entry(queue, number)->message, again);
    assert_int_equal(again->users, 1);
}

static void held_entry_is_never_due(void **state)
{
    struct queue *queue = *state;
    uint32_t number = add_reading(queue);
    queue_decided(queue, number);
    queue_hold(queue, number);
    assert_int_equal(queue->counts[QUEUE_HELD], 1);
    assert_int_equal(queue_take_due(queue, UINT32_MAX), QUEUE_NONE);
    assert_null(queue_entry(queue, number)->message);
}

static void message_lives_until_its_last_recipient_is_done(void **state)
{
    struct queue *queue = *state;
    struct message *message = message_with(2);
    struct queue_entry entry = {.message = message, .state = QUEUE_READING};
    uint32_t one = queue_add(queue, &entry);
    entry.recipient = 1;
    uint32_t two = queue_add(queue, &entry);
    assert_int_equal(message->users, 2);
    queue_decided(queue, one);
    queue_remove(queue, one);
    assert_int_equal(message->users, 1);
    assert_true(span_equal(message->recipients[0].transport, SPAN("local")));
    queue_decided(queue, two);
    queue_remove(queue, two);
    assert_int_equal(queue->counts[QUEUE_FREE], 2);
}

static void free_numbers_are_used_again(void **state)
{
    struct queue *queue = *state;
    uint32_t first = add_reading(queue);
    queue_remove(queue, first);
    assert_int_equal(add_reading(queue), first);
    assert_int_equal(queue->used, 1);
}

static void counts_add_up_over_many_entries(void **state)
{
    struct queue *queue = *state;
    for (uint32_t i = 0; i < 10000; i++)
        add_deferred(queue, i);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(queue_take_due(queue, i), i);
    assert_int_equal(queue->counts[QUEUE_DEFERRED], 9900);
    assert_int_equal(queue->counts[QUEUE_READING], 100);
    assert_int_equal(queue->chunk_count, 3);
}

static void hastened_entry_is_due_before_its_time_and_once(void **state)
{
    struct queue *queue = *state;
    for (uint32_t i = 0; i < 50; i++)
        (void)add_deferred(queue, 1000 + i);
    assert_true(queue_hasten(queue, 30, 500));
    assert_false(queue_hasten(queue, 30, 400)); /* not twice */
    assert_int_equal(queue_next_due(queue), 500);
    assert_int_equal(queue_take_due(queue, 500), 30);
    assert_int_equal(queue_take_due(queue, 999), QUEUE_NONE);
    queue_defer(queue, 30, 2000);
    assert_true(queue_hasten(queue, 30, 600)); /* it was attempted meanwhile */
    assert_int_equal(queue_take_due(queue, 600), 30);
}

static void entry_is_never_hastened_to_a_later_time(void **state)
{
    struct queue *queue = *state;
    uint32_t number = add_deferred(queue, 1000);
    assert_false(queue_hasten(queue, number, 1000));
    assert_false(queue_hasten(queue, number, 1001));
    assert_int_equal(queue_entry(queue, number)->flags & QUEUE_HASTENED, 0);
    assert_int_equal(queue_next_due(queue), 1000);
}

int main(void)
{
#define QUEUE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(waiting_recipient_costs_at_most_48_octets),
        QUEUE_TEST(deferred_entries_become_due_in_order),
        QUEUE_TEST(ready_entries_are_served_first_come_first_served),
        QUEUE_TEST(destinations_take_turns),
        QUEUE_TEST(window_bounds_what_is_active),
        QUEUE_TEST(full_window_of_one_destination_does_not_stop_another),
        QUEUE_TEST(delivery_widens_the_window_and_deferral_does_not),
        QUEUE_TEST(entry_that_was_not_given_stands_in_line_as_before),
        QUEUE_TEST(suspect_that_was_not_given_stays_a_suspect),
        QUEUE_TEST(whoever_holds_a_message_in_memory_is_busy),
        QUEUE_TEST(window_never_outgrows_its_bound),
        QUEUE_TEST(abandoned_entry_is_a_suspect_and_seen_before),
        QUEUE_TEST(answer_clears_the_suspicion),
        QUEUE_TEST(window_of_one_survives_deaths),
        QUEUE_TEST(deferred_entry_lets_its_message_go),
        QUEUE_TEST(held_entry_is_never_due),
        QUEUE_TEST(hastened_entry_is_due_before_its_time_and_once),
        QUEUE_TEST(entry_is_never_hastened_to_a_later_time),
        QUEUE_TEST(message_lives_until_its_last_recipient_is_done),
        QUEUE_TEST(free_numbers_are_used_again),
        QUEUE_TEST(counts_add_up_over_many_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
