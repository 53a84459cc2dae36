/*
 * BDAT (RFC 3030): so many octets and not one more or less, whatever they look like and whatever
 * becomes of them.
 */
#include "smtpd_rig.h"

#define CHUNK_OK "250 2.0.0 Chunk received\r\n"
#define NO_SIZE  "501 5.5.4 Syntax: BDAT size [LAST]\r\n"

static void assert_stored(struct rig *rig, struct span message)
{
    struct rig_letter letter = rig_hear_letter(rig);
    struct span stored = rig_message(&letter);
    assert_int_equal(stored.len, message.len);
    assert_memory_equal(stored.data, message.data, message.len);
    rig_free_letter(&letter);
    assert_int_equal(rig->session->state, SESSION_READY);
    assert_null(rig->session->transaction);
    assert_int_equal(rig->worker.buffered, 0);
}

static void chunks_become_one_message(void **state)
{
    static const struct {
        struct span wire, replies, message;
    } rows[] = {
        {SPAN_INIT("BDAT 4 LAST\r\nab\r\n"), SPAN_INIT(""), SPAN_INIT("ab\r\n")},
        {SPAN_INIT("bdat 4 last\r\nab\r\n"), SPAN_INIT(""), SPAN_INIT("ab\r\n")},
        {SPAN_INIT("BDAT 0 LAST\r\n"), SPAN_INIT(""), SPAN_INIT("")},
        {SPAN_INIT("BDAT 3\r\nab\rBDAT 1\r\n\nBDAT 0 LAST\r\n"), SPAN_INIT(CHUNK_OK CHUNK_OK),
         SPAN_INIT("ab\r\n")},
        {SPAN_INIT("BDAT 0\r\nBDAT 5 LAST\r\n\r\n.\r\n"), SPAN_INIT(CHUNK_OK),
         SPAN_INIT("\r\n.\r\n")},
        {SPAN_INIT("BDAT 13 LAST\r\n..\r\nQUIT\r\n..."), SPAN_INIT(""),
         SPAN_INIT("..\r\nQUIT\r\n...\r\n")},
        {SPAN_INIT("BDAT 3 LAST\r\na\0\xff"), SPAN_INIT(""), SPAN_INIT("a\0\xff\r\n")},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t cut = 0; cut < rows[i].wire.len; cut++) {
            rig_reach(rig, SESSION_RCPT);
            rig_write(rig, span_first(rows[i].wire, cut));
            loop_turn(rig->loop, 0);
            rig_write(rig, span_skip(rows[i].wire, cut));
            struct span heard = rig_hear(rig, rows[i].replies.len + 1);
            assert_true(span_has_prefix(heard, rows[i].replies));
            buf_consume(&rig->heard, rows[i].replies.len);
            assert_stored(rig, rows[i].message);
        }
}

static void whole_transaction_may_be_pipelined(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_write(rig, SPAN(RIG_MAIL RIG_RCPT "BDAT 3 LAST\r\na\r\n" RIG_MAIL "RSET\r\nQUIT\r\n"));
    static const unsigned codes[] = {250, 250, 250, 250, 250, 221};
    for (size_t i = 0; i < COUNT(codes); i++)
        assert_int_equal(rig_hear_code(rig), codes[i]);
    rig_expect_end(rig);
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 1);
}

/* What stands in a chunk never runs, whatever the command before it is worth. */
static void octets_of_a_refused_chunk_are_swallowed(void **state)
{
    static const struct {
        enum session_state from;
        const char *wire, *replies;
    } rows[] = {
        {SESSION_START, "BDAT 6 LAST\r\nRSET\r\n", "503 5.5.1 Send EHLO or HELO first\r\n"},
        {SESSION_READY, "BDAT 6\r\nQUIT\r\n", "503 5.5.1 Send MAIL first\r\n"},
        {SESSION_MAIL, "BDAT 6\r\nQUIT\r\n", "503 5.5.1 Send RCPT first\r\n"},
        {SESSION_REFUSED, "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n",
         "554 5.5.1 No valid recipients\r\n554 5.5.1 No valid recipients\r\n"},
        {SESSION_READY, "BDAT 0 LAST\r\n", "503 5.5.1 Send MAIL first\r\n"},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, rows[i].from);
        rig_say(rig, rows[i].wire, rows[i].replies);
        rig_expect_silence(rig);
        assert_int_equal(rig->session->state, rows[i].from);
        rig_say(rig, "NOOP\r\n", "250 2.0.0 Ok\r\n");
    }
}

/* A part is missing: what comes behind it must never pass for the message. */
static void chunk_that_is_refused_amid_a_message_refuses_the_rest(void **state)
{
    static const struct {
        const char *wire, *reply;
    } rows[] = {
        {"BDAT 6 FIRST\r\nQUIT\r\n", NO_SIZE},
        {"BDAT 6 LAST x\r\nQUIT\r\n", NO_SIZE},
        {"BDAT 6 L\rT\r\nQUIT\r\n", "501 5.5.2 Control octet in a command\r\n"},
    };
    static const enum session_state states[] = {SESSION_RCPT, SESSION_CHUNKS};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t from = 0; from < COUNT(states); from++) {
            rig_reach(rig, states[from]);
            rig_say(rig, rows[i].wire, rows[i].reply);
            rig_expect_silence(rig);
            assert_int_equal(rig->session->state, SESSION_CHUNKS);
            rig_say(rig, "BDAT 6\r\nQUIT\r\n", rows[i].reply);
            rig_say(rig, "DATA\r\n", "503 5.5.1 Go on with BDAT, or send RSET\r\n");
            rig_say(rig, "BDAT 6 LAST\r\nQUIT\r\n", rows[i].reply);
            assert_int_equal(rig->session->state, SESSION_READY);
            assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 0);
        }
}

static void size_that_can_not_be_known_ends_the_session(void **state)
{
    static const char *const rows[] = {
        "BDAT\r\n",
        "BDAT \r\n",
        "BDAT LAST\r\n",
        "BDAT -1\r\nQUIT\r\n",
        "BDAT +5\r\nQUIT\r\n",
        "BDAT 5.5\r\nQUIT\r\n",
        "BDAT 0x5\r\nQUIT\r\n",
        "BDAT 18446744073709551616\r\nQUIT\r\n",
        "BDAT 99999999999999999999999 LAST\r\nQUIT\r\n",
    };
    static const enum session_state states[] = {SESSION_READY, SESSION_REFUSED, SESSION_RCPT,
                                                SESSION_CHUNKS};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t from = 0; from < COUNT(states); from++) {
            rig_reach(rig, states[from]);
            rig_say(rig, rows[i], NO_SIZE);
            rig_expect_end(rig);
        }
}

static void line_that_is_too_long_ends_the_session(void **state)
{
    struct rig *rig = rig_of(state);
    char line[3000];
    memset(line, ' ', sizeof(line));
    memcpy(line, "BDAT 5", 6);
    rig_reach(rig, SESSION_RCPT);
    rig_write(rig, span_of(line, sizeof(line)));
    rig_expect(rig, "500 5.5.2 Command line too long\r\n");
    rig_expect_end(rig);
}

static void absurd_size_is_refused_before_its_octets(void **state)
{
    static const struct {
        enum session_state from;
        const char *wire, *reply;
    } rows[] = {
        {SESSION_RCPT, "BDAT 18446744073709551615 LAST\r\nQUIT\r\n",
         "552 5.3.4 Message is too big\r\n"},
        {SESSION_CHUNKS, "BDAT 18446744073709551615\r\nQUIT\r\n",
         "552 5.3.4 Message is too big\r\n"},
        {SESSION_RCPT, "BDAT 10001\r\n", "552 5.3.4 Message is too big\r\n"},
        {SESSION_READY, "BDAT 10001\r\n", "503 5.5.1 Send MAIL first\r\n"},
    };
    struct rig *rig = rig_of(state);
    rig->conf->limits.message_size = 5000;
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, rows[i].from);
        rig_say(rig, rows[i].wire, rows[i].reply);
        rig_expect_end(rig);
    }
}

static void write_octets(struct rig *rig, size_t count)
{
    static char text[10000];
    memset(text, 'x', sizeof(text));
    assert_true(count <= sizeof(text));
    rig_write(rig, span_of(text, count));
}

static void size_limit_counts_all_chunks(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.message_size = 5000;
    rig_reach(rig, SESSION_RCPT);
    for (int i = 0; i < 2; i++) {
        rig_write(rig, SPAN("BDAT 2499\r\n"));
        write_octets(rig, 2499);
        rig_expect(rig, CHUNK_OK);
    }
    rig_write(rig, SPAN("BDAT 2 LAST\r\n\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(rig_message(&letter).len, 5000);
    rig_free_letter(&letter);

    /* One octet more: refused, and so is all that was sent behind it. */
    rig_reach(rig, SESSION_RCPT);
    rig_write(rig, SPAN("BDAT 5001\r\n"));
    write_octets(rig, 5001);
    rig_say(rig, "BDAT 5\r\nQUIT\nBDAT 5 LAST\r\nQUIT\n",
            "552 5.3.4 Message is too big\r\n552 5.3.4 Message is too big\r\n"
            "552 5.3.4 Message is too big\r\n");
    assert_int_equal(rig->session->state, SESSION_READY);
    assert_int_equal(rig->worker.buffered, 0);
    rig_say(rig, RIG_MAIL, "250 2.1.0 Ok\r\n");
}

static void message_far_too_big_ends_the_session(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.message_size = 5000;
    rig_reach(rig, SESSION_RCPT);
    rig_write(rig, SPAN("BDAT 9000\r\n"));
    write_octets(rig, 9000);
    rig_expect(rig, "552 5.3.4 Message is too big\r\n");
    rig_say(rig, "BDAT 1001\r\n", "552 5.3.4 Message is too big\r\n");
    rig_expect_end(rig);
}

static void bare_line_end_refuses_text_and_nothing_runs(void **state)
{
    static const char *const rows[] = {"BDAT 7 LAST\r\na\n.\r\nRS", "BDAT 7 LAST\r\na\r.\r\nRS",
                                       "BDAT 6 LAST\r\nQUIT\r\r", "BDAT 7 LAST\r\n\nQUIT\r\n",
                                       "BDAT 5 LAST\r\nQUIT\r"};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, SESSION_RCPT);
        rig_say(rig, rows[i], "550 5.6.0 Bare CR or LF in the message\r\n");
        assert_int_equal(rig->session->state, SESSION_READY);
        rig_say(rig, "NOOP\r\n", "250 2.0.0 Ok\r\n");
    }
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 0);
}

static void refused_message_stays_refused_until_it_ends(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_RCPT);
    rig_say(rig, "BDAT 1\r\n\nBDAT 2\r\n\r\nBDAT 0 LAST\r\n",
            "550 5.6.0 Bare CR or LF in the message\r\n"
            "550 5.6.0 Bare CR or LF in the message\r\n"
            "550 5.6.0 Bare CR or LF in the message\r\n");
    assert_int_equal(rig->session->state, SESSION_READY);

    /* And the next one knows nothing of it. */
    rig_reach(rig, SESSION_RCPT);
    rig_say(rig, "BDAT 1\r\n\n", "550 5.6.0 Bare CR or LF in the message\r\n");
    rig_say(rig, "RSET\r\n", "250 2.0.0 Ok\r\n");
    rig_say(rig, RIG_MAIL, "250 2.1.0 Ok\r\n");
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig_write(rig, SPAN("BDAT 3 LAST\r\na\r\n"));
    assert_stored(rig, SPAN("a\r\n"));
}

static void binary_message_is_stored_octet_by_octet(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_say(rig, "MAIL FROM:<joe@sender.test> BODY=BINARYMIME\r\n", "250 2.1.0 Ok\r\n");
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig_write(rig, SPAN("BDAT 8\r\n\n\r\r\n.\r\n\0"
                        "BDAT 2 LAST\r\n\n\r"));
    rig_expect(rig, CHUNK_OK);
    struct rig_letter letter = rig_hear_letter(rig);
    struct span stored = rig_message(&letter);
    assert_int_equal(stored.len, 10);
    assert_memory_equal(stored.data, "\n\r\r\n.\r\n\0\n\r", 10);
    assert_int_equal(letter.header.flags, RECORD_FLAG_8BIT | RECORD_FLAG_BINARY);
    rig_free_letter(&letter);
}

static void binary_message_takes_no_data(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_say(rig, "MAIL FROM:<joe@sender.test> BODY=BINARYMIME\r\n", "250 2.1.0 Ok\r\n");
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig_say(rig, "DATA\r\n", "503 5.5.1 BODY=BINARYMIME takes BDAT\r\n");
    assert_int_equal(rig->session->state, SESSION_RCPT);
}

static void reset_between_chunks_leaves_nothing(void **state)
{
    static const char *const rows[] = {"RSET\r\n", "EHLO client.test\r\n"};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, SESSION_RCPT);
        rig_say(rig, "BDAT 4\r\nabcd", CHUNK_OK);
        assert_true(rig->worker.buffered > 0);
        assert_int_equal(rig_ask(rig, rows[i]), 250);
        assert_int_equal(rig->worker.buffered, 0);
        assert_null(rig->session->transaction);
        rig_say(rig, "BDAT 4 LAST\r\nRSET", "503 5.5.1 Send MAIL first\r\n");
    }
}

static void client_that_leaves_amid_a_chunk_leaves_nothing(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_RCPT);
    rig_write(rig, SPAN("BDAT 3\r\na\r\nBDAT 9 LAST\r\nabcdef\r\n"));
    rig_expect(rig, CHUNK_OK);
    (void)close(rig->client);
    rig->client = -1;
    for (int i = 0; i < 5; i++)
        loop_turn(rig->loop, 0);
    assert_int_equal(rig->worker.session_count, 0);
    assert_int_equal(rig->worker.buffered, 0);
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 0);
}

static void chunk_that_stops_coming_times_out(void **state)
{
    static const enum session_state states[] = {SESSION_READY, SESSION_RCPT};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(states); i++) {
        rig_reach(rig, states[i]);
        rig_write(rig, SPAN("BDAT 9 LAST\r\nabc"));
        rig_expect_silence(rig);
        rig_time_out(rig, WAIT_DATA);
        rig_expect(rig, "421 4.4.2 Timeout\r\n");
        rig_expect_end(rig);
    }
}

static void chunk_that_drips_ends_the_session(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_write(rig, SPAN("BDAT 1000 LAST\r\nabc"));
    rig_expect_silence(rig);
    rig->session->chunk.started -= 1000 * 1000;
    rig_say(rig, "d", "421 4.4.2 The chunk comes too slowly\r\n");
    rig_expect_end(rig);

    rig_reach(rig, SESSION_RCPT);
    rig_write(rig, SPAN("BDAT 1000 LAST\r\nabc"));
    rig_expect_silence(rig);
    rig->session->transaction->started -= 1000 * 1000;
    rig_say(rig, "d", "421 4.4.2 The message comes too slowly\r\n");
    rig_expect_end(rig);
}

static void many_small_chunks_need_no_memory_of_their_own(void **state)
{
    enum { CHUNKS = 20000 };
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_RCPT);
    rig_say(rig, "BDAT 1\r\nx", CHUNK_OK);
    struct arena before = rig->session->transaction_arena;
    for (int i = 1; i < CHUNKS; i++) {
        rig_write(rig, SPAN("BDAT 1\r\nx"));
        assert_int_equal(rig_hear_code(rig), 250);
    }
    assert_memory_equal(&rig->session->transaction_arena, &before, sizeof(before));
    rig_write(rig, SPAN("BDAT 0 LAST\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(rig_message(&letter).len, CHUNKS + 2);
    rig_free_letter(&letter);
}

static void empty_chunks_are_junk(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.junk_commands = 3;
    rig->conf->limits.errors_close = 2;
    rig_reach(rig, SESSION_RCPT);
    rig_write(rig, SPAN("BDAT 0\r\nBDAT 0\r\nBDAT 0\r\nBDAT 0\r\nBDAT 0\r\nBDAT 0\r\n"));
    rig_expect(rig, CHUNK_OK CHUNK_OK CHUNK_OK CHUNK_OK "421 4.7.0 Too many errors\r\n");
    rig_expect_end(rig);
}

static void large_chunk_is_streamed(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.session_buffer = 65536;
    rig_reach(rig, SESSION_RCPT);
    rig_write(rig, SPAN("BDAT 1000000 LAST\r\n"));
    for (int i = 0; i < 100; i++) {
        write_octets(rig, 10000);
        assert_true(rig->worker.buffered <= 65536 + WORKER_INPUT);
    }
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(rig_message(&letter).len, 1000002);
    rig_free_letter(&letter);
    assert_int_equal(rig->worker.buffered, 0);
}

static void chunk_that_finds_no_segment_is_put_off(void **state)
{
    struct rig *rig = rig_of(state);
    struct letter letter = {0};
    rig->qmgr_gives = false;
    struct spool_stream *taken[] = {spool_stream_open(rig->worker.writer, &letter),
                                    spool_stream_open(rig->worker.writer, &letter)};
    assert_null(spool_stream_open(rig->worker.writer, &letter));
    rig->conf->limits.session_buffer = 1000;
    rig_reach(rig, SESSION_RCPT);
    rig_write(rig, SPAN("BDAT 2000\r\n"));
    write_octets(rig, 2000);
    rig_expect(rig, CHUNK_OK);
    rig_write(rig, SPAN("BDAT 2 LAST\r\n\r\n"));
    rig_expect_silence(rig);
    rig_time_out(rig, WAIT_SEGMENT);
    rig_expect(rig, "452 4.3.1 No space to store the message, try again later\r\n");
    assert_int_equal(rig->session->state, SESSION_READY);
    spool_stream_abort(taken[0]);
    spool_stream_abort(taken[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(chunks_become_one_message),
        RIG_TEST(whole_transaction_may_be_pipelined),
        RIG_TEST(octets_of_a_refused_chunk_are_swallowed),
        RIG_TEST(chunk_that_is_refused_amid_a_message_refuses_the_rest),
        RIG_TEST(size_that_can_not_be_known_ends_the_session),
        RIG_TEST(line_that_is_too_long_ends_the_session),
        RIG_TEST(absurd_size_is_refused_before_its_octets),
        RIG_TEST(size_limit_counts_all_chunks),
        RIG_TEST(message_far_too_big_ends_the_session),
        RIG_TEST(bare_line_end_refuses_text_and_nothing_runs),
        RIG_TEST(refused_message_stays_refused_until_it_ends),
        RIG_TEST(binary_message_is_stored_octet_by_octet),
        RIG_TEST(binary_message_takes_no_data),
        RIG_TEST(reset_between_chunks_leaves_nothing),
        RIG_TEST(client_that_leaves_amid_a_chunk_leaves_nothing),
        RIG_TEST(chunk_that_stops_coming_times_out),
        RIG_TEST(chunk_that_drips_ends_the_session),
        RIG_TEST(many_small_chunks_need_no_memory_of_their_own),
        RIG_TEST(empty_chunks_are_junk),
        RIG_TEST(large_chunk_is_streamed),
        RIG_TEST(chunk_that_finds_no_segment_is_put_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
