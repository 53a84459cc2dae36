/*
 * The way in: silence before the greeting, and the header of a proxy before everything else.
 */
#include "smtpd/limits.h"
#include "smtpd_rig.h"

#include <arpa/inet.h>

#define GREETING  "220 mx.example.test ESMTP Veredus\r\n"
#define TOO_EARLY "554 5.5.1 You talk before you are greeted\r\n"
#define V1        "PROXY TCP4 192.0.2.7 10.0.0.1 12345 25\r\n"
#define V2                                                                                         \
    "\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x28"                                                         \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"         \
    "\x30\x39\x00\x19\x04\x00\x01-"
#define LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"

/* The networks point to one of the list. */
static struct conf_prefixes network_of(struct net_prefix *prefix, const char *text)
{
    assert_true(net_parse_prefix(span_cstr(text), prefix));
    return (struct conf_prefixes){prefix, 1};
}

/* A listener behind the proxy 10.9.8.7, which trusts 192.0.2.0/24. */
static struct net_prefix proxy, trusted;

static void set_proxy(struct rig *rig)
{
    rig->listener.proxy = true;
    rig->conf->trusted_proxies = network_of(&proxy, "10.9.8.7");
}

static void connect_proxy(struct rig *rig)
{
    set_proxy(rig);
    rig_connect_from(rig, "10.9.8.7");
}

/* ---- silence ---- */

static void stranger_waits_for_the_greeting(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    rig_connect_from(rig, "192.0.2.1");
    rig_expect_silence(rig);
    assert_int_equal(limits_wait_ms(rig->session, rig->session->wait), 60000);
    rig_time_out(rig, WAIT_GREETING);
    rig_expect(rig, GREETING);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
}

static void pause_ends_by_itself(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 1;
    rig_connect_from(rig, "192.0.2.1");
    rig_expect(rig, GREETING);
}

static void one_octet_in_the_silence_is_too_many(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    rig_connect_from(rig, "192.0.2.1");
    rig_expect_silence(rig);
    rig_say(rig, "E", TOO_EARLY);
    rig_expect_end(rig);
    assert_int_equal(page_get(rig->page, PAGE_REFUSED), 1);
}

static void commands_said_in_the_silence_are_not_served(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    rig_connect_from(rig, "192.0.2.1");
    rig_write(rig, SPAN(RIG_HELLO RIG_MAIL RIG_RCPT "DATA\r\n"));
    rig_expect(rig, TOO_EARLY);
    rig_expect_end(rig);
    assert_int_equal(rig->asked_count, 0);
}

static void client_may_leave_in_the_silence(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    rig_connect_from(rig, "192.0.2.1");
    (void)close(rig->client);
    rig->client = -1;
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    assert_int_equal(rig->worker.session_count, 0);
    assert_int_equal(page_get(rig->page, PAGE_SESSIONS), 0);
}

static void trusted_networks_are_greeted_at_once(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    rig_connect_from(rig, "127.0.0.1");
    rig_expect(rig, GREETING);
}

static void submission_is_greeted_at_once(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    rig->listener.service = SERVICE_SUBMISSION;
    rig_connect_from(rig, "192.0.2.1");
    rig_expect(rig, GREETING);
}

static void silent_session_holds_no_buffer(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    rig_connect_from(rig, "192.0.2.1");
    rig_expect_silence(rig);
    assert_int_equal(buf_len(&rig->session->in) + buf_len(&rig->session->out), 0);
    assert_null(rig->session->arena.blocks);
    assert_null(rig->session->transaction);
}

static void worker_that_ends_says_so_in_the_silence(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    rig_connect_from(rig, "192.0.2.1");
    rig_expect_silence(rig);
    worker_dismiss(&rig->worker);
    assert_int_equal(rig_hear_code(rig), 421);
    rig_expect_end(rig);
}

/* ---- the proxy ---- */

static void client_is_whom_the_proxy_names(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    rig_expect_silence(rig);
    rig_say(rig, V1, GREETING);
    assert_string_equal(rig->session->client, "192.0.2.7");
    assert_false(rig->session->trusted);
    assert_int_equal(page_connections(rig->page, rig->session->network), 1);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
}

static void header_may_come_octet_by_octet(void **state)
{
    static const struct {
        struct span octets;
        const char *client;
    } rows[] = {{SPAN_INIT(V1), "192.0.2.7"}, {SPAN_INIT(V2), "2001:db8::7"}};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        connect_proxy(rig);
        for (size_t at = 0; at < rows[i].octets.len; at++) {
            assert_int_equal(buf_len(&rig->heard), 0);
            rig_write(rig, span_of(rows[i].octets.data + at, 1));
        }
        rig_expect(rig, GREETING);
        assert_string_equal(rig->session->client, rows[i].client);
        assert_int_equal(buf_len(&rig->session->in), 0);
    }
}

static void header_split_anywhere_is_the_same(void **state)
{
    static const struct span headers[] = {SPAN_INIT(V1), SPAN_INIT(V2), SPAN_INIT(LOCAL)};
    struct rig *rig = rig_of(state);
    set_proxy(rig);
    for (size_t i = 0; i < COUNT(headers); i++)
        for (size_t at = 1; at < headers[i].len; at++) {
            rig_connect_from(rig, "10.9.8.7");
            rig_write(rig, span_first(headers[i], at));
            rig_expect_silence(rig);
            rig_write(rig, span_skip(headers[i], at));
            rig_expect(rig, GREETING);
        }
}

static void trusted_client_that_says_all_at_once_is_served(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->trusted_networks = network_of(&trusted, "192.0.2.0/24");
    connect_proxy(rig);
    rig_write(rig, SPAN(V1 "EHLO early.test\r\n"));
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_hear_code(rig), 250);
}

static void note_drained(void *arg)
{
    *(bool *)arg = true;
}

/* It was accepted before: a reload refuses nobody, a stop everybody. */
static void client_named_while_the_worker_ends_is_served_in_a_reload_alone(void **state)
{
    static const char *const greetings[] = {"421 4.3.2 Service is shutting down\r\n", GREETING};
    struct rig *rig = rig_of(state);
    for (unsigned patient = 0; patient < COUNT(greetings); patient++) {
        bool drained = false;
        connect_proxy(rig);
        worker_drain(&rig->worker, patient, note_drained, &drained);
        rig_write(rig, SPAN(V1));
        rig_expect(rig, greetings[patient]);
        assert_false(drained);
        rig->worker.draining = false;
    }
}

static void only_the_header_is_taken_from_the_socket(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    rig_write(rig, SPAN(V1 "EHLO early.test\r\n"));
    /* What the client says is judged as it is without a proxy. */
    rig_expect(rig, TOO_EARLY);
    rig_expect_end(rig);
}

static void stranger_behind_a_proxy_waits_for_the_greeting(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->greet_pause = 60000;
    connect_proxy(rig);
    rig_write(rig, SPAN(V1));
    rig_expect_silence(rig);
    rig_time_out(rig, WAIT_GREETING);
    rig_expect(rig, GREETING);
}

static void trust_is_that_of_the_client_and_not_of_the_proxy(void **state)
{
    static const struct {
        const char *trusted;
        struct span header;
        bool expected;
    } rows[] = {
        {"192.0.2.0/24", SPAN_INIT(V1), true},
        {"10.0.0.0/8", SPAN_INIT(V1), false},
        {"10.0.0.0/8", SPAN_INIT("PROXY UNKNOWN\r\n"), false},
        {"10.0.0.0/8", SPAN_INIT("\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00"), false},
        /* It speaks for itself: a look whether we are there. */
        {"10.0.0.0/8", SPAN_INIT(LOCAL), true},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig->conf->trusted_networks = network_of(&trusted, rows[i].trusted);
        connect_proxy(rig);
        rig_write(rig, rows[i].header);
        rig_expect(rig, GREETING);
        assert_int_equal(rig->session->trusted, rows[i].expected);
    }
}

static void loopback_is_that_of_the_client(void **state)
{
    struct rig *rig = rig_of(state);
    set_proxy(rig);
    rig->conf->trusted_proxies = network_of(&proxy, "127.0.0.1");
    rig_connect_from(rig, "127.0.0.1");
    rig_say(rig, V1, GREETING);
    assert_false(rig->session->loopback);
    rig_connect_from(rig, "127.0.0.1");
    rig_say(rig, "PROXY UNKNOWN\r\n", GREETING);
    assert_false(rig->session->loopback);
}

static void limits_count_the_client_and_not_the_proxy(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.connections_per_network = 1;
    connect_proxy(rig);
    rig_say(rig, V1, GREETING);
    int kept = rig->client;
    rig->client = -1;
    connect_proxy(rig);
    rig_say(rig, "PROXY TCP4 192.0.2.8 10.0.0.1 1 25\r\n", GREETING);
    int other = rig->client;
    rig->client = -1;
    connect_proxy(rig);
    rig_say(rig, V1, "421 4.7.0 Too many connections from your network\r\n");
    (void)close(kept);
    (void)close(other);
}

static void nothing_stays_counted_of_those_who_leave_early(void **state)
{
    struct rig *rig = rig_of(state);
    union net_address client = rig_address("10.9.8.7");
    connect_proxy(rig);
    rig_write(rig, SPAN("PROXY TC"));
    (void)close(rig->client);
    rig->client = -1;
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    assert_int_equal(rig->worker.session_count, 0);
    assert_int_equal(page_get(rig->page, PAGE_SESSIONS), 0);
    assert_int_equal(page_connections(rig->page, net_limit_key(&client)), 0);
}

static void malformed_header_ends_the_connection_without_a_word(void **state)
{
    static const struct span rows[] = {
        SPAN_INIT("EHLO client.test\r\n"),
        SPAN_INIT("PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n"),
        SPAN_INIT("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n"),
        SPAN_INIT("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"),
        SPAN_INIT("GET / HTTP/1.1\r\n"),
        SPAN_INIT("\x16\x03\x01"),
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        connect_proxy(rig);
        rig_write(rig, rows[i]);
        rig_expect_end(rig);
        assert_int_equal(page_get(rig->page, PAGE_REFUSED), i + 1);
    }
}

static void proxy_that_says_nothing_is_not_waited_for(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    rig_write(rig, SPAN("PROXY TCP4 "));
    rig_time_out(rig, WAIT_PROXY);
    rig_expect_end(rig);
}

/* The deadline is absolute: octets that come do not move it. */
static void octet_now_and_then_gains_no_time(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    loop_turn(rig->loop, 0);
    int64_t due = rig->session->timer.due;
    assert_true(due > 0 && due <= loop_now(rig->loop) + 5000);
    rig_write(rig, SPAN("PROXY"));
    loop_turn(rig->loop, 5);
    rig_write(rig, SPAN(" TCP4"));
    loop_turn(rig->loop, 0);
    assert_int_equal(rig->session->timer.due, due);
}

static void nobody_else_speaks_for_others(void **state)
{
    struct rig *rig = rig_of(state);
    set_proxy(rig);
    rig_connect_from(rig, "10.9.8.6");
    rig_write(rig, SPAN(V1));
    rig_expect_end(rig);
    assert_int_equal(page_get(rig->page, PAGE_REFUSED), 1);
}

static void header_is_a_command_where_no_proxy_is_expected(void **state)
{
    struct rig *rig = rig_of(state);
    set_proxy(rig);
    rig->listener.proxy = false;
    rig_connect_from(rig, "10.9.8.7");
    rig_expect(rig, GREETING);
    rig_say(rig, V1, "500 5.5.2 Command not recognized\r\n");
    assert_string_equal(rig->session->client, "10.9.8.7");
}

static void received_names_the_client_behind_the_proxy(void **state)
{
    struct rig *rig = rig_of(state);
    connect_proxy(rig);
    rig_say(rig, V1, GREETING);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    assert_int_equal(rig_ask(rig, RIG_RCPT), 250);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    rig_write(rig, SPAN("hello\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_non_null(strstr(letter.body, "client.test (unknown [192.0.2.7])"));
    assert_true(span_equal(letter.envelope.client_address, SPAN("192.0.2.7")));
    rig_free_letter(&letter);
}

/* ---- the UNIX socket ---- */

static void connect_local(struct rig *rig)
{
    int pair[2];
    const union net_address peer = {.any = {.sa_family = AF_UNIX}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    rig->client = pair[0];
    rig->session = session_new(&rig->worker, pair[1], &peer, &rig->listener);
}

static void local_client_is_known_by_its_user(void **state)
{
    struct rig *rig = rig_of(state);
    char expected[40];
    (void)snprintf(expected, sizeof(expected), "uid %u", getuid());
    rig->conf->greet_pause = 60000;
    connect_local(rig);
    rig_expect(rig, GREETING);
    assert_string_equal(rig->session->client, expected);
    assert_true(rig->session->trusted && rig->session->local && rig->session->loopback);
    assert_int_equal(rig->session->network, 0);
}

static void local_client_may_send_to_anywhere(void **state)
{
    struct rig *rig = rig_of(state);
    rig->listener.service = SERVICE_SUBMISSION;
    connect_local(rig);
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    assert_int_equal(rig_ask(rig, "RCPT TO:<joe@elsewhere.test>\r\n"), 250);
}

static void received_names_the_user_of_a_local_client(void **state)
{
    struct rig *rig = rig_of(state);
    char expected[80];
    (void)snprintf(expected, sizeof(expected), "Received: from client.test (uid %u)\r\n\tby ",
                   getuid());
    connect_local(rig);
    assert_int_equal(rig_hear_code(rig), 220);
    assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    assert_int_equal(rig_ask(rig, RIG_RCPT), 250);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    rig_write(rig, SPAN("hello\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_true(span_has_prefix(span_cstr(letter.body), span_cstr(expected)));
    rig_free_letter(&letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(stranger_waits_for_the_greeting),
        RIG_TEST(pause_ends_by_itself),
        RIG_TEST(one_octet_in_the_silence_is_too_many),
        RIG_TEST(commands_said_in_the_silence_are_not_served),
        RIG_TEST(client_may_leave_in_the_silence),
        RIG_TEST(trusted_networks_are_greeted_at_once),
        RIG_TEST(submission_is_greeted_at_once),
        RIG_TEST(silent_session_holds_no_buffer),
        RIG_TEST(worker_that_ends_says_so_in_the_silence),
        RIG_TEST(client_is_whom_the_proxy_names),
        RIG_TEST(header_may_come_octet_by_octet),
        RIG_TEST(header_split_anywhere_is_the_same),
        RIG_TEST(trusted_client_that_says_all_at_once_is_served),
        RIG_TEST(client_named_while_the_worker_ends_is_served_in_a_reload_alone),
        RIG_TEST(only_the_header_is_taken_from_the_socket),
        RIG_TEST(stranger_behind_a_proxy_waits_for_the_greeting),
        RIG_TEST(trust_is_that_of_the_client_and_not_of_the_proxy),
        RIG_TEST(loopback_is_that_of_the_client),
        RIG_TEST(limits_count_the_client_and_not_the_proxy),
        RIG_TEST(nothing_stays_counted_of_those_who_leave_early),
        RIG_TEST(malformed_header_ends_the_connection_without_a_word),
        RIG_TEST(proxy_that_says_nothing_is_not_waited_for),
        RIG_TEST(octet_now_and_then_gains_no_time),
        RIG_TEST(nobody_else_speaks_for_others),
        RIG_TEST(header_is_a_command_where_no_proxy_is_expected),
        RIG_TEST(received_names_the_client_behind_the_proxy),
        RIG_TEST(local_client_is_known_by_its_user),
        RIG_TEST(local_client_may_send_to_anywhere),
        RIG_TEST(received_names_the_user_of_a_local_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
