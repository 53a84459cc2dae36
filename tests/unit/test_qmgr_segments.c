/*
 * The loop's table of segments, and the message that a record becomes.
 */
#include "qmgr/segments.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "qmgr/message.h"

static void segment_is_found_by_number_and_by_index(void **state)
{
    (void)state;
    struct segments segments = {0};
    for (uint64_t number = 1; number <= 200; number++)
        assert_int_equal(segments_get(&segments, number * 7)->index, number - 1);
    for (uint64_t number = 1; number <= 200; number++) {
        struct segment *segment = segments_find(&segments, number * 7);
        assert_ptr_equal(segments_at(&segments, segment->index), segment);
        assert_ptr_equal(segments_get(&segments, number * 7), segment);
    }
    assert_null(segments_find(&segments, 1));
    assert_int_equal(segments.in_use, 200);
    segments_free(&segments);
}

static void segment_is_forgotten_only_when_nothing_needs_it(void **state)
{
    (void)state;
    static const struct {
        bool sealed, scanning;
        uint32_t outstanding;
        bool forgotten;
    } rows[] = {
        {false, false, 0, false},
        {true, true, 0, false},
        {true, false, 1, false},
        {true, false, 0, true},
    };
    struct segments segments = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct segment *segment = segments_get(&segments, i + 1);
        segment->sealed = rows[i].sealed;
        segment->scanning = rows[i].scanning;
        segment->outstanding = rows[i].outstanding;
        assert_int_equal(segments_forget_done(&segments, segment), rows[i].forgotten);
        assert_int_equal(segments_find(&segments, i + 1) == NULL, rows[i].forgotten);
    }
    segments_free(&segments);
}

static void free_index_is_used_again(void **state)
{
    (void)state;
    struct segments segments = {0};
    segments_get(&segments, 10);
    struct segment *middle = segments_get(&segments, 11);
    segments_get(&segments, 12);
    uint32_t index = middle->index;
    assert_true(segments_forget_done(&segments, middle));
    assert_int_equal(segments_get(&segments, 13)->index, index);
    segments_free(&segments);
}

static struct message *example(void)
{
    static const struct envelope_recipient recipients[] = {
        {.address = SPAN_INIT("a@example.test"),
         .transport = SPAN_INIT("local"),
         .nexthop = SPAN_INIT("example.test/a")},
        {.address = SPAN_INIT("b@example.test"), .transport = SPAN_INIT("discard")},
    };
    struct record record = {
        .header = {.number = 5, .offset = 4096, .arrival_us = 77, .flags = RECORD_FLAG_8BIT},
        .envelope = {.sender = SPAN_INIT("s@example.test"),
                     .protocol = SPAN_INIT("ESMTP"),
                     .recipients = recipients,
                     .recipient_count = 2}};
    return message_new(&record);
}

static void message_keeps_what_its_record_said(void **state)
{
    (void)state;
    struct message *message = example();
    assert_int_equal(message->number, 5);
    assert_int_equal(message->offset, 4096);
    assert_int_equal(message->arrival_us, 77);
    assert_int_equal(message->recipient_count, 2);
    assert_true(span_equal(message->sender, SPAN("s@example.test")));
    assert_true(span_equal(message->protocol, SPAN("ESMTP")));
    assert_true(span_equal(message->recipients[0].nexthop, SPAN("example.test/a")));
    assert_true(span_equal(message->recipients[1].address, SPAN("b@example.test")));
    assert_int_equal(message->recipients[1].slot, MESSAGE_NO_SLOT);
    message_free(message);
}

static void new_route_replaces_the_recorded_one(void **state)
{
    (void)state;
    struct message *message = example();
    char transport[] = "smtp", nexthop[] = "example.net";
    message_route(message, 0, span_cstr(transport), span_cstr(nexthop));
    memset(transport, 'x', sizeof transport - 1);
    memset(nexthop, 'x', sizeof nexthop - 1);
    assert_true(span_equal(message->recipients[0].transport, SPAN("smtp")));
    assert_true(span_equal(message->recipients[0].nexthop, SPAN("example.net")));
    message_route(message, 1, SPAN("discard"), SPAN(""));
    assert_true(span_equal(message->recipients[1].transport, SPAN("discard")));
    message_free(message);
}

static void notification_is_a_bounce_or_has_no_sender(void **state)
{
    (void)state;
    struct message message = {.sender = SPAN("a@b.test")};
    assert_false(message_is_notification(&message));
    message.flags = RECORD_FLAG_BOUNCE;
    assert_true(message_is_notification(&message));
    message = (struct message){.flags = RECORD_FLAG_8BIT};
    assert_true(message_is_notification(&message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_is_found_by_number_and_by_index),
        cmocka_unit_test(segment_is_forgotten_only_when_nothing_needs_it),
        cmocka_unit_test(free_index_is_used_again),
        cmocka_unit_test(message_keeps_what_its_record_said),
        cmocka_unit_test(new_route_replaces_the_recorded_one),
        cmocka_unit_test(notification_is_a_bounce_or_has_no_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
