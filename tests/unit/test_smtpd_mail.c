/*
 * MAIL and RCPT: what is taken, what is refused and with which status, and which recipients end up
 * in the envelope.
 */
#include "smtpd_rig.h"

static void mail_takes_what_people_write(void **state)
{
    static const struct {
        const char *line, *sender;
        bool is_8bit;
    } rows[] = {
        {"MAIL FROM:<joe@sender.test>\r\n", "joe@sender.test", false},
        {"mail from: <Joe@Sender.test>\r\n", "Joe@sender.test", false},
        {"MAIL FROM: joe@sender.test\r\n", "joe@sender.test", false},
        {"MAIL FROM:<>\r\n", "", false},
        {"MAIL FROM:<> BODY=8BITMIME SIZE=1000\r\n", "", true},
        {"MAIL FROM:<joe@sender.test> size=52428800 body=7bit\r\n", "joe@sender.test", false},
        {"MAIL FROM:<@a.test:joe@sender.test>\r\n", "joe@sender.test", false},
        {"MAIL FROM:kimo\r\n", "kimo@example.test", false},
        {"MAIL FROM:<joe@sender.test>\n", "joe@sender.test", false},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, SESSION_READY);
        rig_say(rig, rows[i].line, "250 2.1.0 Ok\r\n");
        const struct transaction *transaction = rig->session->transaction;
        assert_true(span_equal(transaction->sender, span_cstr(rows[i].sender)));
        assert_int_equal(transaction->flags, rows[i].is_8bit ? RECORD_FLAG_8BIT : 0);
    }
}

static void mail_refuses_with_the_right_status(void **state)
{
    static const struct {
        const char *line, *reply;
    } rows[] = {
        {"MAIL\r\n", "501 5.5.4 Syntax: MAIL FROM:<address>\r\n"},
        {"MAIL TO:<a@b.test>\r\n", "501 5.5.4 Syntax: MAIL FROM:<address>\r\n"},
        {"MAIL FROM:\r\n", "501 5.1.7 Bad address syntax\r\n"},
        {"MAIL FROM:<a@>\r\n", "501 5.1.7 Bad address syntax\r\n"},
        {"MAIL FROM:<\"\">\r\n", "501 5.1.7 Bad address syntax\r\n"},
        {"MAIL FROM:<a@b.test\r\n", "501 5.1.7 Bad address syntax\r\n"},
        {"MAIL FROM:<a@b.test>SIZE=5\r\n", "501 5.1.7 Bad address syntax\r\n"},
        {"MAIL FROM:<a@b.test> FOO=bar\r\n", "555 5.5.4 Unknown parameter\r\n"},
        {"MAIL FROM:<a@b.test> SIZE=52428801\r\n", "552 5.3.4 Message is too big\r\n"},
        {"MAIL FROM:<a@b.test> SIZE=99999999999999999999\r\n", "501 5.5.4 Bad SIZE parameter\r\n"},
        {"MAIL FROM:<a@b.test> SIZE=18446744073709551615\r\n", "552 5.3.4 Message is too big\r\n"},
        {"MAIL FROM:<a@b.test> SIZE=-1\r\n", "501 5.5.4 Bad SIZE parameter\r\n"},
        {"MAIL FROM:<a@b.test> SIZE=\r\n", "501 5.5.4 Bad SIZE parameter\r\n"},
        {"MAIL FROM:<a@b.test> SIZE\r\n", "501 5.5.4 Bad SIZE parameter\r\n"},
        {"MAIL FROM:<a@b.test> SIZE=5 SIZE=5\r\n", "501 5.5.4 Bad SIZE parameter\r\n"},
        {"MAIL FROM:<a@b.test> BODY=9BIT\r\n", "501 5.5.4 Bad BODY parameter\r\n"},
        {"MAIL FROM:<a@b.test> BODY=7BIT BODY=7BIT\r\n", "501 5.5.4 Bad BODY parameter\r\n"},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, SESSION_READY);
        rig_say(rig, rows[i].line, rows[i].reply);
        assert_int_equal(rig->session->state, SESSION_READY);
        assert_null(rig->session->transaction);
    }
}

static void rcpt_answers_what_lookup_says(void **state)
{
    static const struct {
        const char *line, *reply;
    } rows[] = {
        {"RCPT TO:<alice@example.test>\r\n", "250 2.1.5 Ok\r\n"},
        {"rcpt to: alice@example.test\r\n", "250 2.1.5 Ok\r\n"},
        {"RCPT TO:<PostMaster>\r\n", "250 2.1.5 Ok\r\n"},
        {"RCPT TO: kimo\r\n", "250 2.1.5 Ok\r\n"},
        {"RCPT TO:<nobody@example.test>\r\n", "550 5.1.1 No such user here\r\n"},
        {"RCPT TO:<loop@example.test>\r\n", "550 5.4.6 Alias loop\r\n"},
        {"RCPT TO:<broken@example.test>\r\n", "451 4.3.0 Temporary lookup failure\r\n"},
        {"RCPT TO:<u@ext.test>\r\n", "554 5.7.1 Relay access denied\r\n"},
        {"RCPT TO:<@example.test:u@ext.test>\r\n", "554 5.7.1 Relay access denied\r\n"},
        {"RCPT TO:<u@ext.test@example.test>\r\n", "501 5.1.3 Bad address syntax\r\n"},
        {"RCPT TO:<>\r\n", "501 5.1.3 The null path is no recipient\r\n"},
        {"RCPT\r\n", "501 5.5.4 Syntax: RCPT TO:<address>\r\n"},
        {"RCPT FROM:<a@b.test>\r\n", "501 5.5.4 Syntax: RCPT TO:<address>\r\n"},
        {"RCPT TO:<\xff@example.test>\r\n", "553 5.6.7 Address is not valid UTF-8\r\n"},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, SESSION_MAIL);
        rig_say(rig, rows[i].line, rows[i].reply);
    }
}

static void trusted_client_may_relay(void **state)
{
    struct rig *rig = rig_of(state);
    rig_connect_from(rig, "127.0.0.1");
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    rig_say(rig, "RCPT TO:<u@ext.test>\r\n", "250 2.1.5 Ok\r\n");
}

static void alias_becomes_its_final_recipients(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_MAIL);
    rig_say(rig, "RCPT TO:<team@example.test>\r\n", "250 2.1.5 Ok\r\n");
    const struct transaction *transaction = rig->session->transaction;
    assert_int_equal(transaction->final_count, 2);
    assert_true(span_equal(transaction->finals[0].address, SPAN("alice@example.test")));
    assert_true(span_equal(transaction->finals[0].original, SPAN("team@example.test")));
    assert_true(span_equal(transaction->finals[1].address, SPAN("bob@example.test")));
    assert_true(span_equal(transaction->finals[1].nexthop, SPAN("bob@example.test")));
    assert_true(span_equal(transaction->finals[1].transport, SPAN("local")));
}

static void final_recipient_is_taken_once(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_MAIL);
    for (int i = 0; i < 3; i++)
        rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig_say(rig, "RCPT TO:<team@example.test>\r\n", "250 2.1.5 Ok\r\n");
    assert_int_equal(rig->session->transaction->final_count, 2);
    assert_int_equal(rig->session->transaction->finals[0].original.len, 0);
}

static void recipient_above_the_limit_comes_later(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.recipients = 3;
    rig_reach(rig, SESSION_MAIL);
    rig_say(rig,
            "RCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nRCPT TO:<c@example.test>\r\n",
            "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n");
    rig_say(rig, "RCPT TO:<d@example.test>\r\n", "452 4.5.3 Too many recipients\r\n");
    assert_int_equal(rig->session->transaction->final_count, 3);
    assert_int_equal(rig->session->state, SESSION_RCPT);
}

static void alias_that_does_not_fit_leaves_nothing_behind(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.recipients = 2;
    rig_reach(rig, SESSION_MAIL);
    rig_say(rig, "RCPT TO:<carol@example.test>\r\n", "250 2.1.5 Ok\r\n");
    rig_say(rig, "RCPT TO:<team@example.test>\r\n", "452 4.5.3 Too many recipients\r\n");
    assert_int_equal(rig->session->transaction->final_count, 1);
}

static void pipelined_recipients_are_asked_at_once(void **state)
{
    struct rig *rig = rig_of(state);
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_READY);
    rig_write(rig, SPAN(RIG_MAIL "RCPT TO:<a@example.test>\r\nRCPT TO:<\r\n"
                                 "RCPT TO:<b@example.test>\r\nDATA\r\n"));
    rig_expect(rig, "250 2.1.0 Ok\r\n");
    rig_expect_silence(rig);
    assert_int_equal(rig->asked_count, 2);

    /* The second is answered first, and has to wait for its turn; so has DATA. */
    rig_answer(rig, rig->asked[1].query, RESOLVE_UNKNOWN_USER, false, SPAN(""));
    rig_expect_silence(rig);
    rig_answer(rig, rig->asked[0].query, RESOLVE_OK, false, SPAN("a@example.test"));
    rig_expect(rig, "250 2.1.5 Ok\r\n501 5.1.3 Bad address syntax\r\n"
                    "550 5.1.1 No such user here\r\n" RIG_DATA_OK);
}

static void lookup_that_died_is_asked_again(void **state)
{
    struct rig *rig = rig_of(state);
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig, SPAN("RCPT TO:<team@example.test>\r\n"));
    rig_expect_silence(rig);
    /* Half of an answer, then death. */
    rig_answer(rig, rig->asked[0].query, RESOLVE_OK, true, SPAN("old@example.test"));
    rig_expect_silence(rig);
    channel_free(rig->lookup);
    rig->lookup = NULL;
    rig_expect_silence(rig);
    assert_null(rig->worker.lookup);

    rig->lookup_silent = false;
    rig_connect_lookup(rig);
    rig_expect(rig, "250 2.1.5 Ok\r\n");
    assert_int_equal(rig->session->transaction->final_count, 2);
    assert_true(
        span_equal(rig->session->transaction->finals[0].address, SPAN("alice@example.test")));
}

static void lookup_that_is_silent_means_451(void **state)
{
    struct rig *rig = rig_of(state);
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig, SPAN("RCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n"));
    rig_expect_silence(rig);
    rig_time_out(rig, WAIT_LOOKUP);
    rig_expect(rig, "451 4.3.0 Temporary lookup failure\r\n451 4.3.0 Temporary lookup failure\r\n");
    assert_null(rig->worker.queries);

    /* A late answer is nobody's. */
    rig_answer(rig, rig->asked[0].query, RESOLVE_OK, false, SPAN("a@example.test"));
    rig_expect_silence(rig);
    assert_int_equal(rig->session->state, SESSION_REFUSED);
}

static void client_that_leaves_takes_its_questions_along(void **state)
{
    struct rig *rig = rig_of(state);
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig, SPAN(RIG_RCPT));
    rig_expect_silence(rig);
    rig_time_out(rig, WAIT_LOOKUP); /* it reads again then, and finds the end */
    (void)close(rig->client);
    rig->client = -1;
    for (int i = 0; i < 5; i++)
        loop_turn(rig->loop, 0);
    assert_int_equal(rig->worker.session_count, 0);
    assert_null(rig->worker.queries);
}

static void full_queue_refuses_mail(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    page_set(rig->qmgr_page, PAGE_PRESSURE, PRESSURE_FULL);
    rig_say(rig, RIG_MAIL, "452 4.3.1 The queue is full, try again later\r\n");
    page_set(rig->qmgr_page, PAGE_PRESSURE, PRESSURE_NONE);
    rig_say(rig, RIG_MAIL, "250 2.1.0 Ok\r\n");
}

static void pressed_queue_delays_mail(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    page_set(rig->qmgr_page, PAGE_PRESSURE, PRESSURE_SLOW);
    rig_write(rig, SPAN(RIG_MAIL RIG_RCPT));
    rig_expect_silence(rig);
    rig_time_out(rig, WAIT_PAUSE);
    rig_expect(rig, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(mail_takes_what_people_write),
        RIG_TEST(mail_refuses_with_the_right_status),
        RIG_TEST(rcpt_answers_what_lookup_says),
        RIG_TEST(trusted_client_may_relay),
        RIG_TEST(alias_becomes_its_final_recipients),
        RIG_TEST(final_recipient_is_taken_once),
        RIG_TEST(recipient_above_the_limit_comes_later),
        RIG_TEST(alias_that_does_not_fit_leaves_nothing_behind),
        RIG_TEST(pipelined_recipients_are_asked_at_once),
        RIG_TEST(lookup_that_died_is_asked_again),
        RIG_TEST(lookup_that_is_silent_means_451),
        RIG_TEST(client_that_leaves_takes_its_questions_along),
        RIG_TEST(full_queue_refuses_mail),
        RIG_TEST(pressed_queue_delays_mail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
