/*
 * LMTP (RFC 2033): what differs from SMTP, which is the greeting and the replies to a message.
 */
#include "smtpd_rig.h"

#include <fcntl.h>

#define LHLO "LHLO client.test\r\n"

static void connect_lmtp(struct rig *rig)
{
    rig->listener.service = SERVICE_LMTP;
    rig_connect_from(rig, "127.0.0.1");
    assert_int_equal(rig_hear_code(rig), 220);
}

/* A transaction with `count` accepted recipients, as far as DATA. */
static void begin(struct rig *rig, size_t count)
{
    connect_lmtp(rig);
    assert_int_equal(rig_ask(rig, LHLO), 250);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    for (size_t i = 0; i < count; i++) {
        char line[100];
        (void)snprintf(line, sizeof(line), "RCPT TO:<user%zu@example.test>\r\n", i);
        assert_int_equal(rig_ask(rig, line), 250);
    }
}

static void it_greets_as_lmtp(void **state)
{
    struct rig *rig = rig_of(state);
    rig->listener.service = SERVICE_LMTP;
    rig_connect_from(rig, "127.0.0.1");
    rig_expect(rig, "220 mx.example.test LMTP Veredus\r\n");
}

static void strangers_are_sent_away(void **state)
{
    struct rig *rig = rig_of(state);
    rig->listener.service = SERVICE_LMTP;
    rig_connect_from(rig, "192.0.2.1");
    rig_expect(rig, "554 5.7.1 LMTP is for trusted networks alone\r\n");
    rig_expect_end(rig);
}

/* RFC 2033 §4.1 */
static void lhlo_takes_the_place_of_helo_and_ehlo(void **state)
{
    struct rig *rig = rig_of(state);
    connect_lmtp(rig);
    rig_say(rig, "HELO client.test\r\n", "500 5.5.2 Command not recognized\r\n");
    rig_say(rig, "EHLO client.test\r\n", "500 5.5.2 Command not recognized\r\n");
    rig_say(rig, RIG_MAIL, "503 5.5.1 Send LHLO first\r\n");
    assert_int_equal(rig->session->state, SESSION_START);
    rig_write(rig, SPAN(LHLO));
    struct span reply = rig_hear(rig, 60);
    assert_true(span_has_prefix(reply, SPAN("250-mx.example.test\r\n250-PIPELINING\r\n")));
    assert_int_equal(rig->session->state, SESSION_READY);
}

static void lhlo_is_unknown_to_smtp(void **state)
{
    static const enum conf_service services[] = {SERVICE_SMTP, SERVICE_SUBMISSION};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(services); i++) {
        rig->listener.service = services[i];
        rig_connect_from(rig, "127.0.0.1");
        assert_int_equal(rig_hear_code(rig), 220);
        rig_say(rig, LHLO, "500 5.5.2 Command not recognized\r\n");
    }
}

/* RFC 2033 §4.2 */
static void every_accepted_recipient_has_its_reply(void **state)
{
    struct rig *rig = rig_of(state);
    begin(rig, 2);
    assert_int_equal(rig_ask(rig, "RCPT TO:<nobody@example.test>\r\n"), 550);
    /* Given twice, answered twice, delivered once. */
    assert_int_equal(rig_ask(rig, "RCPT TO:<user0@example.test>\r\n"), 250);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    rig_write(rig, SPAN("hello\r\n.\r\n"));
    assert_int_equal(rig_hear_code(rig), 250);
    assert_int_equal(rig_hear_code(rig), 250);
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(letter.envelope.recipient_count, 2);
    assert_true(span_equal(letter.envelope.protocol, SPAN("LMTP")));
    assert_non_null(strstr(letter.body, " with LMTP id "));
    rig_expect_silence(rig);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    rig_free_letter(&letter);
}

static void pipelined_replies_keep_their_order(void **state)
{
    struct rig *rig = rig_of(state);
    begin(rig, 3);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    rig_write(rig, SPAN("hello\r\n.\r\nNOOP\r\n"));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(rig_hear_code(rig), 250);
    rig_expect(rig, "250 2.0.0 Ok\r\n");
}

/* RFC 2033 §4.3 */
static void last_chunk_has_the_replies_and_those_before_have_one(void **state)
{
    struct rig *rig = rig_of(state);
    begin(rig, 2);
    rig_say(rig, "BDAT 7\r\nhello\r\n", "250 2.0.0 Chunk received\r\n");
    rig_write(rig, SPAN("BDAT 7 LAST\r\nagain\r\n"));
    assert_int_equal(rig_hear_code(rig), 250);
    struct rig_letter letter = rig_hear_letter(rig);
    assert_true(span_equal(rig_message(&letter), SPAN("hello\r\nagain\r\n")));
    rig_expect_silence(rig);
    rig_free_letter(&letter);
}

/* RFC 2033 §4.2 */
static void data_without_a_recipient_is_503(void **state)
{
    struct rig *rig = rig_of(state);
    begin(rig, 0);
    rig_say(rig, "DATA\r\n", "503 5.5.1 Send RCPT first\r\n");
    assert_int_equal(rig_ask(rig, "RCPT TO:<nobody@example.test>\r\n"), 550);
    rig_say(rig, "DATA\r\n", "503 5.5.1 No valid recipients\r\n");
}

static void refusal_is_said_to_everybody_and_counts_once(void **state)
{
    struct rig *rig = rig_of(state);
    struct span line = SPAN("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n");
    rig->conf->limits.message_size = 1024;
    rig->conf->limits.errors_slow = 2;
    begin(rig, 30);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    for (size_t i = 0; i < 20; i++)
        rig_write(rig, line);
    rig_write(rig, SPAN(".\r\n"));
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(rig_hear_code(rig), 552);
    assert_int_equal(rig->session->errors, 1);
    assert_int_equal(page_get(rig->page, PAGE_REFUSED), 1);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
}

static void last_reply_closes_and_the_others_come_before_it(void **state)
{
    struct rig *rig = rig_of(state);
    begin(rig, 2);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    rig_write(rig, SPAN("bare\nfeed\r\n.\r\n"));
    assert_int_equal(rig_hear_code(rig), 550);
    rig_expect(rig, "550 5.6.0 Bare CR or LF in the message\r\n");
    rig_expect_end(rig);
}

static void disk_that_fails_is_told_to_everybody(void **state)
{
    struct rig *rig = rig_of(state);
    begin(rig, 2);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    /* The segments are sealed: no write to them succeeds. */
    for (size_t i = 0; i < rig->segment_count; i++)
        assert_int_equal(fcntl(rig->segments[i], F_ADD_SEALS, F_SEAL_WRITE), 0);
    rig_write(rig, SPAN("hello\r\n.\r\n"));
    assert_int_equal(rig_hear_code(rig), 451);
    assert_int_equal(rig_hear_code(rig), 451);
    rig_expect_silence(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(it_greets_as_lmtp),
        RIG_TEST(strangers_are_sent_away),
        RIG_TEST(lhlo_takes_the_place_of_helo_and_ehlo),
        RIG_TEST(lhlo_is_unknown_to_smtp),
        RIG_TEST(every_accepted_recipient_has_its_reply),
        RIG_TEST(pipelined_replies_keep_their_order),
        RIG_TEST(last_chunk_has_the_replies_and_those_before_have_one),
        RIG_TEST(data_without_a_recipient_is_503),
        RIG_TEST(refusal_is_said_to_everybody_and_counts_once),
        RIG_TEST(last_reply_closes_and_the_others_come_before_it),
        RIG_TEST(disk_that_fails_is_told_to_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
