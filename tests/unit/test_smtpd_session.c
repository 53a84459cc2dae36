/*
 * The life of a session: how it begins, what slows it down, what ends it, and what it costs while
 * it is idle.
 */
#include "smtpd_rig.h"

static void client_is_greeted(void **state)
{
    struct rig *rig = rig_of(state);
    rig_connect_from(rig, "192.0.2.1");
    rig_expect(rig, "220 mx.example.test ESMTP Veredus\r\n");
    assert_int_equal(page_get(rig->page, PAGE_SESSIONS), 1);
    assert_int_equal(page_get(rig->page, PAGE_CONNECTIONS), 1);
}

static void ehlo_lists_the_extensions(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_START);
    rig_say(rig, RIG_HELLO,
            "250-mx.example.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-VRFY\r\n"
            "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-CHUNKING\r\n"
            "250-BINARYMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
            "250-LIMITS RCPTMAX=1000 MAILMAX=100000\r\n250 HELP\r\n");
    assert_true(rig->session->extended);
}

static void helo_answers_one_line(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_START);
    rig_say(rig, "HELO client.test\r\n", "250 mx.example.test\r\n");
    assert_false(rig->session->extended);
}

static void helo_without_a_name_is_a_setting(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_START);
    rig_say(rig, "HELO\r\n", "501 5.5.4 Say your name: HELO domain\r\n");
    rig->conf->helo_argument_required = false;
    rig_say(rig, "HELO\r\n", "250 mx.example.test\r\n");
}

static void helo_has_the_length_of_a_domain(void **state)
{
    struct rig *rig = rig_of(state);
    char line[300];
    rig_reach(rig, SESSION_START);
    (void)snprintf(line, sizeof(line), "HELO %0255d\r\n", 1);
    assert_int_equal(rig_ask(rig, line), 250);
    (void)snprintf(line, sizeof(line), "HELO %0256d\r\n", 1);
    assert_int_equal(rig_ask(rig, line), 501);
    assert_int_equal(rig->session->helo.len, 255);
}

static void client_that_talks_first_is_sent_away(void **state)
{
    struct rig *rig = rig_of(state);
    int pair[2];
    union net_address client = rig_address("192.0.2.1");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(send(pair[0], "EHLO x\r\n", 8, 0), 8);
    rig->client = pair[0];
    rig->session = session_new(&rig->worker, pair[1], &client, &rig->listener);
    rig_expect(rig, "554 5.5.1 You talk before you are greeted\r\n");
    rig_expect_end(rig);
}

static void network_has_a_limit_of_connections(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.connections_per_network = 2;
    int kept[2];
    for (size_t i = 0; i < 2; i++) {
        rig_connect_from(rig, "2001:db8::1");
        assert_int_equal(rig_hear_code(rig), 220);
        kept[i] = rig->client;
        rig->client = -1;
    }
    /* Another address of the same /64. */
    rig_connect_from(rig, "2001:db8::2");
    rig_expect(rig, "421 4.7.0 Too many connections from your network\r\n");
    rig_expect_end(rig);
    rig_connect_from(rig, "192.0.2.9");
    assert_int_equal(rig_hear_code(rig), 220);
    (void)close(kept[0]);
    (void)close(kept[1]);
}

static void trusted_network_has_none(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.connections_per_network = 1;
    rig_connect_from(rig, "127.0.0.1");
    assert_int_equal(rig_hear_code(rig), 220);
    int kept = rig->client;
    rig->client = -1;
    rig_connect_from(rig, "127.0.0.1");
    assert_int_equal(rig_hear_code(rig), 220);
    (void)close(kept);
}

static void connections_of_other_workers_count(void **state)
{
    struct rig *rig = rig_of(state);
    union net_address client = rig_address("192.0.2.1");
    struct page *sibling = rig_page();
    const struct daemon_page pages[] = {{ROLE_SMTPD, 1, sibling}};
    rig->worker.pages = pages;
    rig->conf->limits.connections_per_network = 1;
    page_connections_add(sibling, net_limit_key(&client), 1);
    rig_connect_from(rig, "192.0.2.1");
    assert_int_equal(rig_hear_code(rig), 421);
    rig->worker.pages = rig->pages;
    page_unmap(sibling);
}

/* Nobody who owns a worker of one service locks out the clients of the other. */
static void connections_of_the_other_service_do_not_count(void **state)
{
    static const enum role roles[] = {ROLE_SMTPD, ROLE_SUBMISSION};
    struct rig *rig = rig_of(state);
    union net_address client = rig_address("192.0.2.1");
    struct page *other = rig_page();
    rig->conf->limits.connections_per_network = 1;
    page_connections_add(other, net_limit_key(&client), 1);
    for (size_t i = 0; i < COUNT(roles); i++) {
        const struct daemon_page pages[] = {{roles[1 - i], 1, other}};
        rig->worker.role = roles[i];
        rig->worker.pages = pages;
        rig_connect_from(rig, "192.0.2.1");
        assert_int_equal(rig_hear_code(rig), 220);
        session_drop(rig->session);
        rig->worker.pages = rig->pages;
        loop_turn(rig->loop, 0);
    }
    page_unmap(other);
}

static void worker_has_a_limit_of_connections(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.connections_per_worker = 1;
    rig_connect_from(rig, "192.0.2.1");
    assert_int_equal(rig_hear_code(rig), 220);
    int kept = rig->client;
    rig->client = -1;
    rig_connect_from(rig, "127.0.0.1");
    rig_expect(rig, "421 4.3.2 Too many connections, try again later\r\n");
    (void)close(kept);
}

static void pipelined_commands_are_answered_in_order(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_say(rig, RIG_MAIL "RCPT TO:<nobody@example.test>\r\n" RIG_RCPT "NOOP\r\nDATA\r\n",
            "250 2.1.0 Ok\r\n550 5.1.1 No such user here\r\n250 2.1.5 Ok\r\n250 2.0.0 "
            "Ok\r\n" RIG_DATA_OK);
}

static void flood_of_commands_is_answered_to_the_last(void **state)
{
    enum { COMMANDS = 8000 };
    struct rig *rig = rig_of(state);
    rig->conf->limits.junk_commands = COMMANDS + 1;
    rig_reach(rig, SESSION_READY);
    for (int i = 0; i < COMMANDS; i++) {
        rig_write(rig, SPAN("NOOP\r\n"));
        if (i % 100 == 0)
            (void)rig_listen(rig);
    }
    for (int i = 0; i < COMMANDS; i++)
        assert_int_equal(rig_hear_code(rig), 250);
    rig_expect_silence(rig);
}

/* All of them in one read, with more replies than are held at once. */
static void large_group_of_commands_does_not_stall(void **state)
{
    enum { COMMANDS = 5000, LINE = 6 };
    static char group[COMMANDS * LINE];
    struct rig *rig = rig_of(state);
    rig->conf->limits.junk_commands = COMMANDS + 1;
    rig_reach(rig, SESSION_READY);
    for (size_t i = 0; i < COMMANDS; i++)
        memcpy(group + i * LINE, "NOOP\r\n", LINE);
    assert_int_equal(send(rig->client, group, sizeof(group), MSG_NOSIGNAL), sizeof(group));
    for (int i = 0; i < COMMANDS; i++)
        assert_int_equal(rig_hear_code(rig), 250);
}

static void command_may_come_octet_by_octet(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    struct span line = SPAN(RIG_MAIL);
    for (size_t i = 0; i < line.len; i++) {
        rig_write(rig, span_of(line.data + i, 1));
        loop_turn(rig->loop, 0);
    }
    rig_expect(rig, "250 2.1.0 Ok\r\n");
}

static void control_octets_are_refused(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_write(rig, SPAN("NOOP\0\r\n"));
    rig_expect(rig, "501 5.5.2 Control octet in a command\r\n");
    rig_write(rig, SPAN("MAIL FROM:<a\0b@sender.test>\r\n"));
    rig_expect(rig, "501 5.5.2 Control octet in a command\r\n");
    rig_write(rig, SPAN("NOOP\rQUIT\r\n"));
    rig_expect(rig, "501 5.5.2 Control octet in a command\r\n");
}

static void write_many(struct rig *rig, char octet, size_t count)
{
    char block[512];
    memset(block, octet, sizeof(block));
    for (size_t left = count; left > 0;) {
        size_t piece = left < sizeof(block) ? left : sizeof(block);
        rig_write(rig, span_of(block, piece));
        left -= piece;
    }
}

static void long_command_is_swallowed(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    write_many(rig, 'x', 5000);
    rig_expect_silence(rig);
    rig_say(rig, "\r\nNOOP\r\n", "500 5.5.2 Command line too long\r\n250 2.0.0 Ok\r\n");
}

static void command_without_end_closes(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    write_many(rig, 'x', 5 * 2048);
    rig_expect(rig, "500 5.5.2 Command line far too long\r\n");
    rig_expect_end(rig);
}

static void errors_slow_down_then_close(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    for (unsigned i = 1; i < 10; i++)
        assert_int_equal(rig_ask(rig, "XYZZY\r\n"), 500);
    for (unsigned i = 10; i < 20; i++) {
        rig_write(rig, SPAN("XYZZY\r\n"));
        rig_expect_silence(rig);
        rig_time_out(rig, WAIT_PAUSE);
        assert_int_equal(rig_hear_code(rig), 500);
    }
    rig_say(rig, "XYZZY\r\n", "500 5.5.2 Command not recognized\r\n421 4.7.0 Too many errors\r\n");
    rig_expect_end(rig);
}

static void junk_becomes_an_error_and_a_message_forgives_it(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.junk_commands = 3;
    rig_reach(rig, SESSION_READY); /* EHLO is the first */
    assert_int_equal(rig_ask(rig, "NOOP\r\n"), 250);
    assert_int_equal(rig_ask(rig, "VRFY x\r\n"), 252);
    assert_int_equal(rig->session->errors, 0);
    assert_int_equal(rig_ask(rig, "NOOP\r\n"), 250);
    assert_int_equal(rig->session->errors, 1);
    assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    assert_int_equal(rig_ask(rig, RIG_RCPT), 250);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    assert_int_equal(rig_ask(rig, "x\r\n.\r\n"), 250);
    assert_int_equal(rig_ask(rig, "NOOP\r\n"), 250);
    assert_int_equal(rig->session->errors, 1);
}

static void idle_client_times_out(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_time_out(rig, WAIT_COMMAND);
    rig_expect(rig, "421 4.4.2 Timeout\r\n");
    rig_expect_end(rig);
}

static void dripping_command_does_not_move_its_deadline(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_write(rig, SPAN("N"));
    loop_turn(rig->loop, 0);
    assert_int_equal(rig->session->wait, WAIT_LINE);
    int64_t due = rig->session->timer.due;
    int64_t now = clock_ms();
    while (clock_ms() == now)
        loop_turn(rig->loop, 1);
    rig_write(rig, SPAN("O"));
    loop_turn(rig->loop, 0);
    assert_int_equal(rig->session->timer.due, due);
    rig_time_out(rig, WAIT_LINE);
    rig_expect(rig, "421 4.4.2 Timeout\r\n");
}

static void client_that_does_not_hear_is_dropped(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    int small = 1;
    (void)setsockopt(rig->session->stream.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    rig->conf->limits.junk_commands = 1000000;
    for (int i = 0; i < 2000; i++)
        if (send(rig->client, "HELP\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    for (int i = 0; i < 50; i++)
        loop_turn(rig->loop, 0);
    assert_true(buf_len(&rig->session->out) > 0);
    assert_true(buf_len(&rig->session->out) < 20000);
    rig_time_out(rig, WAIT_OUTPUT);
    loop_turn(rig->loop, 0);
    assert_int_equal(rig->worker.session_count, 0);
}

static void idle_session_holds_no_buffers(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    assert_int_equal(rig_ask(rig, "x\r\n.\r\n"), 250);
    loop_turn(rig->loop, 0);
    const struct session *session = rig->session;
    assert_null(session->in.data);
    assert_null(session->out.data);
    assert_null(session->transaction);
    assert_true(sizeof(*session) < 1536);
}

static void note_drained(void *arg)
{
    *(bool *)arg = true;
}

static void turn_until(struct rig *rig, const bool *condition)
{
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    while (!*condition && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    assert_true(*condition);
}

static void drain_ends_idle_sessions_at_once(void **state)
{
    struct rig *rig = rig_of(state);
    bool drained = false;
    rig_reach(rig, SESSION_READY);
    worker_drain(&rig->worker, false, note_drained, &drained);
    rig_expect(rig, "421 4.3.2 Service is shutting down\r\n");
    assert_false(drained);
    (void)close(rig->client);
    rig->client = -1;
    turn_until(rig, &drained);
}

static void drain_lets_a_transaction_finish(void **state)
{
    struct rig *rig = rig_of(state);
    bool drained = false;
    rig_reach(rig, SESSION_RCPT);
    worker_drain(&rig->worker, false, note_drained, &drained);
    rig_expect_silence(rig);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    assert_int_equal(rig_ask(rig, "x\r\n.\r\n"), 250);
    assert_int_equal(rig_hear_code(rig), 421);
    (void)close(rig->client);
    rig->client = -1;
    turn_until(rig, &drained);
    assert_int_equal(page_get(rig->page, PAGE_MESSAGES_IN), 1);
}

/* RFC 5321 §3.8 */
static void client_amid_a_transaction_is_told_before_it_is_dropped(void **state)
{
    static const enum session_state states[] = {SESSION_MAIL, SESSION_RCPT, SESSION_DATA};
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(states); i++) {
        rig_reach(rig, states[i]);
        worker_dismiss(&rig->worker);
        rig_expect(rig, "421 4.3.2 Service is shutting down\r\n");
        rig_expect_end(rig);
    }
}

static void paused_client_is_told_too(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_MAIL);
    session_pause(rig->session);
    worker_dismiss(&rig->worker);
    rig_expect(rig, "421 4.3.2 Service is shutting down\r\n");
}

/* Nothing but 250: after 421 the client would send it again. */
static void letter_on_its_way_to_the_disk_is_answered_before_the_end(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    (void)send(rig->client, "x\r\n.\r\n", 6, MSG_NOSIGNAL);
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    while (rig->session->state == SESSION_DATA && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    assert_int_equal(rig->session->state, SESSION_COMMIT);
    worker_dismiss(&rig->worker);
    assert_int_equal(rig_hear_code(rig), 250);
}

static void counters_fall_when_the_client_leaves(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    union net_address client = rig_address("192.0.2.1");
    assert_int_equal(page_connections(rig->page, net_limit_key(&client)), 1);
    (void)close(rig->client);
    rig->client = -1;
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    assert_int_equal(page_connections(rig->page, net_limit_key(&client)), 0);
    assert_int_equal(page_get(rig->page, PAGE_SESSIONS), 0);
    assert_int_equal(rig->worker.session_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(client_is_greeted),
        RIG_TEST(ehlo_lists_the_extensions),
        RIG_TEST(helo_answers_one_line),
        RIG_TEST(helo_without_a_name_is_a_setting),
        RIG_TEST(helo_has_the_length_of_a_domain),
        RIG_TEST(client_that_talks_first_is_sent_away),
        RIG_TEST(network_has_a_limit_of_connections),
        RIG_TEST(trusted_network_has_none),
        RIG_TEST(connections_of_other_workers_count),
        RIG_TEST(connections_of_the_other_service_do_not_count),
        RIG_TEST(worker_has_a_limit_of_connections),
        RIG_TEST(pipelined_commands_are_answered_in_order),
        RIG_TEST(flood_of_commands_is_answered_to_the_last),
        RIG_TEST(large_group_of_commands_does_not_stall),
        RIG_TEST(command_may_come_octet_by_octet),
        RIG_TEST(control_octets_are_refused),
        RIG_TEST(long_command_is_swallowed),
        RIG_TEST(command_without_end_closes),
        RIG_TEST(errors_slow_down_then_close),
        RIG_TEST(junk_becomes_an_error_and_a_message_forgives_it),
        RIG_TEST(idle_client_times_out),
        RIG_TEST(dripping_command_does_not_move_its_deadline),
        RIG_TEST(client_that_does_not_hear_is_dropped),
        RIG_TEST(idle_session_holds_no_buffers),
        RIG_TEST(drain_ends_idle_sessions_at_once),
        RIG_TEST(drain_lets_a_transaction_finish),
        RIG_TEST(client_amid_a_transaction_is_told_before_it_is_dropped),
        RIG_TEST(paused_client_is_told_too),
        RIG_TEST(letter_on_its_way_to_the_disk_is_answered_before_the_end),
        RIG_TEST(counters_fall_when_the_client_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
