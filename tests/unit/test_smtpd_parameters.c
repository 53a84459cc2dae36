/*
 * What extensions let a client say with MAIL and RCPT: what is taken, how it is stored with the
 * letter, and what is refused with which status.
 */
#include "smtpd_rig.h"

#include "smtpd/parameters.h"

#define HUNDRED                                                                                    \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                                           \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FIVE_HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED

static void parameters_of_mail_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t flags;
        uint8_t ret;
        const char *envid, *submitter;
    } rows[] = {
        {"", 0, 0, "", ""},
        {" BODY=7BIT", 0, 0, "", ""},
        {" body=8bitmime", RECORD_FLAG_8BIT, 0, "", ""},
        {" BODY=BINARYMIME", RECORD_FLAG_8BIT | RECORD_FLAG_BINARY, 0, "", ""},
        {" SMTPUTF8", RECORD_FLAG_UTF8, 0, "", ""},
        {" requiretls  smtputf8 ", RECORD_FLAG_UTF8 | RECORD_FLAG_REQUIRETLS, 0, "", ""},
        {" RET=FULL", 0, ENVELOPE_RET_FULL, "", ""},
        {" ret=hdrs ENVID=QQ314159", 0, ENVELOPE_RET_HDRS, "QQ314159", ""},
        {" ENVID=a+2Bb+20c", 0, 0, "a+2Bb+20c", ""},
        {" ENVID=" HUNDRED, 0, 0, HUNDRED, ""},
        {" AUTH=<>", 0, 0, "", ""},
        {" AUTH=e+3Dmc2@example.com", 0, 0, "", "e=mc2@example.com"},
        {" SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=a@b.test REQUIRETLS",
         RECORD_FLAG_8BIT | RECORD_FLAG_UTF8 | RECORD_FLAG_REQUIRETLS, ENVELOPE_RET_HDRS, "x",
         "a@b.test"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[ADDRESS_TEXT_MAX];
        struct mail_parameters parameters;
        assert_true(reply_is_pending(parameters_of_mail(span_cstr(rows[i].text), &parameters)));
        assert_int_equal(parameters.flags, rows[i].flags);
        assert_int_equal(parameters.ret, rows[i].ret);
        assert_true(span_equal(parameters.envid, span_cstr(rows[i].envid)));
        assert_true(
            span_equal(address_text(&parameters.submitter, text), span_cstr(rows[i].submitter)));
    }
}

static void parameters_of_mail_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned code;
        const char *text;
    } rows[] = {
        {555, " FOO"},
        {555, " NOTIFY=NEVER"},
        {555, " ORCPT=rfc822;a@b.test"},
        {555, " =x"},
        {501, " SMTPUTF8="},
        {501, " SMTPUTF8=yes"},
        {501, " SMTPUTF8 SMTPUTF8"},
        {501, " REQUIRETLS=1"},
        {501, " REQUIRETLS REQUIRETLS"},
        {501, " RET"},
        {501, " RET=BODY"},
        {501, " RET=FULL RET=FULL"},
        {501, " ENVID"},
        {501, " ENVID="},
        {501, " ENVID=a+0Ab"},
        {501, " ENVID=a+00b"},
        {501, " ENVID=a+0db"},
        {501, " ENVID=a+7F"},
        {501, " ENVID=a+FF"},
        {501, " ENVID=a+"},
        {501, " ENVID=a+2"},
        {501, " ENVID=a+2b"},
        {501, " ENVID=a=b"},
        {501, " ENVID=\x01"},
        {501, " ENVID=\xc3\xa9"},
        {501, " ENVID=a" HUNDRED},
        {501, " ENVID=a ENVID=b"},
        {501, " AUTH"},
        {501, " AUTH="},
        {501, " AUTH=a"},
        {501, " AUTH=a@b.test+0ARCPT"},
        {501, " AUTH=+3C+3E"},
        {501, " AUTH=<a@b.test>"},
        {501, " AUTH=<> AUTH=<>"},
        {501, " AUTH=" FIVE_HUNDRED "@b.test"},
        {501, " SIZE=1 SIZE=1"},
        {501, " BODY=7BIT BODY=8BITMIME"},
        {501, " BODY"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mail_parameters parameters;
        struct reply reply = parameters_of_mail(span_cstr(rows[i].text), &parameters);
        if (reply.code != rows[i].code)
            print_error("%s\n", rows[i].text);
        assert_int_equal(reply.code, rows[i].code);
        assert_string_equal(reply.enhanced, "5.5.4");
    }
}

static void parameters_of_rcpt_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t notify;
        const char *orcpt;
    } rows[] = {
        {"", 0, ""},
        {" NOTIFY=NEVER", ENVELOPE_NOTIFY_NEVER, ""},
        {" notify=success", ENVELOPE_NOTIFY_SUCCESS, ""},
        {" NOTIFY=DELAY,FAILURE,SUCCESS",
         ENVELOPE_NOTIFY_DELAY | ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_SUCCESS, ""},
        {" ORCPT=rfc822;a+2Bb@c.test", 0, "rfc822;a+2Bb@c.test"},
        {" ORCPT=utf-8;\xc3\xa9+2B@c.test", 0, "utf-8;\xc3\xa9+2B@c.test"},
        {" ORCPT=x400;/S=1", 0, NULL},
        {" ORCPT=x-num;5 NOTIFY=FAILURE", ENVELOPE_NOTIFY_FAILURE, "x-num;5"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rcpt_parameters parameters;
        struct reply reply = parameters_of_rcpt(span_cstr(rows[i].text), &parameters);
        assert_int_equal(reply.code, rows[i].orcpt == NULL ? 501 : 0);
        if (rows[i].orcpt == NULL)
            continue;
        assert_int_equal(parameters.notify, rows[i].notify);
        assert_true(span_equal(parameters.orcpt, span_cstr(rows[i].orcpt)));
    }
}

static void parameters_of_rcpt_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned code;
        const char *text;
    } rows[] = {
        {555, " FOO"},
        {555, " SIZE=5"},
        {501, " NOTIFY"},
        {501, " NOTIFY="},
        {501, " NOTIFY=,"},
        {501, " NOTIFY=SOMETIMES"},
        {501, " NOTIFY=NEVER,FAILURE"},
        {501, " NOTIFY=FAILURE,NEVER"},
        {501, " NOTIFY=FAILURE,"},
        {501, " NOTIFY=,FAILURE"},
        {501, " NOTIFY=FAILURE,FAILURE"},
        {501, " NOTIFY=NEVER NOTIFY=NEVER"},
        {501, " ORCPT"},
        {501, " ORCPT="},
        {501, " ORCPT=a@b.test"},
        {501, " ORCPT=;a@b.test"},
        {501, " ORCPT=rfc822;"},
        {501, " ORCPT=rfc 822;a"},
        {501, " ORCPT=rfc+0A822;a"},
        {501, " ORCPT=rfc822;a+0Ab"},
        {501, " ORCPT=rfc822;a+0D+0Ab"},
        {501, " ORCPT=rfc822;a\xc3\xa9"},
        {501, " ORCPT=utf-8;a\xc3"},
        {501, " ORCPT=utf-8;\xc3\xa9+0A"},
        {501, " ORCPT=utf-8;+0A\xc3\xa9"},
        {501, " ORCPT=rfc822;" FIVE_HUNDRED},
        {501, " ORCPT=rfc822;a ORCPT=rfc822;a"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rcpt_parameters parameters;
        struct reply reply = parameters_of_rcpt(span_cstr(rows[i].text), &parameters);
        if (reply.code != rows[i].code)
            print_error("%s\n", rows[i].text);
        assert_int_equal(reply.code, rows[i].code);
    }
}

/* Whoever connects from loopback is trusted. */
static void reach_ready(struct rig *rig, const char *client)
{
    rig_connect_from(rig, client);
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
}

static struct rig_letter send_letter(struct rig *rig, const char *mail, const char *rcpt)
{
    rig_say(rig, mail, "250 2.1.0 Ok\r\n");
    rig_say(rig, rcpt, "250 2.1.5 Ok\r\n");
    rig_say(rig, "DATA\r\n", RIG_DATA_OK);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    return rig_hear_letter(rig);
}

static void everything_said_is_in_the_envelope(void **state)
{
    struct rig *rig = rig_of(state);
    reach_ready(rig, "127.0.0.1");
    struct rig_letter letter = send_letter(
        rig, "MAIL FROM:<joe@sender.test> RET=HDRS ENVID=QQ+20x AUTH=joe+2Bx@sender.test\r\n",
        "RCPT TO:<team@example.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;crew@old.test\r\n");
    assert_int_equal(letter.envelope.ret, ENVELOPE_RET_HDRS);
    assert_true(span_equal(letter.envelope.envid, SPAN("QQ+20x")));
    assert_true(span_equal(letter.envelope.submitter, SPAN("joe+x@sender.test")));
    assert_int_equal(letter.envelope.recipient_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct envelope_recipient *recipient = &letter.envelope.recipients[i];
        assert_int_equal(recipient->notify, ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY);
        assert_true(span_equal(recipient->orcpt, SPAN("rfc822;crew@old.test")));
        assert_true(span_equal(recipient->original, SPAN("team@example.test")));
    }
    rig_free_letter(&letter);
}

/* RFC 4954 §5: "MUST behave as if the AUTH=<> parameter was supplied". */
static void stranger_is_not_believed_whose_message_it_is(void **state)
{
    struct rig *rig = rig_of(state);
    reach_ready(rig, "192.0.2.1");
    struct rig_letter letter =
        send_letter(rig, "MAIL FROM:<joe@sender.test> AUTH=joe@sender.test\r\n", RIG_RCPT);
    assert_int_equal(letter.envelope.submitter.len, 0);
    rig_free_letter(&letter);
}

static void address_beyond_ascii_needs_smtputf8(void **state)
{
    struct rig *rig = rig_of(state);
    static const char no_ascii[] = "553 5.6.7 Address is not ASCII, and SMTPUTF8 was not given\r\n";
    rig_reach(rig, SESSION_READY);
    rig_say(rig, "MAIL FROM:<j\xc3\xb8@sender.test>\r\n", no_ascii);
    rig_say(rig, "MAIL FROM:<joe@s\xc3\xb8.test> BODY=8BITMIME\r\n", no_ascii);
    rig_say(rig, "MAIL FROM:<j\xc0\xaf@sender.test> SMTPUTF8\r\n",
            "553 5.6.7 Address is not valid UTF-8\r\n");
    rig_say(rig, RIG_MAIL, "250 2.1.0 Ok\r\n");
    rig_say(rig, "RCPT TO:<\xc3\xa9@example.test>\r\n", no_ascii);
    rig_say(rig, "RCPT TO:<alice@example.test> ORCPT=utf-8;\xc3\xa9@example.test\r\n", no_ascii);
    rig_say(rig, "RCPT TO:<\xc3@example.test>\r\n", "553 5.6.7 Address is not valid UTF-8\r\n");
}

static void letter_of_smtputf8_says_so(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    struct rig_letter letter =
        send_letter(rig, "MAIL FROM:<j\xc3\xb8@S\xc3\xb8.test> SMTPUTF8\r\n",
                    "RCPT TO:<\xc3\xa9@example.test> ORCPT=utf-8;\xc3\xa9@example.test\r\n");
    assert_int_equal(letter.header.flags, RECORD_FLAG_UTF8);
    assert_true(span_equal(letter.envelope.sender, SPAN("j\xc3\xb8@xn--s-5ga.test")));
    assert_true(span_equal(letter.envelope.recipients[0].address, SPAN("\xc3\xa9@example.test")));
    assert_true(span_equal(letter.envelope.protocol, SPAN("UTF8SMTP")));
    assert_non_null(strstr(letter.body, " with UTF8SMTP id "));
    assert_non_null(strstr(letter.body, "for <\xc3\xa9@example.test>;"));
    rig_free_letter(&letter);
}

/* RFC 1870 §3, RFC 4954 §3, RFC 3461 §4.1, RFC 6531 §3.1: each extension makes the line longer. */
static void line_has_room_for_all_parameters(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.command_line = 1280; /* the least that the setting may be */
    rig_reach(rig, SESSION_READY);
    char path[300], line[1300];
    (void)snprintf(path, sizeof(path), "%.64s@%.50s.%.50s.%.50s.%.30s", HUNDRED, HUNDRED, HUNDRED,
                   HUNDRED, HUNDRED);
    char auth[600] = "";
    for (size_t at = 0, i = 0; path[i] != '\0'; i++)
        at += (size_t)snprintf(auth + at, sizeof(auth) - at, i < 120 ? "+%02X" : "%c", path[i]);
    (void)snprintf(line, sizeof(line),
                   "MAIL FROM:<%s> SIZE=52428800 BODY=BINARYMIME SMTPUTF8 RET=HDRS "
                   "ENVID=" HUNDRED " AUTH=%s\r\n",
                   path, auth);
    assert_true(strlen(line) > 900);
    rig_say(rig, line, "250 2.1.0 Ok\r\n");
    (void)snprintf(line, sizeof(line),
                   "RCPT TO:<alice@example.test> NOTIFY=SUCCESS,FAILURE,DELAY "
                   "ORCPT=rfc822;" HUNDRED HUNDRED HUNDRED HUNDRED "\r\n");
    rig_say(rig, line, "250 2.1.5 Ok\r\n");
}

static void requiretls_is_unknown_without_tls(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_say(rig, "MAIL FROM:<joe@sender.test> REQUIRETLS\r\n",
            "555 5.5.4 REQUIRETLS needs TLS\r\n");
}

static void requiretls_is_stored_with_the_letter(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    /* As if the handshake were behind it: how the octets travel is test_smtpd_secure.c's affair. */
    rig->session->channel = CHANNEL_SECURE;
    rig_write(rig, SPAN(RIG_HELLO));
    struct span hello = rig_hear(rig, 1);
    char text[1000];
    assert_true(span_to_cstr(hello, text, sizeof(text)));
    assert_non_null(strstr(text, "250 REQUIRETLS\r\n"));
    buf_reset(&rig->heard);
    rig_say(rig, "MAIL FROM:<joe@sender.test> REQUIRETLS\r\n", "250 2.1.0 Ok\r\n");
    assert_int_equal(rig->session->transaction->flags, RECORD_FLAG_REQUIRETLS);
    rig->session->channel = CHANNEL_CLEAR;
}

static void connection_has_its_last_message(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.messages_per_connection = 2;
    rig_reach(rig, SESSION_READY);
    rig_say(rig, RIG_MAIL "RSET\r\n" RIG_MAIL "RSET\r\n",
            "250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n");
    rig_say(rig, RIG_MAIL, "421 4.5.3 Too many messages of one connection\r\n");
    rig_expect_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_of_mail_are_read),
        cmocka_unit_test(parameters_of_mail_are_refused),
        cmocka_unit_test(parameters_of_rcpt_are_read),
        cmocka_unit_test(parameters_of_rcpt_are_refused),
        RIG_TEST(everything_said_is_in_the_envelope),
        RIG_TEST(stranger_is_not_believed_whose_message_it_is),
        RIG_TEST(address_beyond_ascii_needs_smtputf8),
        RIG_TEST(letter_of_smtputf8_says_so),
        RIG_TEST(line_has_room_for_all_parameters),
        RIG_TEST(requiretls_is_unknown_without_tls),
        RIG_TEST(requiretls_is_stored_with_the_letter),
        RIG_TEST(connection_has_its_last_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
