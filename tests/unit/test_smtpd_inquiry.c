/*
 * VRFY and EXPN: nothing for strangers, the truth for those who may know, and one question at a
 * time whatever becomes of lookup.
 */
#include "smtpd_rig.h"

#include "smtpd/commands.h"
#include "smtpd/inquiry.h"

static struct rig *reach(void **state, const char *client, bool allowed)
{
    struct rig *rig = rig_of(state);
    rig->conf->vrfy = rig->conf->expn = allowed;
    rig_connect_from(rig, client);
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    return rig;
}

static void strangers_learn_nothing(void **state)
{
    static const char *const clients[] = {"192.0.2.1", "127.0.0.1"};
    for (size_t i = 0; i < COUNT(clients); i++) {
        struct rig *rig = reach(state, clients[i], i == 0);
        rig_say(rig, "VRFY alice\r\n", "252 2.1.5 Send mail, and it will be tried\r\n");
        rig_say(rig, "VRFY nobody@example.test\r\n",
                "252 2.1.5 Send mail, and it will be tried\r\n");
        rig_say(rig, "EXPN team\r\n", "502 5.5.1 Lists are not shown here\r\n");
        rig_say(rig, "EXPN nobody\r\n", "502 5.5.1 Lists are not shown here\r\n");
    }
}

static void trusted_clients_are_told(void **state)
{
    static const struct {
        const char *line, *reply;
    } rows[] = {
        {"VRFY alice\r\n", "250 2.1.5 <alice@example.test>\r\n"},
        {"VRFY <Alice@Example.test>\r\n", "250 2.1.5 <Alice@example.test>\r\n"},
        {"vrfy alice@example.test SMTPUTF8\r\n", "250 2.1.5 <alice@example.test>\r\n"},
        {"VRFY team@example.test\r\n", "250 2.1.5 <team@example.test>\r\n"},
        {"VRFY nobody@example.test\r\n", "550 5.1.1 No such user here\r\n"},
        {"VRFY loop@example.test\r\n", "550 5.4.6 Alias loop\r\n"},
        {"VRFY broken@example.test\r\n", "451 4.3.0 Temporary lookup failure\r\n"},
        {"VRFY joe@elsewhere.test\r\n",
         "551 5.7.1 User not local; ask the host of that domain\r\n"},
        {"VRFY\r\n", "501 5.5.4 Syntax: VRFY string\r\n"},
        {"VRFY Joe Smith\r\n", "501 5.5.4 One address, and no more\r\n"},
        {"VRFY <>\r\n", "501 5.1.3 Bad address syntax\r\n"},
        {"VRFY a@\r\n", "501 5.1.3 Bad address syntax\r\n"},
        {"VRFY \xc3\xa9@example.test\r\n",
         "553 5.6.7 Address is not ASCII, and SMTPUTF8 was not given\r\n"},
        {"VRFY \xc3\xa9@example.test SMTPUTF8\r\n", "250 2.1.5 <\xc3\xa9@example.test>\r\n"},
        {"EXPN team\r\n", "250-2.1.5 <alice@example.test>\r\n250 2.1.5 <bob@example.test>\r\n"},
        {"EXPN alice\r\n", "550 5.2.4 That is a user name, not a mailing list\r\n"},
        {"EXPN nobody\r\n", "550 5.1.1 No such user here\r\n"},
        {"EXPN\r\n", "501 5.5.4 Syntax: EXPN string\r\n"},
    };
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig->conf->limits.errors_close = rig->conf->limits.errors_slow = 1000;
    rig->conf->limits.junk_commands = 1000;
    for (size_t i = 0; i < COUNT(rows); i++)
        rig_say(rig, rows[i].line, rows[i].reply);
    assert_null(rig->worker.inquiries);
}

/* What lookup says of one address, by hand. */
static void answer_with(struct rig *rig, const char *address, const char *transport)
{
    const struct resolved answer = {.query = rig->asked[rig->asked_count - 1].query,
                                    .status = RESOLVE_OK,
                                    .address = span_cstr(address),
                                    .transport = span_cstr(transport)};
    assert_true(channel_send(rig->lookup, &ipc_resolved, &answer, NULL));
}

static void verification_says_where_mail_goes(void **state)
{
    static const struct {
        const char *line, *address, *transport, *reply;
    } rows[] = {
        {"VRFY sales\r\n", "alice@example.test", "local", "250 2.1.5 <sales@example.test>\r\n"},
        {"VRFY sales\r\n", "joe@other.test", "smtp",
         "251 2.1.5 User not local; will forward to <joe@other.test>\r\n"},
        {"VRFY joe@relayed.test\r\n", "joe@relayed.test", "smtp",
         "252 2.1.5 Send mail, and it will be tried\r\n"},
        {"VRFY sales\r\n", "\xc3\xa9@other.test", "smtp",
         "252 2.6.8 The answer is not ASCII: ask with SMTPUTF8\r\n"},
        {"EXPN sales\r\n", "\xc3\xa9@other.test", "smtp",
         "550 5.6.8 The answer is not ASCII: ask with SMTPUTF8\r\n"},
        {"EXPN sales SMTPUTF8\r\n", "\xc3\xa9@other.test", "smtp",
         "250 2.1.5 <\xc3\xa9@other.test>\r\n"},
    };
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig->lookup_silent = true;
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_write(rig, span_cstr(rows[i].line));
        rig_expect_silence(rig);
        answer_with(rig, rows[i].address, rows[i].transport);
        rig_expect(rig, rows[i].reply);
    }
}

static void name_that_several_domains_have_is_ambiguous(void **state)
{
    static const struct span domains[] = {SPAN_INIT("example.test"), SPAN_INIT("other.test")};
    struct rig *rig = reach(state, "127.0.0.1", true);
    struct conf_spans before = rig->conf->domains;
    rig->conf->domains = (struct conf_spans){(struct span *)(uintptr_t)domains, COUNT(domains)};
    rig_say(rig, "VRFY joe\r\n",
            "553-5.1.4 User ambiguous; it may be\r\n553-5.1.4 <joe@example.test>\r\n"
            "553 5.1.4 <joe@other.test>\r\n");
    rig_say(rig, "VRFY joe@example.test\r\n", "250 2.1.5 <joe@example.test>\r\n");
    size_t left = rig->session->arena.left;
    assert_int_equal(rig_ask(rig, "VRFY joe\r\n"), 553);
    assert_int_equal(rig->session->arena.left, left); /* asking costs a session no memory */
    rig->conf->domains = before;
}

static void list_that_is_too_long_is_not_shown(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig->conf->limits.alias_expansion = 1;
    rig_say(rig, "EXPN team\r\n", "550 5.2.4 Alias has too many recipients\r\n");
    rig_say(rig, "EXPN nobody\r\n", "550 5.1.1 No such user here\r\n");
}

static void commands_behind_wait_for_the_answer(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig->lookup_silent = true;
    rig_write(rig, SPAN("VRFY alice\r\nNOOP\r\n"));
    rig_expect_silence(rig);
    rig_answer(rig, rig->asked[0].query, RESOLVE_UNKNOWN_USER, false, SPAN(""));
    rig_expect(rig, "550 5.1.1 No such user here\r\n250 2.0.0 Ok\r\n");
}

static void question_outlives_the_lookup_that_was_asked(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig->lookup_silent = true;
    rig_write(rig, SPAN("EXPN team\r\n"));
    rig_expect_silence(rig);
    /* Half of an answer, then death. */
    rig_answer(rig, rig->asked[0].query, RESOLVE_OK, true, SPAN("old@example.test"));
    rig_expect_silence(rig);
    channel_free(rig->lookup);
    rig->lookup = NULL;
    rig_expect_silence(rig);
    rig->lookup_silent = false;
    rig_connect_lookup(rig);
    rig_expect(rig, "250-2.1.5 <alice@example.test>\r\n250 2.1.5 <bob@example.test>\r\n");
}

static void silence_of_lookup_means_451(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig->lookup_silent = true;
    rig_write(rig, SPAN("VRFY alice\r\n"));
    rig_expect_silence(rig);
    rig_time_out(rig, WAIT_LOOKUP);
    rig_expect(rig, "451 4.3.0 Temporary lookup failure\r\n");
    /* A late answer is nobody's. */
    rig_answer(rig, rig->asked[0].query, RESOLVE_OK, false, SPAN("alice@example.test"));
    rig_expect_silence(rig);
    rig_say(rig, "NOOP\r\n", "250 2.0.0 Ok\r\n");
}

static void client_that_leaves_takes_its_question_along(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig->lookup_silent = true;
    rig_write(rig, SPAN("VRFY alice\r\n"));
    rig_expect_silence(rig);
    session_drop(rig->session);
    assert_null(rig->worker.inquiries);
}

static void transaction_is_left_as_it_is(void **state)
{
    struct rig *rig = reach(state, "127.0.0.1", true);
    rig_say(rig, RIG_MAIL, "250 2.1.0 Ok\r\n");
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig_say(rig, "VRFY nobody\r\n", "550 5.1.1 No such user here\r\n");
    assert_int_equal(rig->session->state, SESSION_RCPT);
    rig_say(rig, "BDAT 1\r\nx", "250 2.0.0 Chunk received\r\n");
    rig_say(rig, "VRFY alice\r\n", "250 2.1.5 <alice@example.test>\r\n");
    assert_int_equal(rig->session->state, SESSION_CHUNKS);
}

static void expansion_is_announced_to_who_may_ask(void **state)
{
    static const struct {
        const char *client;
        bool allowed, announced;
    } rows[] = {{"127.0.0.1", true, true}, {"127.0.0.1", false, false}, {"192.0.2.1", true, false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[1000];
        struct rig *rig = reach(state, rows[i].client, rows[i].allowed);
        rig_write(rig, SPAN(RIG_HELLO));
        assert_true(span_to_cstr(rig_hear(rig, 1), text, sizeof(text)));
        assert_int_equal(strstr(text, "EXPN\r\n") != NULL, rows[i].announced);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(strangers_learn_nothing),
        RIG_TEST(trusted_clients_are_told),
        RIG_TEST(verification_says_where_mail_goes),
        RIG_TEST(name_that_several_domains_have_is_ambiguous),
        RIG_TEST(list_that_is_too_long_is_not_shown),
        RIG_TEST(commands_behind_wait_for_the_answer),
        RIG_TEST(question_outlives_the_lookup_that_was_asked),
        RIG_TEST(silence_of_lookup_means_451),
        RIG_TEST(client_that_leaves_takes_its_question_along),
        RIG_TEST(transaction_is_left_as_it_is),
        RIG_TEST(expansion_is_announced_to_who_may_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
