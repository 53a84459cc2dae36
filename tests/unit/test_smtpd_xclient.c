/*
 * XCLIENT: who may say it, what it may say, and what is left of the client before.
 */
#include "smtpd_rig.h"

#define GREETING "220 mx.example.test ESMTP Veredus\r\n"
#define BAD      "501 5.5.4 Bad XCLIENT attribute\r\n"

static struct net_prefix proxies;

/* 10.9.8.7 is a proxy, and connects; EHLO is said. */
static void connect_proxy(struct rig *rig)
{
    assert_true(net_parse_prefix(SPAN("10.9.8.7"), &proxies));
    rig->conf->trusted_proxies = (struct conf_prefixes){&proxies, 1};
    rig_connect_from(rig, "10.9.8.7");
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    buf_reset(&rig->heard);
}

static void it_is_offered_to_proxies_alone(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    rig_write(rig, SPAN(RIG_HELLO));
    assert_true(
        span_has_suffix(rig_hear(rig, 200),
                        SPAN("250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n")));
    rig_connect_from(rig, "10.9.8.6");
    rig_expect(rig, GREETING);
    rig_write(rig, SPAN(RIG_HELLO));
    struct span reply = rig_hear(rig, 60);
    assert_true(span_has_suffix(reply, SPAN("\r\n")));
    for (size_t at = 0; at < reply.len; at++)
        assert_false(span_has_prefix(span_skip(reply, at), SPAN("XCLIENT")));
}

static void nobody_else_may_say_it(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    rig_connect_from(rig, "127.0.0.1");
    rig_expect(rig, GREETING);
    rig_say(rig, "XCLIENT ADDR=192.0.2.7\r\n", "550 5.7.0 You are not one of trusted_proxies\r\n");
    assert_string_equal(rig->session->client, "127.0.0.1");
}

static void dialogue_begins_anew_with_another_client(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    uint64_t before = rig->session->network;
    rig_say(rig, "XCLIENT NAME=mail.client.test ADDR=192.0.2.7 PORT=12345 PROTO=ESMTP\r\n",
            GREETING);
    assert_string_equal(rig->session->client, "192.0.2.7");
    assert_true(span_equal(rig->session->client_name, SPAN("mail.client.test")));
    assert_int_equal(rig->session->state, SESSION_START);
    assert_int_equal(page_connections(rig->page, before), 0);
    assert_int_equal(page_connections(rig->page, rig->session->network), 1);
    rig_say(rig, RIG_MAIL, "503 5.5.1 Send EHLO or HELO first\r\n");
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
}

static void addresses_have_the_form_of_literals(void **state)
{
    static const struct {
        const char *line, *client;
    } rows[] = {
        {"XCLIENT ADDR=192.0.2.7\r\n", "192.0.2.7"},
        {"xclient addr=IPV6:2001:db8::7\r\n", "2001:db8::7"},
        {"XCLIENT Addr=ipv6:2001:DB8::8\r\n", "2001:db8::8"},
        {"XCLIENT ADDR=IPV6:::ffff:192.0.2.9\r\n", "192.0.2.9"},
        {"XCLIENT ADDR=192.0.2+2E10\r\n", "192.0.2.10"}, /* xtext */
        {"XCLIENT ADDR=[UNAVAILABLE]\r\n", "unknown"},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        connect_proxy(rig);
        rig_say(rig, rows[i].line, GREETING);
        assert_string_equal(rig->session->client, rows[i].client);
    }
}

static void what_is_wrong_changes_nothing(void **state)
{
    static const char *const lines[] = {
        "XCLIENT",
        "XCLIENT ADDR",
        "XCLIENT ADDR=",
        "XCLIENT ADDR=mail.client.test",
        "XCLIENT ADDR=192.0.2.256",
        "XCLIENT ADDR=2001:db8::7",
        "XCLIENT ADDR=IPV6:",
        "XCLIENT ADDR=192.0.2.7+0A",
        "XCLIENT ADDR=192.0.2.7+2",
        "XCLIENT ADDR=192.0.2.7 NAME=",
        "XCLIENT ADDR=192.0.2.7 NAME=a+20b",
        "XCLIENT ADDR=192.0.2.7 NAME=a(b)",
        "XCLIENT ADDR=192.0.2.7 NAME=a+00",
        "XCLIENT ADDR=192.0.2.7 PORT=65536",
        "XCLIENT ADDR=192.0.2.7 PORT=x",
        "XCLIENT ADDR=192.0.2.7 PROTO=HTTP",
        "XCLIENT ADDR=192.0.2.7 DESTADDR=nowhere",
        "XCLIENT ADDR=192.0.2.7 DESTPORT=-1",
        "XCLIENT ADDR=192.0.2.7 LOGIN=",
        "XCLIENT ADDR=192.0.2.7 LOGIN=a+0D+0Ab",
        "XCLIENT ADDR=192.0.2.7 HELO=",
        "XCLIENT ADDR=192.0.2.7 COLOUR=red",
        "XCLIENT =192.0.2.7",
    };
    struct rig *rig = rig_of(state);
    rig->conf->limits.errors_slow = rig->conf->limits.errors_close = 1000;
    connect_proxy(rig);
    for (size_t i = 0; i < COUNT(lines); i++) {
        char line[200];
        (void)snprintf(line, sizeof(line), "%s\r\n", lines[i]);
        rig_say(rig, line, BAD);
        assert_string_equal(rig->session->client, "10.9.8.7");
        assert_int_equal(rig->session->state, SESSION_READY);
        assert_int_equal(rig->session->user.len, 0);
    }
}

static void values_have_their_bounds(void **state)
{
    static const struct {
        const char *name;
        int size;
        unsigned code;
    } rows[] = {
        {"LOGIN", 255, 220}, {"LOGIN", 256, 501}, {"NAME", 255, 220},
        {"NAME", 256, 501},  {"HELO", 255, 220},  {"HELO", 256, 501},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char line[400];
        connect_proxy(rig);
        (void)snprintf(line, sizeof(line), "XCLIENT %s=%0*d\r\n", rows[i].name, rows[i].size, 1);
        assert_int_equal(rig_ask(rig, line), rows[i].code);
    }
}

static void transaction_comes_first(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    assert_int_equal(rig_ask(rig, "XCLIENT ADDR=192.0.2.7\r\n"), 503);
    assert_int_equal(rig_ask(rig, RIG_RCPT), 250);
    assert_int_equal(rig_ask(rig, "XCLIENT ADDR=192.0.2.7\r\n"), 503);
    assert_int_equal(rig_ask(rig, "RSET\r\n"), 250);
    assert_int_equal(rig_ask(rig, "XCLIENT ADDR=192.0.2.7\r\n"), 220);
}

static void trust_is_that_of_the_client(void **state)
{
    static const struct {
        const char *line;
        bool trusted;
    } rows[] = {{"XCLIENT ADDR=127.0.0.1\r\n", true},
                {"XCLIENT ADDR=192.0.2.7\r\n", false},
                {"XCLIENT ADDR=[TEMPUNAVAIL]\r\n", false}};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        connect_proxy(rig);
        assert_int_equal(rig_ask(rig, rows[i].line), 220);
        assert_int_equal(rig->session->trusted, rows[i].trusted);
        assert_int_equal(rig->session->loopback, rows[i].trusted);
    }
}

static void client_of_a_proxy_does_not_speak_for_others(void **state)
{
    static const char *const firsts[] = {"XCLIENT ADDR=192.0.2.7\r\n",
                                         "XCLIENT ADDR=[UNAVAILABLE]\r\n",
                                         "XCLIENT LOGIN=alice@example.test\r\n"};
    static const char *const seconds[] = {"XCLIENT ADDR=127.0.0.1\r\n",
                                          "XCLIENT LOGIN=bob@example.test\r\n",
                                          "XCLIENT NAME=bank.example\r\n"};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(firsts); i++)
        for (size_t j = 0; j < COUNT(seconds); j++) {
            connect_proxy(rig);
            assert_int_equal(rig_ask(rig, firsts[i]), 220);
            assert_int_equal(rig_ask(rig, seconds[j]), 550);
            assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
            assert_int_equal(rig_ask(rig, seconds[j]), 550);
            assert_false(rig->session->trusted);
        }
}

static void login_may_be_vouched_for(void **state)
{
    struct rig *rig = rig_of(state);
    rig->listener.service = SERVICE_SUBMISSION;
    connect_proxy(rig);
    rig_say(rig, RIG_MAIL, "530 5.7.0 Authentication required\r\n");
    assert_int_equal(rig_ask(rig, "XCLIENT ADDR=192.0.2.7 LOGIN=alice@example.test\r\n"), 220);
    assert_true(span_equal(rig->session->user, SPAN("alice@example.test")));
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    rig_say(rig, "AUTH PLAIN\r\n", "503 5.5.1 You are authenticated already\r\n");
}

static void a_login_is_called_what_auth_would_call_it(void **state)
{
    static const struct {
        const char *line, *user;
    } rows[] = {
        {"XCLIENT LOGIN=Alice\r\n", "alice@example.test"},
        {"XCLIENT LOGIN=ALICE@Example.Test\r\n", "alice@example.test"},
        {"XCLIENT LOGIN=\"al+20ice\"@b.test\r\n", "al ice@b.test"},
        {"XCLIENT LOGIN=Al+20ice\r\n", "Al ice"}, /* no address: nobody's */
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        connect_proxy(rig);
        assert_int_equal(rig_ask(rig, rows[i].line), 220);
        assert_true(span_equal(rig->session->user, span_cstr(rows[i].user)));
    }
}

static void what_a_proxy_says_without_an_address_is_added(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    assert_int_equal(rig_ask(rig, "XCLIENT NAME=mail.client.test\r\n"), 220);
    assert_true(span_equal(rig->session->client_name, SPAN("mail.client.test")));
    assert_int_equal(rig_ask(rig, "XCLIENT LOGIN=alice@example.test\r\n"), 220);
    assert_true(span_equal(rig->session->user, SPAN("alice@example.test")));
    assert_true(span_equal(rig->session->client_name, SPAN("mail.client.test")));
}

static void another_client_has_nothing_of_the_one_before(void **state)
{
    static const char *const lines[] = {"XCLIENT ADDR=192.0.2.8\r\n",
                                        "XCLIENT ADDR=[UNAVAILABLE]\r\n",
                                        "XCLIENT ADDR=192.0.2.8 LOGIN=[UNAVAILABLE]\r\n"};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(lines); i++) {
        connect_proxy(rig);
        assert_int_equal(rig_ask(rig, "XCLIENT NAME=a.test HELO=h\r\n"), 220);
        assert_true(span_equal(rig->session->helo, SPAN("h")));
        assert_int_equal(rig_ask(rig, lines[i]), 220);
        assert_int_equal(rig->session->user.len, 0);
        assert_int_equal(rig->session->helo.len, 0);
        assert_true(span_equal(rig->session->client_name, SPAN("unknown")));
    }
}

static void limits_count_the_client_and_not_the_proxy(void **state)
{
    struct rig *rig = rig_of(state);
    int kept[3];
    rig->conf->limits.connections_per_network = 1;
    for (int i = 0; i < 3; i++) {
        char line[60];
        connect_proxy(rig);
        (void)snprintf(line, sizeof(line), "XCLIENT ADDR=192.0.2.%d\r\n", i + 1);
        rig_say(rig, line, GREETING);
        kept[i] = rig->client;
        rig->client = -1;
    }
    connect_proxy(rig);
    rig_say(rig, "XCLIENT ADDR=192.0.2.1\r\n",
            "421 4.7.0 Too many connections from your network\r\n");
    rig_expect_end(rig);
    for (int i = 0; i < 3; i++)
        (void)close(kept[i]);
}

static void proxy_is_not_tested_for_patience(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    connect_proxy(rig);
    rig_say(rig, "XCLIENT ADDR=192.0.2.7\r\n", GREETING);
}

static void received_names_the_client_of_the_proxy(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    assert_int_equal(rig_ask(rig, "XCLIENT NAME=mail.client.test ADDR=192.0.2.7\r\n"), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    assert_int_equal(rig_ask(rig, RIG_RCPT), 250);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    rig_write(rig, SPAN("hello\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_non_null(strstr(letter.body, "from client.test (mail.client.test [192.0.2.7])"));
    rig_free_letter(&letter);
}

static void lmtp_is_for_trusted_clients_of_a_proxy_too(void **state)
{
    struct rig *rig = rig_of(state);
    assert_true(net_parse_prefix(SPAN("127.0.0.1"), &proxies));
    rig->conf->trusted_proxies = (struct conf_prefixes){&proxies, 1};
    rig->listener.service = SERVICE_LMTP;
    rig_connect_from(rig, "127.0.0.1");
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, "XCLIENT ADDR=192.0.2.7\r\n"), 554);
    rig_expect_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(it_is_offered_to_proxies_alone),
        RIG_TEST(nobody_else_may_say_it),
        RIG_TEST(dialogue_begins_anew_with_another_client),
        RIG_TEST(addresses_have_the_form_of_literals),
        RIG_TEST(what_is_wrong_changes_nothing),
        RIG_TEST(values_have_their_bounds),
        RIG_TEST(transaction_comes_first),
        RIG_TEST(trust_is_that_of_the_client),
        RIG_TEST(login_may_be_vouched_for),
        RIG_TEST(a_login_is_called_what_auth_would_call_it),
        RIG_TEST(what_a_proxy_says_without_an_address_is_added),
        RIG_TEST(client_of_a_proxy_does_not_speak_for_others),
        RIG_TEST(another_client_has_nothing_of_the_one_before),
        RIG_TEST(limits_count_the_client_and_not_the_proxy),
        RIG_TEST(proxy_is_not_tested_for_patience),
        RIG_TEST(received_names_the_client_of_the_proxy),
        RIG_TEST(lmtp_is_for_trusted_clients_of_a_proxy_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
