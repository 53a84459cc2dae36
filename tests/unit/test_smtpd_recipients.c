/*
 * How many recipients a transaction may have, and what a client costs that goes on behind the last
 * one: 452 for each as RFC 5321 §4.5.3.1.10 wants it, no memory, two lines of the log, and an end.
 */
#include "smtpd_rig.h"

#ifdef VEREDUS_SANITIZED
/* As <sanitizer/allocator_interface.h> of clang has it; gcc brings no such header. */
size_t __sanitizer_get_current_allocated_bytes(void);
#else
#include <malloc.h>
#endif

enum { PUT_OFF_MOST = 1000 };

#define TOO_MANY "452 4.5.3 Too many recipients\r\n"

/* In a transaction that has as many recipients as it may. */
static void fill(struct rig *rig)
{
    rig->conf->limits.recipients = 2;
    rig_reach(rig, SESSION_MAIL);
    rig_say(rig, "RCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n",
            "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n");
}

/* Octets that malloc has given out. */
static size_t allocated(void)
{
#ifdef VEREDUS_SANITIZED
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

/* `count` recipients more, each of which gets this code. */
static void ask_many(struct rig *rig, unsigned count, const char *line, unsigned code)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(rig_ask(rig, line), code);
}

static void recipients_behind_the_limit_cost_no_memory(void **state)
{
    struct rig *rig = rig_of(state);
    fill(rig);
    ask_many(rig, 1, RIG_RCPT, 452); /* whatever is made once */
    size_t before = allocated();
    ask_many(rig, PUT_OFF_MOST - 1, RIG_RCPT, 452);
    assert_int_equal(allocated(), before);
    assert_int_equal(rig->session->errors, 0);
}

static void accepted_recipients_are_kept_whatever_is_put_off(void **state)
{
    struct rig *rig = rig_of(state);
    fill(rig);
    ask_many(rig, PUT_OFF_MOST, RIG_RCPT, 452);
    rig_say(rig, "DATA\r\n", RIG_DATA_OK);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(letter.envelope.recipient_count, 2);
    rig_free_letter(&letter);
}

static void recipients_put_off_without_end_end_the_session(void **state)
{
    static const struct {
        const char *line;
        unsigned code;
    } rows[] = {{RIG_RCPT, 452}, {"RCPT TO:<broken@example.test>\r\n", 451}};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, SESSION_MAIL);
        if (rows[i].code == 452)
            fill(rig);
        ask_many(rig, PUT_OFF_MOST, rows[i].line, rows[i].code);
        assert_int_equal(rig_ask(rig, rows[i].line), 421);
        rig_expect_end(rig);
    }
}

static void no_more_are_asked_about_than_may_be_accepted(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.recipients = 2;
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig, SPAN("RCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n"
                        "RCPT TO:<c@example.test>\r\nRCPT TO:<d@example.test>\r\n"));
    rig_expect_silence(rig);
    assert_int_equal(rig->asked_count, 2);
    /* One of the two is refused: there is room for the third. */
    rig_answer(rig, rig->asked[0].query, RESOLVE_UNKNOWN_USER, false, SPAN(""));
    rig_answer(rig, rig->asked[1].query, RESOLVE_OK, false, SPAN("b@example.test"));
    rig_expect(rig, "550 5.1.1 No such user here\r\n250 2.1.5 Ok\r\n");
    rig_expect_silence(rig);
    assert_int_equal(rig->asked_count, 3);
    rig_answer(rig, rig->asked[2].query, RESOLVE_OK, false, SPAN("c@example.test"));
    rig_expect(rig, "250 2.1.5 Ok\r\n" TOO_MANY);
    assert_int_equal(rig->asked_count, 3);
}

/* To name a list costs thirty octets, to expand it a thousand lookups. */
static void an_address_that_is_named_again_is_asked_about_once(void **state)
{
    struct rig *rig = rig_of(state);
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig, SPAN("RCPT TO:<list@example.test>\r\nRCPT TO:<LIST@Example.test>\r\n"
                        "RCPT TO:<\"list\"@example.test>\r\n"));
    rig_expect_silence(rig);
    assert_int_equal(rig->asked_count, 1);
    rig_answer(rig, rig->asked[0].query, RESOLVE_OK, true, SPAN("a@example.test"));
    rig_answer(rig, rig->asked[0].query, RESOLVE_OK, false, SPAN("b@example.test"));
    rig_expect(rig, "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n");
    rig_say(rig, "RCPT TO:<list@example.test>\r\n", "250 2.1.5 Ok\r\n");
    assert_int_equal(rig->asked_count, 1);
    rig_say(rig, "DATA\r\n", RIG_DATA_OK);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(letter.envelope.recipient_count, 2);
    rig_free_letter(&letter);
}

/* RFC 5321 §2.4: of a local part elsewhere nobody here knows whether its case matters. */
static void two_spellings_of_an_address_elsewhere_are_two_questions(void **state)
{
    struct rig *rig = rig_of(state);
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig,
              SPAN("RCPT TO:<a@far.test>\r\nRCPT TO:<A@far.test>\r\nRCPT TO:<a@FAR.test>\r\n"));
    rig_expect_silence(rig);
    assert_int_equal(rig->asked_count, 2);
}

static void an_address_that_was_refused_is_asked_about_again(void **state)
{
    struct rig *rig = rig_of(state);
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig, SPAN("RCPT TO:<a@example.test>\r\nRCPT TO:<a@example.test>\r\n"));
    rig_expect_silence(rig);
    rig_answer(rig, rig->asked[0].query, RESOLVE_TEMPORARY, false, SPAN(""));
    rig_expect(rig, "451 4.3.0 Temporary lookup failure\r\n451 4.3.0 Temporary lookup failure\r\n");
    assert_int_equal(rig->asked_count, 1);
    rig_write(rig, SPAN("RCPT TO:<a@example.test>\r\n"));
    rig_expect_silence(rig);
    assert_int_equal(rig->asked_count, 2);
    rig_answer(rig, rig->asked[1].query, RESOLVE_OK, false, SPAN("a@example.test"));
    rig_expect(rig, "250 2.1.5 Ok\r\n");
}

/* Lookup answers the last question with so many finals that an envelope holds them by number, and
 * does not by their size. */
static void answer_with_long_finals(struct rig *rig)
{
    enum { FINALS = 1100 };
    static char nexthop[3900];
    memset(nexthop, 'x', sizeof(nexthop));
    for (unsigned i = 1; i <= FINALS; i++) {
        (void)snprintf(nexthop, 12, "%010u/", i);
        const struct resolved part = {
            .query = rig->asked[rig->asked_count - 1].query,
            .status = RESOLVE_OK,
            .more = i < FINALS,
            .address = SPAN("long@example.test"),
            .transport = SPAN("local"),
            .nexthop = span_of(nexthop, sizeof(nexthop)),
        };
        /* Lookup can not say more at once than the channel holds. */
        while (!channel_send(rig->lookup, &ipc_resolved, &part, NULL))
            loop_turn(rig->loop, 0);
        if (i % 16 == 0)
            loop_turn(rig->loop, 0);
    }
}

static void recipients_that_an_envelope_can_not_hold_come_later(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.recipients = 10000;
    rig_reach(rig, SESSION_RCPT);
    rig->lookup_silent = true;
    rig_write(rig, SPAN("RCPT TO:<long@example.test>\r\n"));
    rig_expect_silence(rig);
    answer_with_long_finals(rig);
    rig_expect(rig, TOO_MANY);
    rig_say(rig, "DATA\r\n", RIG_DATA_OK);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(letter.envelope.recipient_count, 1);
    rig_free_letter(&letter);
}

static void alias_that_no_transaction_can_hold_is_refused_for_good(void **state)
{
    static const char refused[] = "550 5.2.4 Alias has too many recipients\r\n";
    struct rig *rig = rig_of(state);
    rig->conf->limits.recipients = 1; /* a team has two */
    rig_reach(rig, SESSION_MAIL);
    rig_say(rig, "RCPT TO:<team@example.test>\r\n", refused);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");

    rig->conf->limits.recipients = 10000;
    rig_reach(rig, SESSION_MAIL);
    rig->lookup_silent = true;
    rig_write(rig, SPAN("RCPT TO:<long@example.test>\r\n"));
    rig_expect_silence(rig);
    answer_with_long_finals(rig);
    rig_expect(rig, refused);
}

/* RFC 5321 §2.4 */
static void case_tells_mailboxes_of_other_hosts_apart(void **state)
{
    static const struct span addresses[] = {SPAN_INIT("Bob@far.test"), SPAN_INIT("bob@far.test")};
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_MAIL);
    rig->lookup_silent = true;
    rig_write(rig, SPAN("RCPT TO:<Bob@far.test>\r\nRCPT TO:<bob@far.test>\r\n"));
    rig_expect_silence(rig);
    assert_int_equal(rig->asked_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct resolved answer = {.query = rig->asked[i].query,
                                        .status = RESOLVE_OK,
                                        .address = addresses[i],
                                        .transport = SPAN("smtp"),
                                        .nexthop = SPAN("far.test")};
        assert_true(channel_send(rig->lookup, &ipc_resolved, &answer, NULL));
    }
    rig_expect(rig, "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n");
    rig_say(rig, "DATA\r\n", RIG_DATA_OK);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(letter.envelope.recipient_count, 2);
    rig_free_letter(&letter);
}

static void envelope_that_can_not_be_stored_is_put_off(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_RCPT);
    rig->session->transaction->finals[0].nexthop = SPAN("two\nlines");
    rig_say(rig, "DATA\r\n", "452 4.3.0 The envelope can not be stored, try again later\r\n");
    assert_int_equal(rig->session->state, SESSION_RCPT);
}

static void refusal_above_the_limit_keeps_its_turn(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.recipients = 1;
    rig_reach(rig, SESSION_MAIL);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig->conf->limits.recipients = 2;
    rig->lookup_silent = true;
    rig_write(rig, SPAN("RCPT TO:<b@example.test>\r\nRCPT TO:<>\r\n"));
    rig_expect_silence(rig);
    rig_answer(rig, rig->asked[0].query, RESOLVE_OK, false, SPAN("b@example.test"));
    rig_expect(rig, "250 2.1.5 Ok\r\n501 5.1.3 The null path is no recipient\r\n");
    rig_say(rig, "RCPT TO:<c@example.test>\r\n", TOO_MANY);
}

static void every_transaction_counts_anew(void **state)
{
    struct rig *rig = rig_of(state);
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            fill(rig);
        else
            rig_say(rig, RIG_MAIL RIG_RCPT "RCPT TO:<b@example.test>\r\n",
                    "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n");
        ask_many(rig, PUT_OFF_MOST, RIG_RCPT, 452);
        rig_say(rig, "RSET\r\n", "250 2.0.0 Ok\r\n");
    }
}

/* What is logged while `act` runs, as one text; it stays until the next call. */
static const char *logged(struct rig *rig, void (*act)(struct rig *rig))
{
    static char text[65536];
    int saved = dup(STDERR_FILENO), capture = memfd_create("log", MFD_CLOEXEC);
    assert_true(saved >= 0 && capture >= 0);
    assert_true(dup2(capture, STDERR_FILENO) >= 0);
    log_setup("test", LOG_LOGFMT, LOG_INFO);
    act(rig);
    log_setup("test", LOG_LOGFMT, LOG_ERROR);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t got = pread(capture, text, sizeof(text) - 1, 0);
    assert_true(got >= 0);
    text[got] = '\0';
    (void)close(saved);
    (void)close(capture);
    return text;
}

static unsigned occurrences(const char *text, const char *word)
{
    unsigned count = 0;
    while ((text = strstr(text, word)) != NULL)
        count++, text++;
    return count;
}

static void ask_fifty_and_end(struct rig *rig)
{
    ask_many(rig, 50, RIG_RCPT, 452);
    rig_say(rig, "RSET\r\n", "250 2.0.0 Ok\r\n");
}

static void log_has_the_first_that_is_put_off_and_their_number(void **state)
{
    struct rig *rig = rig_of(state);
    fill(rig);
    const char *text = logged(rig, ask_fifty_and_end);
    assert_int_equal(occurrences(text, "event=refused"), 1);
    assert_int_equal(occurrences(text, "\n"), 2);
    assert_non_null(strstr(text, "event=recipients-put-off"));
    assert_non_null(strstr(text, "count=50 accepted=2"));
    assert_int_equal(page_get(rig->page, PAGE_REFUSED), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(recipients_behind_the_limit_cost_no_memory),
        RIG_TEST(accepted_recipients_are_kept_whatever_is_put_off),
        RIG_TEST(recipients_put_off_without_end_end_the_session),
        RIG_TEST(no_more_are_asked_about_than_may_be_accepted),
        RIG_TEST(an_address_that_is_named_again_is_asked_about_once),
        RIG_TEST(two_spellings_of_an_address_elsewhere_are_two_questions),
        RIG_TEST(an_address_that_was_refused_is_asked_about_again),
        RIG_TEST(recipients_that_an_envelope_can_not_hold_come_later),
        RIG_TEST(alias_that_no_transaction_can_hold_is_refused_for_good),
        RIG_TEST(case_tells_mailboxes_of_other_hosts_apart),
        RIG_TEST(envelope_that_can_not_be_stored_is_put_off),
        RIG_TEST(refusal_above_the_limit_keeps_its_turn),
        RIG_TEST(every_transaction_counts_anew),
        RIG_TEST(log_has_the_first_that_is_put_off_and_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
