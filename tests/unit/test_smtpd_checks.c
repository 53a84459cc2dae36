/*
 * Who may send what, as a client sees it: a whole worker that asks a DNS server and the tables of
 * the rig. A stranger is judged at RCPT, a sender at MAIL; trouble with the DNS refuses nobody for
 * good.
 */
#include "smtpd_rig.h"

#include "smtpd/client_checks.h"
#include "tests/unit/dns_rig.h"

#define CONF                                                                                       \
    RIG_CONF                                                                                       \
    "dns_list \"black.test\" { weight = 2 }\n"                                                     \
    "dns_list \"white.test\" { weight = -1 }\n"

static const struct rig_row rows[] = {
    ROW("1.2.0.192.in-addr.arpa", DNS_PTR, "client.test"),
    ROW("client.test", DNS_A, "192.0.2.1"),
    ROW("2.2.0.192.in-addr.arpa", DNS_PTR, "client.test"),
    ROW("3.2.0.192.in-addr.arpa", DNS_PTR, "reject.client.test"),
    ROW("reject.client.test", DNS_A, "192.0.2.3"),
    ROW("4.2.0.192.in-addr.arpa", DNS_PTR, "ok.client.test"),
    ROW("ok.client.test", DNS_A, "192.0.2.4"),
    ROW("4.2.0.192.black.test", DNS_A, "127.0.0.2"),
    ROW("5.2.0.192.black.test", DNS_A, "127.0.0.2"),
    ROW("5.2.0.192.black.test", DNS_TXT, "Sent us\r\nspam"),
    ROW("6.2.0.192.black.test", DNS_A, "127.0.0.3"),
    ROW("6.2.0.192.white.test", DNS_A, "127.0.0.2"),
    ROW("7.2.0.192.black.test", DNS_A, "127.255.255.254"),
    ROW("8.2.0.192.black.test", DNS_A, "192.0.2.99"),
    FAULT("9.2.0.192.in-addr.arpa", RIG_SERVFAIL),
    FAULT("9.2.0.192.black.test", RIG_SERVFAIL),
    FAULT("10.2.0.192.in-addr.arpa", RIG_SILENT),
    ROW("sender.test", DNS_MX, "10 mx.sender.test"),
    ROW("reject.sender.test", DNS_MX, "10 mx.sender.test"),
    {.name = "null.test", .type = DNS_MX, RAW("\0\0\0")},
    FAULT("servfail.test", RIG_SERVFAIL),
    FAULT("silent.test", RIG_SILENT),
    END_OF_ROWS,
};

/* Both in one loop. */
struct fixture {
    struct dns_rig dns;
    struct rig *rig;
};

static int set_up_with(void **state, const char *conf)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    dns_rig_init(&fixture->dns, rows);
    fixture->rig = rig_begin(fixture->dns.loop, conf);
    fixture->rig->worker.dns = fixture->dns.dns;
    fixture->dns.dns = NULL;
    *state = fixture;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, CONF);
}

static int set_up_lax(void **state)
{
    return set_up_with(state, RIG_CONF "sender_domain_required = false\n");
}

static int set_up_distrustful(void **state)
{
    return set_up_with(state, RIG_CONF "trusted_networks = {}\n");
}

static int set_up_grey(void **state)
{
    return set_up_with(state, CONF "greylist = true\n");
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    rig_end(fixture->rig);
    dns_rig_stop(&fixture->dns);
    mem_free(fixture);
    return 0;
}

static struct rig *rig_in(void **state)
{
    return ((struct fixture *)*state)->rig;
}

/* Connects, and says HELO as far as MAIL. */
static void reach_mail(struct rig *rig, const char *client, const char *mail)
{
    rig_connect_from(rig, client);
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    rig_say(rig, mail, "250 2.1.0 Ok\r\n");
}

static void log_in(struct rig *rig)
{
    rig->session->user = SPAN("alice@example.test");
}

/* ---- the client ---- */

static void a_client_is_called_what_the_dns_confirms(void **state)
{
    static const struct {
        const char *client, *name;
    } expected[] = {
        {"192.0.2.1", "client.test"}, {"192.0.2.2", "unknown"},   {"192.0.2.9", "unknown"},
        {"192.0.2.77", "unknown"},    {"127.0.0.1", "localhost"}, {"::1", "localhost"},
    };
    struct rig *rig = rig_in(state);
    for (size_t i = 0; i < COUNT(expected); i++) {
        reach_mail(rig, expected[i].client, RIG_MAIL);
        rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
        rig_say(rig, "DATA\r\n", RIG_DATA_OK);
        rig_write(rig, SPAN("x\r\n.\r\n"));
        struct rig_letter letter = rig_hear_letter(rig);
        if (!span_equal(letter.envelope.client_name, span_cstr(expected[i].name)))
            fail_msg("%s: %.*s", expected[i].client, SPAN_ARG(letter.envelope.client_name));
        char trace[200];
        (void)snprintf(trace, sizeof(trace), "Received: from client.test (%s [%s", expected[i].name,
                       expected[i].client[0] == ':' ? "IPv6:" : expected[i].client);
        struct span body = span_of(letter.body, (size_t)letter.header.body_len);
        assert_true(span_has_prefix(body, span_cstr(trace)));
        rig_free_letter(&letter);
    }
}

static void localhost_costs_the_dns_nothing(void **state)
{
    struct fixture *fixture = *state;
    reach_mail(fixture->rig, "127.0.0.1", RIG_MAIL);
    rig_say(fixture->rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    assert_int_equal(fixture->dns.udp_questions, 0);
    assert_null(fixture->rig->session->checks);
}

/* There is nothing to wait for: neither a name nor a list. */
static void localhost_need_not_be_trusted(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "127.0.0.1", "MAIL FROM:<>\r\n");
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig_say(rig, "RCPT TO:<u@elsewhere.test>\r\n", "554 5.7.1 Relay access denied\r\n");
}

static void a_listed_client_is_refused_at_rcpt(void **state)
{
    static const struct {
        const char *client, *reply;
    } expected[] = {
        {"192.0.2.1", "250 2.1.5 Ok\r\n"},
        {"192.0.2.5", "554 5.7.1 Client 192.0.2.5 is listed by black.test: Sent us??spam\r\n"},
        {"192.0.2.6", "554 5.7.1 Client 192.0.2.6 is listed by black.test\r\n"},
        {"192.0.2.7", "250 2.1.5 Ok\r\n"}, /* an error of the list */
        {"192.0.2.8", "250 2.1.5 Ok\r\n"}, /* a list that was given up answers anything */
        {"192.0.2.9", "250 2.1.5 Ok\r\n"},
    };
    struct rig *rig = rig_in(state);
    for (size_t i = 0; i < COUNT(expected); i++) {
        reach_mail(rig, expected[i].client, RIG_MAIL);
        rig_say(rig, RIG_RCPT, expected[i].reply);
    }
}

static void a_list_that_speaks_for_a_client_outweighs_another(void **state)
{
    struct rig *rig = rig_in(state);
    rig->conf->dns_list_reject = 2;
    reach_mail(rig, "192.0.2.6", RIG_MAIL);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    reach_mail(rig, "192.0.2.5", RIG_MAIL);
    assert_int_equal(rig_ask(rig, RIG_RCPT), 554);
}

static void a_listed_client_learns_nothing_of_users(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.6", RIG_MAIL);
    rig_say(rig, "RCPT TO:<nobody@example.test>\r\n",
            "554 5.7.1 Client 192.0.2.6 is listed by black.test\r\n");
}

static void the_table_refuses_by_name_and_by_helo(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.3", RIG_MAIL);
    rig_say(rig, RIG_RCPT, "554 5.7.1 Not with us\r\n");
    rig_connect_from(rig, "192.0.2.1");
    assert_int_equal(rig_hear_code(rig), 220);
    rig_say(rig, "HELO reject.me\r\n", "250 mx.example.test\r\n");
    rig_say(rig, RIG_MAIL, "250 2.1.0 Ok\r\n");
    rig_say(rig, RIG_RCPT, "554 5.7.1 Not with us\r\n");
    /* Another name in HELO, another judgement. */
    rig_say(rig, "HELO fine.test\r\n", "250 mx.example.test\r\n");
    rig_say(rig, RIG_MAIL, "250 2.1.0 Ok\r\n");
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
}

static void ok_in_the_table_spares_a_client_the_lists(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.4", RIG_MAIL);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    assert_true(client_checks_are_spared(rig->session));
    rig_say(rig, "RCPT TO:<u@elsewhere.test>\r\n", "554 5.7.1 Relay access denied\r\n");
}

static void trusted_clients_and_logins_are_not_judged(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.3", RIG_MAIL);
    log_in(rig);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig_connect_from(rig, "127.0.0.9");
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, "HELO reject.me\r\n"), 250);
    rig_say(rig, "MAIL FROM:<a@no-such-domain.test>\r\n", "250 2.1.0 Ok\r\n");
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
}

/* Answers come in the order of the commands, all of them when the slowest question is answered. */
static void pipelined_recipients_wait_for_the_judgement(void **state)
{
    struct rig *rig = rig_in(state);
    rig_connect_from(rig, "192.0.2.10");
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    rig_write(rig, SPAN(RIG_MAIL RIG_RCPT "RCPT TO:<nobody@example.test>\r\nRCPT TO:<>\r\n"
                                          "DATA\r\n"));
    rig_expect(rig, "250 2.1.0 Ok\r\n");
    rig_expect_silence(rig);
    assert_int_equal(rig->session->wait, WAIT_LOOKUP);
    /* The DNS does not answer, and patience ends: as if the client had no name. */
    rig_expect(rig, "250 2.1.5 Ok\r\n550 5.1.1 No such user here\r\n"
                    "501 5.1.3 The null path is no recipient\r\n" RIG_DATA_OK);
}

static void a_client_that_leaves_is_forgotten(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.10", RIG_MAIL);
    rig_write(rig, SPAN(RIG_RCPT));
    (void)close(rig->client);
    rig->client = -1;
    while (rig->worker.session_count > 0)
        loop_turn(rig->loop, 20);
    assert_true(LIST_EMPTY(&rig->worker.sessions));
}

/* ---- the sender ---- */

static void senders_of_strangers_are_judged_by_their_domain(void **state)
{
    static const struct {
        const char *mail, *reply;
    } expected[] = {
        {"MAIL FROM:<joe@sender.test>\r\n", "250 2.1.0 Ok\r\n"},
        {"MAIL FROM:<>\r\n", "250 2.1.0 Ok\r\n"},
        {"MAIL FROM:<joe@[192.0.2.1]>\r\n", "250 2.1.0 Ok\r\n"},
        {"MAIL FROM:<joe@example.test>\r\n", "250 2.1.0 Ok\r\n"}, /* our own */
        {"MAIL FROM:<joe@null.test>\r\n", "550 5.7.27 Sender's domain takes no mail\r\n"},
        {"MAIL FROM:<joe@none.test>\r\n", "550 5.1.8 Sender's domain does not exist\r\n"},
        {"MAIL FROM:<joe@servfail.test>\r\n", "450 4.1.8 Sender's domain can not be looked up\r\n"},
        {"MAIL FROM:<joe@silent.test>\r\n", "450 4.1.8 Sender's domain can not be looked up\r\n"},
        {"MAIL FROM:<reject@sender.test>\r\n", "554 5.7.1 Not with us\r\n"},
        {"MAIL FROM:<ok@none.test>\r\n", "250 2.1.0 Ok\r\n"},
    };
    struct rig *rig = rig_in(state);
    for (size_t i = 0; i < COUNT(expected); i++) {
        rig_connect_from(rig, "192.0.2.1");
        assert_int_equal(rig_hear_code(rig), 220);
        assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
        rig_say(rig, expected[i].mail, expected[i].reply);
        bool taken = expected[i].reply[0] == '2';
        assert_int_equal(rig->session->state, taken ? SESSION_MAIL : SESSION_READY);
        assert_int_equal(rig->session->transaction != NULL, taken);
    }
}

static void the_domain_need_not_exist_where_the_setting_says_so(void **state)
{
    struct fixture *fixture = *state;
    reach_mail(fixture->rig, "127.0.0.1", RIG_MAIL);
    reach_mail(fixture->rig, "192.0.2.1", "MAIL FROM:<joe@none.test>\r\n");
    reach_mail(fixture->rig, "192.0.2.1", "MAIL FROM:<joe@null.test>\r\n");
}

static void commands_behind_mail_wait_for_its_answer(void **state)
{
    struct rig *rig = rig_in(state);
    rig_connect_from(rig, "192.0.2.1");
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    rig_write(rig, SPAN("MAIL FROM:<joe@null.test>\r\n" RIG_RCPT "RSET\r\n" RIG_MAIL RIG_RCPT));
    rig_expect(rig, "550 5.7.27 Sender's domain takes no mail\r\n"
                    "503 5.5.1 Send MAIL first\r\n250 2.0.0 Ok\r\n"
                    "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
}

static void a_login_uses_its_own_senders(void **state)
{
    static const struct {
        const char *mail, *reply;
    } expected[] = {
        {"MAIL FROM:<alice@example.test>\r\n", "250 2.1.0 Ok\r\n"},
        {"MAIL FROM:<\"ALICE\"@Example.TEST>\r\n", "250 2.1.0 Ok\r\n"},
        {"MAIL FROM:<>\r\n", "250 2.1.0 Ok\r\n"},
        {"MAIL FROM:<sales@shared.test>\r\n", "250 2.1.0 Ok\r\n"},
        {"MAIL FROM:<bob@example.test>\r\n", "553 5.7.1 Sender address is not yours\r\n"},
        {"MAIL FROM:<alice+x@example.test>\r\n", "553 5.7.1 Sender address is not yours\r\n"},
        {"MAIL FROM:<alice@none.test>\r\n", "553 5.7.1 Sender address is not yours\r\n"},
    };
    struct rig *rig = rig_in(state);
    for (size_t i = 0; i < COUNT(expected); i++) {
        rig_connect_from(rig, "192.0.2.1");
        assert_int_equal(rig_hear_code(rig), 220);
        assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
        log_in(rig);
        rig_say(rig, expected[i].mail, expected[i].reply);
    }
}

static void without_lookup_a_sender_is_put_off(void **state)
{
    struct rig *rig = rig_in(state);
    rig_connect_from(rig, "192.0.2.1");
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    channel_free(rig->lookup);
    rig->lookup = NULL;
    rig_write(rig, SPAN(RIG_MAIL));
    rig_expect_silence(rig);
    rig_time_out(rig, WAIT_LOOKUP);
    rig_expect(rig, "451 4.4.3 The sender can not be checked now\r\n");
    assert_null(rig->session->transaction);
}

/* ---- the recipient ---- */

static void the_table_refuses_recipients_one_by_one(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.1", RIG_MAIL);
    rig_write(rig, SPAN("RCPT TO:<reject@example.test>\r\n" RIG_RCPT
                        "RCPT TO:<reject2@example.test>\r\n"));
    rig_expect(rig, "554 5.7.1 Not with us\r\n250 2.1.5 Ok\r\n554 5.7.1 Not with us\r\n");
    assert_int_equal(rig->session->transaction->final_count, 1);
}

static void an_answer_of_the_table_is_remembered(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.1", RIG_MAIL);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    size_t asked = rig->access_asked;
    assert_int_equal(asked, 3); /* sender; recipient; client and HELO in one */
    reach_mail(rig, "192.0.2.1", RIG_MAIL);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    assert_int_equal(rig->access_asked, asked);
}

/* Held letters keep their true way: they take it when they are released. */
static void hold_marks_the_letter(void **state)
{
    static const struct {
        const char *mail, *rcpt;
        bool held;
    } expected[] = {
        {RIG_MAIL, RIG_RCPT, false},
        {"MAIL FROM:<hold@sender.test>\r\n", RIG_RCPT, true},
        {RIG_MAIL, "RCPT TO:<hold@example.test>\r\n", true},
    };
    struct rig *rig = rig_in(state);
    for (size_t i = 0; i < COUNT(expected); i++) {
        reach_mail(rig, "192.0.2.1", expected[i].mail);
        rig_say(rig, expected[i].rcpt, "250 2.1.5 Ok\r\n");
        rig_say(rig, "DATA\r\n", RIG_DATA_OK);
        rig_write(rig, SPAN("x\r\n.\r\n"));
        struct rig_letter letter = rig_hear_letter(rig);
        assert_int_equal((letter.header.flags & RECORD_FLAG_HOLD) != 0, expected[i].held);
        assert_true(span_equal(letter.envelope.recipients[0].transport, SPAN("local")));
        rig_free_letter(&letter);
    }
}

static void a_recipient_who_is_refused_holds_nothing(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.1", RIG_MAIL);
    rig_say(rig, "RCPT TO:<hold@far.test>\r\n", "554 5.7.1 Relay access denied\r\n");
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    rig_say(rig, "DATA\r\n", RIG_DATA_OK);
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_int_equal(letter.header.flags & RECORD_FLAG_HOLD, 0);
    rig_free_letter(&letter);
}

/* Only what would be taken is noted, and only a stranger's. */
static void a_first_try_is_put_off_where_the_setting_says_so(void **state)
{
    static const struct {
        const char *client, *mail, *rcpt, *reply;
        size_t asked;
    } expected[] = {
        {"192.0.2.1", RIG_MAIL, RIG_RCPT, "450 4.7.1 Greylisted, try again later\r\n", 1},
        {"192.0.2.1", "MAIL FROM:<again@sender.test>\r\n", RIG_RCPT, "250 2.1.5 Ok\r\n", 1},
        {"192.0.2.1", RIG_MAIL, "RCPT TO:<nobody@example.test>\r\n",
         "550 5.1.1 No such user here\r\n", 0},
        {"192.0.2.1", RIG_MAIL, "RCPT TO:<reject@example.test>\r\n", "554 5.7.1 Not with us\r\n",
         0},
        {"192.0.2.1", RIG_MAIL, "RCPT TO:<ok@example.test>\r\n", "250 2.1.5 Ok\r\n", 0},
        {"192.0.2.4", RIG_MAIL, RIG_RCPT, "250 2.1.5 Ok\r\n", 0}, /* OK by its name */
        {"127.0.0.1", RIG_MAIL, RIG_RCPT, "250 2.1.5 Ok\r\n", 0},
    };
    struct rig *rig = rig_in(state);
    for (size_t i = 0; i < COUNT(expected); i++) {
        reach_mail(rig, expected[i].client, expected[i].mail);
        rig->greylist_asked = 0;
        rig_say(rig, expected[i].rcpt, expected[i].reply);
        assert_int_equal(rig->greylist_asked, expected[i].asked);
    }
    reach_mail(rig, "192.0.2.1", RIG_MAIL);
    log_in(rig);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
}

static void nobody_is_greylisted_by_default(void **state)
{
    struct rig *rig = rig_in(state);
    reach_mail(rig, "192.0.2.1", RIG_MAIL);
    rig_say(rig, RIG_RCPT, "250 2.1.5 Ok\r\n");
    assert_int_equal(rig->greylist_asked, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_is_called_what_the_dns_confirms),
        TEST(localhost_costs_the_dns_nothing),
        cmocka_unit_test_setup_teardown(localhost_need_not_be_trusted, set_up_distrustful,
                                        tear_down),
        TEST(a_listed_client_is_refused_at_rcpt),
        TEST(a_list_that_speaks_for_a_client_outweighs_another),
        TEST(a_listed_client_learns_nothing_of_users),
        TEST(the_table_refuses_by_name_and_by_helo),
        TEST(ok_in_the_table_spares_a_client_the_lists),
        TEST(trusted_clients_and_logins_are_not_judged),
        TEST(pipelined_recipients_wait_for_the_judgement),
        TEST(a_client_that_leaves_is_forgotten),
        TEST(senders_of_strangers_are_judged_by_their_domain),
        cmocka_unit_test_setup_teardown(the_domain_need_not_exist_where_the_setting_says_so,
                                        set_up_lax, tear_down),
        TEST(commands_behind_mail_wait_for_its_answer),
        TEST(a_login_uses_its_own_senders),
        TEST(without_lookup_a_sender_is_put_off),
        TEST(the_table_refuses_recipients_one_by_one),
        TEST(an_answer_of_the_table_is_remembered),
        TEST(hold_marks_the_letter),
        TEST(a_recipient_who_is_refused_holds_nothing),
        cmocka_unit_test_setup_teardown(a_first_try_is_put_off_where_the_setting_says_so,
                                        set_up_grey, tear_down),
        TEST(nobody_is_greylisted_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
