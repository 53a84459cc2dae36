/*
 * What submission adds to a header and takes out of it, and that nobody else does; the same for a
 * message that stays in memory and for one that is streamed.
 */
#include "smtpd_rig.h"

#include "smtpd/data.h"

#define GIVEN "Date: d\r\nMessage-ID: <i@x.test>\r\n"

/* In DATA, as joe or as a trusted client without a name. */
static void reach_data(struct rig *rig, struct span user)
{
    rig->listener.service = SERVICE_SUBMISSION;
    rig_connect_from(rig, "192.0.2.1");
    assert_int_equal(rig_hear_code(rig), 220);
    rig->session->trusted = true;
    rig->session->user = user;
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    assert_int_equal(rig_ask(rig, RIG_RCPT), 250);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    buf_reset(&rig->heard);
}

static void assert_stored(struct rig *rig, struct span message)
{
    struct rig_letter letter = rig_hear_letter(rig);
    struct span stored = rig_message(&letter);
    if (!span_equal(stored, message))
        print_error("stored: %.*s\n", SPAN_ARG(stored));
    assert_true(span_equal(stored, message));
    rig_free_letter(&letter);
    assert_int_equal(rig->worker.buffered, 0);
}

static void sender_is_added_where_from_is_another_and_a_forged_one_goes(void **state)
{
    struct rig *rig = rig_of(state);
    reach_data(rig, SPAN("joe@sender.test"));
    rig_write(rig,
              SPAN(GIVEN "Sender: eve@example.org\r\nFrom: boss@sender.test\r\n\r\nHi\r\n.\r\n"));
    assert_stored(rig,
                  SPAN(GIVEN "From: boss@sender.test\r\nSender: joe@sender.test\r\n\r\nHi\r\n"));
}

static void a_complete_header_is_stored_octet_by_octet(void **state)
{
    struct rig *rig = rig_of(state);
    reach_data(rig, SPAN("joe@sender.test"));
    rig_write(rig, SPAN(GIVEN "From: Joe <joe@sender.test>\r\n\r\n..x\r\n.\r\n"));
    assert_stored(rig, SPAN(GIVEN "From: Joe <joe@sender.test>\r\n\r\n.x\r\n"));
}

static void date_and_message_id_are_added_for_a_trusted_client_as_well(void **state)
{
    struct rig *rig = rig_of(state);
    reach_data(rig, SPAN(""));
    rig_write(rig, SPAN("From: boss@sender.test\r\nSender: x\r\n\r\nHi\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    struct span message = rig_message(&letter);
    assert_true(span_has_prefix(message, SPAN("From: boss@sender.test\r\nSender: x\r\nDate: ")));
    assert_true(span_has_suffix(message, SPAN("@mx.example.test>\r\n\r\nHi\r\n")));
    assert_non_null(strstr(message.data, " +0000\r\nMessage-ID: <"));
    rig_free_letter(&letter);
}

static void no_two_messages_get_one_name(void **state)
{
    struct rig *rig = rig_of(state);
    char names[2][128];
    for (size_t i = 0; i < COUNT(names); i++) {
        reach_data(rig, SPAN(""));
        rig_write(rig, SPAN("Date: d\r\n\r\n.\r\n"));
        struct rig_letter letter = rig_hear_letter(rig);
        const char *name = strstr(letter.body, "Message-ID: ");
        assert_non_null(name);
        assert_true(span_to_cstr(span_first(span_cstr(name), strcspn(name, "\r")), names[i],
                                 sizeof(names[i])));
        rig_free_letter(&letter);
    }
    assert_string_not_equal(names[0], names[1]);
}

static void other_services_change_nothing(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, SPAN("From: boss@sender.test\r\nSender: x\r\n\r\nHi\r\n.\r\n"));
    assert_stored(rig, SPAN("From: boss@sender.test\r\nSender: x\r\n\r\nHi\r\n"));
}

static void a_header_is_completed_octet_by_octet_too(void **state)
{
    static const char wire[] = GIVEN "From: x\r\nSender: y\r\n z\r\n.\r\n";
    struct rig *rig = rig_of(state);
    reach_data(rig, SPAN("joe@sender.test"));
    for (size_t i = 0; i < sizeof(wire) - 1; i++)
        rig_write(rig, span_of(wire + i, 1));
    assert_stored(rig, SPAN(GIVEN "From: x\r\nSender: joe@sender.test\r\n"));
}

/* Longer than the session's buffer: what is missing goes behind what was streamed already. */
static void a_streamed_header_is_completed_at_its_end(void **state)
{
    struct rig *rig = rig_of(state);
    struct buf header = {0};
    rig->conf->limits.session_buffer = 4096;
    reach_data(rig, SPAN("joe@sender.test"));
    buf_add(&header, SPAN(GIVEN));
    for (size_t i = 0; i < 20000; i++)
        buf_add(&header, SPAN("From: eve@example.org\r\n"));
    rig_write(rig, buf_span(&header));
    assert_true(rig->worker.buffered <= 65536 + ORIGINATOR_HELD);
    rig_write(rig, SPAN("Sender: eve@example.org\r\n.\r\n"));
    buf_add(&header, SPAN("Sender: joe@sender.test\r\n"));
    assert_stored(rig, buf_span(&header));
    buf_free(&header);
}

static void a_client_that_leaves_amid_a_field_leaves_nothing(void **state)
{
    struct rig *rig = rig_of(state);
    reach_data(rig, SPAN("joe@sender.test"));
    rig_write(rig, SPAN("Sender: eve@"));
    (void)close(rig->client);
    rig->client = -1;
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    assert_int_equal(rig->worker.session_count, 0);
    assert_int_equal(rig->worker.buffered, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(sender_is_added_where_from_is_another_and_a_forged_one_goes),
        RIG_TEST(a_complete_header_is_stored_octet_by_octet),
        RIG_TEST(date_and_message_id_are_added_for_a_trusted_client_as_well),
        RIG_TEST(no_two_messages_get_one_name),
        RIG_TEST(other_services_change_nothing),
        RIG_TEST(a_header_is_completed_octet_by_octet_too),
        RIG_TEST(a_streamed_header_is_completed_at_its_end),
        RIG_TEST(a_client_that_leaves_amid_a_field_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
