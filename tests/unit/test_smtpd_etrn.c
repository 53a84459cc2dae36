/*
 * ETRN (RFC 1985): unknown unless a setting says so, for those who may relay alone, and one
 * question at a time whatever becomes of qmgr.
 */
#include "smtpd_rig.h"

#include "smtpd/commands.h"
#include "smtpd/queue_run.h"

static struct rig *reach(void **state, const char *client, bool allowed)
{
    struct rig *rig = rig_of(state);
    rig->conf->etrn = allowed;
    rig->conf->limits.errors_close = rig->conf->limits.errors_slow = 1000;
    rig_connect_from(rig, client);
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    return rig;
}

/* qmgr's answer to the question of a moment ago. */
static void answer_run(struct rig *rig, enum queue_run_status status, uint32_t count)
{
    const struct queue_run_answer answer = {rig->run_query, (uint8_t)status, count};
    assert_true(channel_send(rig->qmgr, &ipc_queue_run_answer, &answer, NULL));
}

/* Says a line, and waits until qmgr was asked. */
static void ask_run(struct rig *rig, const char *line)
{
    size_t before = rig->runs_asked;
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    rig_write(rig, span_cstr(line));
    while (rig->runs_asked == before && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    assert_int_equal(rig->runs_asked, before + 1);
}

static void setting_decides_whether_it_is_known_at_all(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", false);
    rig_say(rig, "ETRN example.test\r\n", "502 5.5.1 Command not implemented\r\n");
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    rig_say(rig, "ETRN example.test\r\n", "502 5.5.1 Command not implemented\r\n");
    rig_say(rig, "ETRN\r\n", "502 5.5.1 Command not implemented\r\n");
}

static bool announces(struct rig *rig)
{
    bool found = false;
    struct span rest, line;
    rig_write(rig, SPAN(RIG_HELLO));
    rest = rig_hear(rig, 1); /* a reply leaves in one piece */
    while (span_next(&rest, '\n', &line))
        found |= span_has_suffix(line, SPAN("ETRN\r"));
    buf_reset(&rig->heard);
    return found;
}

static void setting_decides_whether_it_is_announced(void **state)
{
    struct rig *rig = reach(state, "192.0.2.1", false);
    assert_false(announces(rig));
    rig->conf->etrn = true;
    assert_true(announces(rig));
}

static void what_can_be_asked_for(void **state)
{
    static const struct {
        const char *line, *domain;
        bool subdomains;
    } rows[] = {
        {"ETRN example.org\r\n", "example.org", false},
        {"etrn  Mail.Example.ORG.\r\n", "mail.example.org", false},
        {"ETRN @example.org\r\n", "example.org", true},
        {"ETRN b\xc3\xbc"
         "cher.example\r\n",
         "xn--bcher-kva.example", false},
    };
    struct rig *rig = reach(state, "127.0.0.1", true);
    for (size_t i = 0; i < COUNT(rows); i++) {
        ask_run(rig, rows[i].line);
        assert_string_equal(rig->run_domain, rows[i].domain);
        assert_int_equal(rig->run_subdomains, rows[i].subdomains);
        answer_run(rig, QUEUE_RUN_NOTHING, 0);
        assert_int_equal(rig_hear_code(rig), 251);
    }
}

static void every_answer_of_qmgr_has_its_reply(void **state)
{
    static const struct {
        enum queue_run_status status;
        const char *reply;
    } rows[] = {
        {QUEUE_RUN_STARTED, "250 2.0.0 Ok, queuing for node example.org started\r\n"},
        {QUEUE_RUN_NOTHING, "251 2.0.0 Ok, no messages waiting for node example.org\r\n"},
        {QUEUE_RUN_PENDING, "252 2.0.0 Ok, pending messages for node example.org started\r\n"},
        {QUEUE_RUN_COUNTED, "253 2.0.0 Ok, 14 pending messages for node example.org started\r\n"},
        {QUEUE_RUN_REFUSED, "458 4.3.0 Unable to queue messages for node example.org\r\n"},
    };
    struct rig *rig = reach(state, "127.0.0.1", true);
    for (size_t i = 0; i < COUNT(rows); i++) {
        ask_run(rig, "ETRN example.org\r\n");
        answer_run(rig, rows[i].status, 14);
        rig_expect(rig, rows[i].reply);
    }
    ask_run(rig, "ETRN @example.org\r\n");
    answer_run(rig, QUEUE_RUN_STARTED, 0);
    rig_expect(rig, "250 2.0.0 Ok, queuing for node @example.org started\r\n");
}

static void what_is_no_node_is_refused_without_a_question(void **state)
{
    static const struct {
        const char *line;
        unsigned code;
    } rows[] = {
        {"ETRN\r\n", 500},          {"ETRN localname\r\n", 501},     {"ETRN @com\r\n", 501},
        {"ETRN @\r\n", 501},        {"ETRN a@example.org\r\n", 501}, {"ETRN a..org\r\n", 501},
        {"ETRN a.org b\r\n", 501},  {"ETRN [192.0.2.1]\r\n", 501},   {"ETRN -a.org\r\n", 501},
        {"ETRN \xff.org\r\n", 501}, {"ETRN #uucp\r\n", 458},         {"ETRN @@a.org\r\n", 501},
    };
    struct rig *rig = reach(state, "127.0.0.1", true);
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(rig_ask(rig, rows[i].line), rows[i].code);
    char line[600] = "ETRN ";
    memset(line + 5, 'a', 300);
    memcpy(line + 305, ".org\r\n", 7);
    assert_int_equal(rig_ask(rig, line), 501);
    assert_int_equal(rig->runs_asked, 0);
}

static void strangers_are_refused_and_the_log_says_by_which_setting(void **state)
{
    struct rig *rig = reach(state, "192.0.2.1", true);
    rig_say(rig, "ETRN Example.org\r\n",
            "459 4.7.1 Node example.org not allowed: log in, or come from a trusted network\r\n");
    size_t left = rig->session->arena.left;
    assert_int_equal(rig_ask(rig, "ETRN @example.org\r\n"), 459);
    assert_int_equal(rig->session->arena.left, left); /* asking costs a session no memory */
    assert_int_equal(rig->runs_asked, 0);
}

static void who_is_logged_in_may_ask(void **state)
{
    struct rig *rig = reach(state, "192.0.2.1", true);
    rig->session->user = SPAN("alice@example.test");
    ask_run(rig, "ETRN example.org\r\n");
    answer_run(rig, QUEUE_RUN_NOTHING, 0);
    assert_int_equal(rig_hear_code(rig), 251);
}

/* RFC 1985 §5: not between MAIL and the end of the message. */
static void no_transaction_may_be_open(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    rig_say(rig, "ETRN example.org\r\n", "503 5.5.1 A transaction is open already\r\n");
    assert_int_equal(rig_ask(rig, RIG_RCPT), 250);
    assert_int_equal(rig_ask(rig, "ETRN example.org\r\n"), 503);
    assert_int_equal(rig_ask(rig, "RSET\r\n"), 250);
    ask_run(rig, "ETRN example.org\r\n");
    answer_run(rig, QUEUE_RUN_NOTHING, 0);
    assert_int_equal(rig_hear_code(rig), 251);
}

static void commands_behind_it_wait_for_its_answer(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    ask_run(rig, "ETRN example.org\r\nNOOP\r\n");
    rig_expect_silence(rig);
    answer_run(rig, QUEUE_RUN_NOTHING, 0);
    rig_expect(rig, "251 2.0.0 Ok, no messages waiting for node example.org\r\n250 2.0.0 Ok\r\n");
}

static void answer_to_nobody_is_ignored(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig->run_query = 77;
    answer_run(rig, QUEUE_RUN_NOTHING, 0);
    rig_expect_silence(rig);
    ask_run(rig, "ETRN example.org\r\n");
    answer_run(rig, QUEUE_RUN_NOTHING, 0);
    answer_run(rig, QUEUE_RUN_NOTHING, 0);
    rig_expect(rig, "251 2.0.0 Ok, no messages waiting for node example.org\r\n");
    rig_expect_silence(rig);
}

static void qmgr_that_is_gone_or_goes_means_458(void **state)
{
    static const char refusal[] = "458 4.3.0 Unable to queue messages for node example.org\r\n";
    struct rig *rig = reach(state, "127.0.0.1", true);
    ask_run(rig, "ETRN example.org\r\n");
    channel_free(rig->qmgr);
    rig->qmgr = NULL;
    rig_expect(rig, refusal);
    rig_say(rig, "ETRN example.org\r\n", refusal);
    rig_connect_qmgr(rig);
    ask_run(rig, "ETRN example.org\r\n");
    answer_run(rig, QUEUE_RUN_NOTHING, 0);
    assert_int_equal(rig_hear_code(rig), 251);
}

static void question_does_not_outlive_its_qmgr(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    ask_run(rig, "ETRN example.org\r\n");
    rig_connect_qmgr(rig);
    rig_expect(rig, "458 4.3.0 Unable to queue messages for node example.org\r\n");
}

static void qmgr_that_takes_too_long_means_458(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    ask_run(rig, "ETRN example.org\r\n");
    rig_time_out(rig, WAIT_LOOKUP);
    rig_expect(rig, "458 4.3.0 Unable to queue messages for node example.org\r\n");
    answer_run(rig, QUEUE_RUN_STARTED, 0);
    rig_expect_silence(rig);
    assert_null(rig->worker.queue_runs);
}

static void client_that_leaves_takes_its_question_along(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    ask_run(rig, "ETRN example.org\r\n");
    session_drop(rig->session);
    assert_null(rig->worker.queue_runs);
    answer_run(rig, QUEUE_RUN_STARTED, 0);
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    assert_int_equal(rig->worker.session_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(setting_decides_whether_it_is_known_at_all),
        RIG_TEST(setting_decides_whether_it_is_announced),
        RIG_TEST(what_can_be_asked_for),
        RIG_TEST(every_answer_of_qmgr_has_its_reply),
        RIG_TEST(what_is_no_node_is_refused_without_a_question),
        RIG_TEST(strangers_are_refused_and_the_log_says_by_which_setting),
        RIG_TEST(who_is_logged_in_may_ask),
        RIG_TEST(no_transaction_may_be_open),
        RIG_TEST(commands_behind_it_wait_for_its_answer),
        RIG_TEST(answer_to_nobody_is_ignored),
        RIG_TEST(qmgr_that_is_gone_or_goes_means_458),
        RIG_TEST(question_does_not_outlive_its_qmgr),
        RIG_TEST(qmgr_that_takes_too_long_means_458),
        RIG_TEST(client_that_leaves_takes_its_question_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
