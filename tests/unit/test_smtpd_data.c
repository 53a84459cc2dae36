/*
 * The message: byte-exact to the disk, refused whole, or gone without a trace. And no spelling of
 * its end but one.
 */
#include "smtpd_rig.h"

#include "smtpd/data.h"

static void assert_stored(struct rig *rig, struct span message)
{
    struct rig_letter letter = rig_hear_letter(rig);
    struct span stored = rig_message(&letter);
    assert_int_equal(stored.len, message.len);
    assert_memory_equal(stored.data, message.data, message.len);
    rig_free_letter(&letter);
}

static void message_is_stored_octet_by_octet(void **state)
{
    static const struct {
        struct span wire, message;
    } rows[] = {
        {SPAN_INIT("Subject: x\r\n\r\nHello\r\n.\r\n"), SPAN_INIT("Subject: x\r\n\r\nHello\r\n")},
        {SPAN_INIT(".\r\n"), SPAN_INIT("")},
        {SPAN_INIT("..\r\n..dot\r\n.\r\n"), SPAN_INIT(".\r\n.dot\r\n")},
        {SPAN_INIT("a\0b\xff\x80\x1b\r\n.\r\n"), SPAN_INIT("a\0b\xff\x80\x1b\r\n")},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, SESSION_DATA);
        rig_write(rig, rows[i].wire);
        assert_stored(rig, rows[i].message);
        assert_int_equal(rig->session->state, SESSION_READY);
        assert_null(rig->session->transaction);
    }
    assert_int_equal(rig->worker.buffered, 0);
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), COUNT(rows));
}

static void envelope_says_who_and_to_whom(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    assert_int_equal(rig_ask(rig, "MAIL FROM:<joe@sender.test> BODY=8BITMIME\r\n"), 250);
    assert_int_equal(rig_ask(rig, "RCPT TO:<team@example.test>\r\n"), 250);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    const struct envelope *envelope = &letter.envelope;
    assert_true(span_equal(envelope->sender, SPAN("joe@sender.test")));
    assert_true(span_equal(envelope->client_address, SPAN("192.0.2.1")));
    assert_true(span_equal(envelope->helo, SPAN("client.test")));
    assert_true(span_equal(envelope->protocol, SPAN("ESMTP")));
    assert_int_equal(envelope->recipient_count, 2);
    assert_int_equal(letter.header.recipients, 2);
    assert_int_equal(letter.header.flags, RECORD_FLAG_8BIT);
    assert_true(span_equal(envelope->recipients[0].address, SPAN("alice@example.test")));
    assert_true(span_equal(envelope->recipients[0].original, SPAN("team@example.test")));
    assert_null(strstr(letter.body, "for <"));
    rig_free_letter(&letter);
}

static void received_names_the_only_recipient(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    static const char start[] = "Received: from client.test (unknown [192.0.2.1])\r\n"
                                "\tby mx.example.test with ESMTP id ";
    assert_memory_equal(letter.body, start, sizeof(start) - 1);
    assert_non_null(strstr(letter.body, "\r\n\tfor <alice@example.test>;\r\n\t"));
    rig_free_letter(&letter);
}

/* What stands behind such an end must never run as a command. */
static void nothing_but_crlf_dot_crlf_ends_a_message(void **state)
{
    static const struct span ends[] = {
        SPAN_INIT("\n.\n"),         SPAN_INIT("\n.\r\n"),   SPAN_INIT("\r\n.\n"),
        SPAN_INIT("\r.\r"),         SPAN_INIT("\r.\r\n"),   SPAN_INIT("\r\r\n.\r\r\n"),
        SPAN_INIT("\r\n.\r\r\n"),   SPAN_INIT("\r\n.\r"),   SPAN_INIT("\n\r.\r\n"),
        SPAN_INIT("\r\n\0.\n"),     SPAN_INIT("\r\n.\0\n"), SPAN_INIT("\r\n.\r\0\n"),
        SPAN_INIT("\r\0\n.\r\0\n"),
    };
    struct rig *rig = rig_of(state);
    for (size_t row = 0; row < COUNT(ends); row++) {
        char text[200];
        size_t len = 0;
        struct span parts[] = {SPAN("a: b\r\n\r\ntext"), ends[row], SPAN(RIG_MAIL RIG_RCPT)};
        for (size_t i = 0; i < COUNT(parts); i++, len += parts[i - 1].len)
            memcpy(text + len, parts[i].data, parts[i].len);
        for (size_t split = 1; split < len; split++) {
            rig_reach(rig, SESSION_DATA);
            rig_write(rig, span_of(text, split));
            rig_write(rig, span_of(text + split, len - split));
            rig_expect(rig, "550 5.6.0 Bare CR or LF in the message\r\n");
            rig_expect_end(rig);
        }
    }
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 0);
    assert_int_equal(rig->worker.buffered, 0);
}

static void message_may_be_split_anywhere(void **state)
{
    struct rig *rig = rig_of(state);
    struct span wire = SPAN("a: b\r\n\r\n..x\r\n.\r\n");
    for (size_t split = 1; split < wire.len; split++) {
        rig_reach(rig, SESSION_DATA);
        rig_write(rig, span_first(wire, split));
        loop_turn(rig->loop, 0);
        rig_write(rig, span_skip(wire, split));
        assert_stored(rig, SPAN("a: b\r\n\r\n.x\r\n"));
    }
}

static void commands_behind_the_dot_wait_for_the_disk(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, SPAN("x\r\n.\r\nMAIL FROM:<second@sender.test>\r\nRSET\r\nQUIT\r\n"));
    unsigned codes[] = {250, 250, 250, 221};
    for (size_t i = 0; i < COUNT(codes); i++)
        assert_int_equal(rig_hear_code(rig), codes[i]);
    rig_expect_end(rig);
}

/* A message of `size` octets on the wire, its dot line included. */
static void write_large(struct rig *rig, size_t size)
{
    static char line[1000];
    memset(line, 'x', sizeof(line));
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    for (size_t left = size - 3; left > 0;) {
        size_t piece = left < sizeof(line) ? left : sizeof(line);
        rig_write(rig, span_of(line + sizeof(line) - piece, piece));
        left -= piece;
    }
    rig_write(rig, SPAN(".\r\n"));
}

static void size_limit_is_exact(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.message_size = 5000;
    rig_reach(rig, SESSION_DATA);
    write_large(rig, 5000 + 3);
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(rig_message(&letter).len, 5000);
    rig_free_letter(&letter);

    rig->conf->limits.message_size = 4999;
    rig_reach(rig, SESSION_DATA);
    write_large(rig, 5000 + 3);
    rig_expect(rig, "552 5.3.4 Message is too big\r\n");
    assert_int_equal(rig->session->state, SESSION_READY);
    assert_int_equal(rig->worker.buffered, 0);
    rig_say(rig, RIG_MAIL, "250 2.1.0 Ok\r\n");
}

static void endless_message_ends_the_session(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.message_size = 5000;
    rig_reach(rig, SESSION_DATA);
    write_large(rig, 20000);
    rig_expect(rig, "552 5.3.4 Message is too big\r\n");
    rig_expect_end(rig);
}

static void large_message_is_streamed(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.session_buffer = 65536;
    rig_reach(rig, SESSION_DATA);
    write_large(rig, 1000003);
    struct rig_letter letter = rig_hear_letter(rig);
    struct span message = rig_message(&letter);
    assert_int_equal(message.len, 1000000);
    assert_memory_equal(message.data + 999990, "xxxxxxxx\r\n", 10);
    assert_int_equal(rig->worker.buffered, 0);
    rig_free_letter(&letter);
}

static void spent_budget_streams_small_messages_too(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.buffer_budget = 1000;
    rig_reach(rig, SESSION_DATA);
    write_large(rig, 5003);
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(rig_message(&letter).len, 5000);
    rig_free_letter(&letter);
}

/* Other messages have every segment, and qmgr gives no more until it is told to. */
static void take_all_segments(struct rig *rig, struct letter *letter, struct spool_stream **taken)
{
    rig->qmgr_gives = false;
    rig->conf->limits.session_buffer = 4096;
    for (size_t i = 0; i < 2; i++) {
        taken[i] = spool_stream_open(rig->worker.writer, letter);
        assert_non_null(taken[i]);
    }
    assert_null(spool_stream_open(rig->worker.writer, letter));
}

/* More than the session may hold, and not its end. */
static void outgrow(struct rig *rig)
{
    static char text[8192];
    memset(text, 'x', sizeof(text));
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, span_of(text, sizeof(text)));
    rig_expect_silence(rig);
    assert_true(rig->session->starved);
    assert_int_equal(rig->session->wait, WAIT_SEGMENT);
    assert_ptr_equal(TAILQ_FIRST(&rig->worker.starved), rig->session);
}

static void assert_fed(struct rig *rig)
{
    rig_expect_silence(rig);
    assert_false(rig->session->starved);
    assert_true(TAILQ_EMPTY(&rig->worker.starved));
    assert_int_equal(rig->worker.buffered, 0);
    rig_write(rig, SPAN("\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(rig_message(&letter).len, 8192 + 2);
    rig_free_letter(&letter);
}

static void large_message_waits_for_a_segment(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    take_all_segments(rig, &letter, taken);
    outgrow(rig);
    rig_give(rig, SPOOL_PRIVATE);
    assert_fed(rig);
}

static void large_message_takes_the_segment_of_one_that_was_aborted(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    take_all_segments(rig, &letter, taken);
    outgrow(rig);
    spool_stream_abort(taken[0]);
    data_room_came(&rig->worker);
    assert_fed(rig);
}

static void large_message_without_a_segment_is_refused_after_a_while(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    take_all_segments(rig, &letter, taken);
    outgrow(rig);
    rig_time_out(rig, WAIT_SEGMENT);
    rig_expect_silence(rig);
    assert_true(TAILQ_EMPTY(&rig->worker.starved));
    assert_int_equal(rig->worker.buffered, 0);
    rig_write(rig, SPAN("\r\n.\r\n"));
    rig_expect(rig, "452 4.3.1 No space to store the message, try again later\r\n");
    assert_int_equal(rig->session->state, SESSION_READY);
}

static void whole_message_needs_no_segment_of_its_own(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    char text[5003];
    memset(text, 'x', sizeof(text));
    memcpy(text + sizeof(text) - 5, "\r\n.\r\n", 5);
    take_all_segments(rig, &letter, taken);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, span_of(text, sizeof(text)));
    struct rig_letter stored = rig_hear_letter(rig);
    assert_int_equal(rig_message(&stored).len, 5000);
    assert_true(TAILQ_EMPTY(&rig->worker.starved));
    rig_free_letter(&stored);
}

/* A client amid its message, which has sent `octets` of it; the rig's client is another one then.
 */
struct sender {
    int client;
    struct session *session;
};

static struct sender begin_message(struct rig *rig, size_t octets)
{
    static char text[8192];
    memset(text, 'x', sizeof(text));
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, span_of(text, octets));
    rig_expect_silence(rig);
    struct sender sender = {rig->client, rig->session};
    rig->client = -1;
    return sender;
}

/* It is the rig's client again, and ends its message. */
static void end_message(struct rig *rig, const struct sender *sender, size_t size)
{
    rig->client = sender->client;
    rig->session = sender->session;
    rig_write(rig, SPAN("\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(rig_message(&letter).len, size);
    rig_free_letter(&letter);
}

/* No segment can help: whoever goes on does so because there is memory. */
static void spend_budget(struct rig *rig, struct letter *letter, struct spool_stream **taken,
                         struct sender *senders)
{
    take_all_segments(rig, letter, taken);
    rig->conf->limits.session_buffer = 65536;
    rig->conf->limits.buffer_budget = 10000;
    senders[0] = begin_message(rig, 8000);
    senders[1] = begin_message(rig, 4000);
    senders[2] = begin_message(rig, 100);
    assert_false(senders[0].session->starved);
    assert_true(senders[1].session->starved);
    assert_true(senders[2].session->starved);
}

static void those_the_budget_starved_go_on_when_there_is_room(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    struct sender senders[3];
    spend_budget(rig, &letter, taken, senders);
    end_message(rig, &senders[0], 8000 + 2);
    rig_expect_silence(rig);
    assert_true(TAILQ_EMPTY(&rig->worker.starved));
    (void)close(senders[0].client);
    end_message(rig, &senders[2], 100 + 2);
    (void)close(senders[2].client);
    end_message(rig, &senders[1], 4000 + 2);
    assert_int_equal(rig->worker.buffered, 0);
}

static void those_the_budget_starved_go_on_when_a_client_leaves(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    struct sender senders[3];
    spend_budget(rig, &letter, taken, senders);
    (void)close(senders[0].client);
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    assert_true(TAILQ_EMPTY(&rig->worker.starved));
    (void)close(senders[1].client);
    end_message(rig, &senders[2], 100 + 2);
}

static void who_waits_longest_gets_the_segment(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    struct sender senders[3];
    spend_budget(rig, &letter, taken, senders);
    rig->conf->limits.buffer_budget = 0;
    rig_give(rig, SPOOL_PRIVATE);
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    assert_non_null(senders[1].session->transaction->stream);
    assert_ptr_equal(TAILQ_FIRST(&rig->worker.starved), senders[2].session);
    for (size_t i = 0; i < COUNT(senders); i++)
        (void)close(senders[i].client);
}

static void room_in_the_last_moment_is_no_refusal(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    struct sender senders[3];
    spend_budget(rig, &letter, taken, senders);
    rig->conf->limits.buffer_budget = 20000;
    rig->session = senders[1].session;
    rig_time_out(rig, WAIT_SEGMENT);
    (void)close(senders[0].client);
    (void)close(senders[2].client);
    end_message(rig, &senders[1], 4000 + 2);
}

static void client_that_leaves_waits_no_more(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    struct spool_stream *taken[2];
    take_all_segments(rig, &letter, taken);
    outgrow(rig);
    session_drop(rig->session);
    loop_turn(rig->loop, 0);
    assert_true(TAILQ_EMPTY(&rig->worker.starved));
    assert_int_equal(rig->worker.session_count, 0);
    assert_int_equal(rig->worker.buffered, 0);
}

static void streamed_message_above_the_limit_is_refused(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.session_buffer = 65536;
    rig->conf->limits.message_size = 200000;
    rig_reach(rig, SESSION_DATA);
    write_large(rig, 300003);
    rig_expect(rig, "552 5.3.4 Message is too big\r\n");
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 0);
    assert_int_equal(rig->worker.buffered, 0);
}

static void too_many_hops_are_a_loop(void **state)
{
    struct rig *rig = rig_of(state);
    for (unsigned hops = 100; hops <= 101; hops++) {
        rig_reach(rig, SESSION_DATA);
        for (unsigned i = 0; i < hops; i++)
            rig_write(rig, SPAN("Received: by somewhere.test\r\n"));
        rig_write(rig, SPAN("\r\nReceived: not a header\r\n.\r\n"));
        if (hops == 100)
            assert_int_equal(rig_hear_code(rig), 250);
        else
            rig_expect(rig, "554 5.4.6 Too many hops: mail loop\r\n");
    }
}

static void hops_of_a_streamed_message_count(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.session_buffer = 65536;
    rig_reach(rig, SESSION_DATA);
    for (unsigned i = 0; i < 101; i++)
        rig_write(rig, SPAN("Received: by somewhere.test\r\n"));
    write_large(rig, 200003);
    rig_expect(rig, "554 5.4.6 Too many hops: mail loop\r\n");
}

/* A message of 101 hops whose every piece leaves the buffer at once, wherever it is cut. */
static void hops_count_however_little_is_held(void **state)
{
    static const size_t pieces[] = {1, 5, 8, 13, 29, 1000};
    struct rig *rig = rig_of(state);
    rig->conf->limits.buffer_budget = 0;
    for (size_t row = 0; row < COUNT(pieces); row++) {
        struct buf text = {0};
        for (unsigned i = 0; i < 101; i++)
            buf_add(&text, SPAN("Received: by somewhere.test\r\n"));
        rig_reach(rig, SESSION_DATA);
        for (struct span rest = buf_span(&text); rest.len > 0;
             rest = span_skip(rest, pieces[row])) {
            rig_write(rig, span_first(rest, pieces[row]));
            loop_turn(rig->loop, 0);
        }
        rig_write(rig, SPAN("\r\nx\r\n.\r\n"));
        rig_expect(rig, "554 5.4.6 Too many hops: mail loop\r\n");
        buf_free(&text);
    }
}

static void end_amid_the_message_queues_nothing(void **state)
{
    static const struct span starts[] = {
        SPAN_INIT(""),       SPAN_INIT("a: b\r\n\r\nx"), SPAN_INIT("x\r\n"),
        SPAN_INIT("x\r\n."), SPAN_INIT("x\r\n.\r"),
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(starts); i++) {
        rig_reach(rig, SESSION_DATA);
        rig_write(rig, starts[i]);
        (void)close(rig->client);
        rig->client = -1;
        for (int turn = 0; turn < 5; turn++)
            loop_turn(rig->loop, 0);
        assert_int_equal(rig->worker.session_count, 0);
        assert_false(spool_writer_busy(rig->worker.writer));
    }
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 0);
    assert_int_equal(rig->worker.buffered, 0);
}

static void end_behind_the_dot_keeps_the_message(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    (void)send(rig->client, "x\r\n.\r\n", 6, MSG_NOSIGNAL);
    (void)close(rig->client);
    rig->client = -1;
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    while (rig->worker.session_count > 0 && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    assert_int_equal(rig->worker.session_count, 0);
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 1);
}

static void client_that_is_dropped_during_the_commit_is_safe(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    (void)send(rig->client, "x\r\n.\r\n", 6, MSG_NOSIGNAL);
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    while (rig->session->state == SESSION_DATA && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    session_drop(rig->session);
    while (rig->worker.session_count > 0 && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 1);
}

static void slow_message_is_given_up(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, SPAN("x\r\n"));
    rig_expect_silence(rig);
    rig->session->transaction->started -= 301 * 1000;
    rig_write(rig, SPAN("x\r\n"));
    rig_expect(rig, "421 4.4.2 The message comes too slowly\r\n");
    rig_expect_end(rig);
}

static void message_that_stops_coming_times_out(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, SPAN("x\r\n"));
    rig_time_out(rig, WAIT_DATA);
    rig_expect(rig, "421 4.4.2 Timeout\r\n");
    rig_expect_end(rig);
}

static void qmgr_that_left_does_not_stop_the_mail(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    channel_free(rig->qmgr);
    rig->qmgr = NULL;
    rig_write(rig, SPAN("x\r\n.\r\n"));
    assert_stored(rig, SPAN("x\r\n"));
    assert_null(rig->worker.qmgr);

    /* The next one hears what is in hand before anything else: what is open and the spares. */
    rig->held = rig->held_last = 0;
    rig_connect_qmgr(rig);
    rig_expect_silence(rig);
    assert_int_equal(rig->held, 4);
    assert_int_equal(rig->held_last, 1);
}

static void qmgr_hears_what_is_durable(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    rig_expect_silence(rig);
    assert_true(rig->durable_end >=
                letter.header.offset + record_size(&letter.header) - SPOOL_ALIGN);
    rig_free_letter(&letter);
}

static void qmgr_that_does_not_read_hears_everything_later(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    int deaf = rig_connect_deaf_qmgr(rig);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    assert_stored(rig, SPAN("x\r\n"));
    size_t held = rig->worker.held.count;
    spool_writer_rotate(rig->worker.writer);
    rig_expect_silence(rig);
    assert_int_equal(rig->worker.held.count, held);
    assert_true(rig->worker.want_untold);

    size_t given = rig->segment_count;
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    rig_hear_qmgr(rig, deaf);
    while (rig->segment_count == given && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    assert_true(rig->segment_count > given);
    assert_int_equal(rig->sealed, 1);
    assert_false(rig->worker.want_untold);
}

static void new_transaction_starts_clean(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, SPAN("x\r\n\n.\r\n"));
    assert_int_equal(rig_hear_code(rig), 550);
    rig_reach(rig, SESSION_DATA);
    rig_write(rig, SPAN("first\r\n.\r\n"));
    assert_stored(rig, SPAN("first\r\n"));
    rig_say(rig, "DATA\r\n", "503 5.5.1 Send MAIL first\r\n");
    rig_say(rig, RIG_RCPT, "503 5.5.1 Send MAIL first\r\n");
    rig_say(rig, "MAIL FROM:<>\r\n", "250 2.1.0 Ok\r\n");
    rig_say(rig, "RCPT TO:<bob@example.test>\r\n", "250 2.1.5 Ok\r\n");
    rig_say(rig, "DATA\r\n", RIG_DATA_OK);
    rig_write(rig, SPAN("second\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(letter.envelope.sender.len, 0);
    assert_int_equal(letter.envelope.recipient_count, 1);
    assert_true(span_equal(letter.envelope.recipients[0].address, SPAN("bob@example.test")));
    rig_free_letter(&letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(message_is_stored_octet_by_octet),
        RIG_TEST(envelope_says_who_and_to_whom),
        RIG_TEST(received_names_the_only_recipient),
        RIG_TEST(nothing_but_crlf_dot_crlf_ends_a_message),
        RIG_TEST(message_may_be_split_anywhere),
        RIG_TEST(commands_behind_the_dot_wait_for_the_disk),
        RIG_TEST(size_limit_is_exact),
        RIG_TEST(endless_message_ends_the_session),
        RIG_TEST(large_message_is_streamed),
        RIG_TEST(spent_budget_streams_small_messages_too),
        RIG_TEST(large_message_waits_for_a_segment),
        RIG_TEST(large_message_takes_the_segment_of_one_that_was_aborted),
        RIG_TEST(large_message_without_a_segment_is_refused_after_a_while),
        RIG_TEST(whole_message_needs_no_segment_of_its_own),
        RIG_TEST(those_the_budget_starved_go_on_when_there_is_room),
        RIG_TEST(those_the_budget_starved_go_on_when_a_client_leaves),
        RIG_TEST(who_waits_longest_gets_the_segment),
        RIG_TEST(room_in_the_last_moment_is_no_refusal),
        RIG_TEST(client_that_leaves_waits_no_more),
        RIG_TEST(streamed_message_above_the_limit_is_refused),
        RIG_TEST(too_many_hops_are_a_loop),
        RIG_TEST(hops_of_a_streamed_message_count),
        RIG_TEST(hops_count_however_little_is_held),
        RIG_TEST(end_amid_the_message_queues_nothing),
        RIG_TEST(end_behind_the_dot_keeps_the_message),
        RIG_TEST(client_that_is_dropped_during_the_commit_is_safe),
        RIG_TEST(slow_message_is_given_up),
        RIG_TEST(message_that_stops_coming_times_out),
        RIG_TEST(qmgr_that_left_does_not_stop_the_mail),
        RIG_TEST(qmgr_hears_what_is_durable),
        RIG_TEST(qmgr_that_does_not_read_hears_everything_later),
        RIG_TEST(new_transaction_starts_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
