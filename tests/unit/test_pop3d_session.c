/*
 * Whole sessions: logins that go wrong, pipelining, deletions, ends.
 */
#include "pop3d_rig.h"

#include "pop3d/commands.h"
#include "tests/unit/local_address.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- AUTHORIZATION ---- */

static void test_the_greeting_is_the_rfcs(void **state)
{
    struct rig *rig = *state;
    rig_forget(rig);
    rig_connect(rig, "127.0.0.1");
    assert_string_equal(rig_talk(rig, ""), "+OK POP3 server ready\r\n");
}

static void test_a_login_says_what_is_there(void **state)
{
    struct rig *rig = *state;
    rig_expect(rig, "USER alice\r\nPASS right\r\n",
               "+OK send the password\r\n+OK maildrop has 3 messages (64 octets)\r\n");
}

static void test_after_a_wrong_password_user_must_come_again(void **state)
{
    struct rig *rig = *state;
    rig_expect(rig, "USER alice\r\nPASS wrong\r\nPASS right\r\nUSER alice\r\nPASS right\r\n",
               "+OK send the password\r\n-ERR [AUTH] authentication failed\r\n"
               "-ERR USER comes first\r\n+OK send the password\r\n"
               "+OK maildrop has 3 messages (64 octets)\r\n");
}

/* Rates of so many failed logins and connections; the rig's client is no trusted one. */
static struct rates *limit_rates(struct rig *rig, unsigned failures, unsigned connections)
{
    int fd = rates_create();
    rig->worker.rates = rates_map(fd);
    (void)close(fd);
    assert_non_null(rig->worker.rates);
    rig->conf.limits.auth_failures = failures;
    rig->conf.limits.auth_failures_per_account = 1000;
    rig->conf.limits.connections_rate = connections;
    return rig->worker.rates;
}

static void test_too_many_failed_logins_put_the_network_off(void **state)
{
    struct rig *rig = *state;
    struct rates *rates = limit_rates(rig, 2, 1000);
    for (int i = 0; i < 2; i++)
        rig_expect(rig, "USER alice\r\nPASS wrong\r\n",
                   "+OK send the password\r\n-ERR [AUTH] authentication failed\r\n");
    rig_expect(rig, "USER alice\r\nPASS right\r\n",
               "+OK send the password\r\n"
               "-ERR [SYS/TEMP] too many failed logins, try again later\r\n");
    rates_unmap(rates);
    rig->worker.rates = NULL;
}

static void test_too_many_failed_logins_close_an_account_to_strangers(void **state)
{
    struct rig *rig = *state;
    struct rates *rates = limit_rates(rig, 1000, 1000);
    rig->conf.limits.auth_failures_per_account = 2;
    const struct rate_client client = session_rate_client(rig_session(rig));
    for (int i = 0; i < 2; i++)
        rate_limits_login_failed(&client, SPAN("alice@example.test"));
    rig_expect(rig, "USER alice\r\nPASS right\r\n",
               "+OK send the password\r\n"
               "-ERR [SYS/TEMP] too many failed logins, try again later\r\n");
    rates_unmap(rates);
    rig->worker.rates = NULL;
}

static void test_connections_of_a_network_have_a_rate(void **state)
{
    struct rig *rig = *state;
    struct rates *rates = limit_rates(rig, 1000, 2);
    for (int i = 0; i < 3; i++) {
        rig_hang_up(rig);
        rig_forget(rig);
        rig_connect(rig, "127.0.0.1");
        rig_settle(rig);
        assert_int_equal(rig->closed, i == 2);
    }
    assert_true(span_equal(buf_span(&rig->heard),
                           SPAN("-ERR [SYS/TEMP] too many connections from your network, try again "
                                "later\r\n")));
    rates_unmap(rates);
    rig->worker.rates = NULL;
}

static void test_a_password_keeps_its_blanks(void **state)
{
    struct rig *rig = *state;
    (void)rig_talk(rig, "USER alice\r\nPASS  a b \t\r\n");
    assert_string_equal(rig->password_text, " a b \t");
}

static void test_a_password_does_not_stay_in_the_buffer_of_all_sessions(void **state)
{
    static const char secret[] = "correct horse";
    struct rig *rig = *state;
    rig_send(rig, SPAN("USER alice\r\nPASS correct hor"));
    rig_settle(rig);
    assert_null(memmem(rig->worker.input, WORKER_INPUT, "correct", strlen("correct")));
    struct span kept = buf_span(&rig_session(rig)->in);
    assert_non_null(memmem(kept.data, kept.len, "correct", strlen("correct")));
    /* The next line keeps the buffer of the session in use. */
    (void)rig_talk(rig, "se\r\nNOO");
    assert_string_equal(rig->password_text, secret);
    const struct buf *in = &rig_session(rig)->in;
    assert_null(memmem(rig->worker.input, WORKER_INPUT, secret, strlen(secret)));
    assert_null(memmem(in->data, in->cap, secret, strlen(secret)));
}

static void test_what_can_not_be_verified_now_is_temporary(void **state)
{
    struct rig *rig = *state;
    rig_expect(rig, "USER alice\r\nPASS later\r\n",
               "+OK send the password\r\n"
               "-ERR [SYS/TEMP] the password can not be verified now, try again later\r\n");
    assert_false(rig->closed);
}

static void test_a_mailbox_that_is_not_opened_says_why(void **state)
{
    static const struct {
        enum mailbox_status status;
        const char *code;
    } rows[] = {
        {MAILBOX_IN_USE, "-ERR [IN-USE] "},
        {MAILBOX_DENIED, "-ERR [SYS/PERM] "},
        {MAILBOX_TEMPORARY, "-ERR [SYS/TEMP] "},
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig->open_status = rows[i].status;
        rig_forget(rig);
        assert_non_null(strstr(rig_talk(rig, "USER alice\r\nPASS right\r\n"), rows[i].code));
        rig_expect(rig, "STAT\r\n", "-ERR log in first\r\n");
    }
    rig->open_status = MAILBOX_OK;
    rig_log_in(rig);
}

static void test_passwords_from_afar_are_not_taken(void **state)
{
    static const char refusal[] = "-ERR [AUTH] passwords are not taken from here without TLS\r\n";
    struct rig *rig = *state;
    rig_connect(rig, "192.0.2.1");
    rig_expect(rig, "USER alice\r\n", refusal);
    rig_expect(rig, "PASS right\r\n", refusal);
    assert_null(strstr(rig_talk(rig, "CAPA\r\n"), "USER"));
}

static void test_plaintext_auth_decides_who_may_log_in(void **state)
{
    static const struct {
        enum conf_plaintext setting;
        const char *address;
        bool may;
    } rows[] = {
        {PLAINTEXT_NEVER, "127.0.0.1", false},   {PLAINTEXT_LOOPBACK, "127.0.0.9", true},
        {PLAINTEXT_LOOPBACK, "::1", true},       {PLAINTEXT_LOOPBACK, "2001:db8::1", false},
        {PLAINTEXT_ALWAYS, "2001:db8::1", true},
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig->conf.plaintext_auth = rows[i].setting;
        rig_connect(rig, rows[i].address);
        rig_forget(rig);
        assert_int_equal(strstr(rig_talk(rig, "USER alice\r\n"), "+OK") != NULL, rows[i].may);
    }
}

static void test_without_auth_or_mailbox_a_login_fails_for_now(void **state)
{
    struct rig *rig = *state;
    rig_lose_mailbox(rig);
    rig_settle(rig);
    rig_forget(rig);
    assert_non_null(strstr(rig_talk(rig, "USER alice\r\nPASS right\r\n"), "-ERR [SYS/TEMP]"));
    rig_lose_auth(rig);
    rig_settle(rig);
    rig_forget(rig);
    assert_non_null(strstr(rig_talk(rig, "USER alice\r\nPASS right\r\n"), "-ERR [SYS/TEMP]"));
    assert_false(rig->closed);
}

static void test_auth_dying_amid_a_login_ends_the_session(void **state)
{
    struct rig *rig = *state;
    (void)rig_talk(rig, "USER alice\r\nPASS hang\r\n");
    rig_forget(rig);
    rig_lose_auth(rig);
    assert_string_equal(rig_talk(rig, ""),
                        "-ERR [SYS/TEMP] an internal error, try again later\r\n");
    assert_true(rig->closed);
    assert_null(rig_session(rig));
}

/* auth holds the answer to a wrong password back: nobody has to be kept for it. */
static void test_a_client_that_leaves_before_auth_answers_has_left(void **state)
{
    struct rig *rig = *state;
    (void)rig_talk(rig, "USER alice\r\nPASS hang\r\n");
    (void)rig_talk(rig, "QUIT\r\n");
    assert_non_null(rig_session(rig));
    rig_hang_up(rig);
    rig_settle(rig);
    assert_null(rig_session(rig));
}

static void test_octets_behind_a_password_are_kept_up_to_a_command(void **state)
{
    static char flood[10000];
    struct rig *rig = *state;
    (void)rig_talk(rig, "USER alice\r\nPASS hang\r\n");
    memset(flood, 'x', sizeof(flood));
    for (int i = 0; i < 4; i++) {
        rig_send(rig, span_of(flood, sizeof(flood)));
        rig_settle(rig);
    }
    assert_in_range(buf_len(&rig_session(rig)->in), 1, 2 * SESSION_COMMAND_MOST);
}

/* ---- pipelining ---- */

static const char dialogue[] =
    "USER alice\r\nPASS wrong\r\nUSER alice\r\nPASS right\r\nSTAT\r\nLIST\r\nRETR 1\r\nTOP 2 1\r\n"
    "DELE 1\r\nRETR 1\r\nnope\r\nRETR 2\nLAST\r\nUIDL\r\nRSET\r\nDELE 3\r\nQUIT\r\n";

static const char answers[] =
    "+OK POP3 server ready\r\n+OK send the password\r\n-ERR [AUTH] authentication failed\r\n"
    "+OK send the password\r\n+OK maildrop has 3 messages (64 octets)\r\n+OK 3 64\r\n"
    "+OK 3 messages (64 octets)\r\n1 20\r\n2 33\r\n3 11\r\n.\r\n"
    "+OK 20 octets\r\nSubject: a\r\n\r\none\r\n..\r\n.\r\n"
    "+OK top of message follows\r\nSubject: b\r\n\r\n..dot\r\n.\r\n"
    "+OK message deleted\r\n-ERR no such message\r\n-ERR unknown command\r\n"
    "+OK 33 octets\r\nSubject: b\r\n\r\n..dot\r\n...two\r\nlast\r\n.\r\n+OK 2\r\n"
    "+OK unique-id listing follows\r\n2 uid-1\r\n3 uid-2\r\n.\r\n"
    "+OK 3 messages (64 octets)\r\n+OK message deleted\r\n"
    "+OK POP3 server signing off (2 messages left)\r\n";

static void test_pipelined_commands_are_answered_alike_in_every_split(void **state)
{
    struct rig *rig = *state;
    struct span all = SPAN(dialogue);
    for (size_t split = 1; split < all.len; split++) {
        rig_hang_up(rig);
        rig_settle(rig);
        rig_forget(rig);
        rig_connect(rig, "127.0.0.1");
        rig_send(rig, span_first(all, split));
        rig_settle(rig);
        rig_send(rig, span_skip(all, split));
        assert_string_equal(rig_talk(rig, ""), answers);
        assert_true(rig->closed);
    }
}

static void test_commands_octet_by_octet_are_answered_alike(void **state)
{
    struct rig *rig = *state;
    rig_forget(rig);
    rig_connect(rig, "127.0.0.1");
    for (const char *octet = dialogue; *octet != '\0'; octet++) {
        rig_send(rig, span_of(octet, 1));
        rig_settle(rig);
    }
    assert_string_equal(rig_talk(rig, ""), answers);
}

static void test_pipelined_replies_leave_in_one_piece(void **state)
{
    struct rig *rig = *state;
    char octets[1024];
    rig_log_in(rig);
    rig_send(rig, SPAN("NOOP\r\nNOOP\r\nSTAT\r\nNOOP\r\n"));
    loop_turn(rig->loop, 0);
    ssize_t got = recv(rig->client, octets, sizeof(octets), 0);
    assert_int_equal(got, sizeof("+OK\r\n+OK\r\n+OK 3 64\r\n+OK\r\n") - 1);
}

static void test_an_idle_session_holds_no_buffer(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    (void)rig_talk(rig, "LIST\r\nRETR 1\r\nRETR 2\r\nST");
    (void)rig_talk(rig, "AT\r\n");
    assert_null(rig_session(rig)->in.data);
    assert_null(rig_session(rig)->out.data);
}

/* ---- deletions ---- */

static const char *deleted_names(struct rig *rig)
{
    buf_add(&rig->deleted, span_of("", 1));
    rig->deleted.end--;
    return buf_span(&rig->deleted).data;
}

static void test_quit_deletes_what_is_marked_and_unlocks(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig_expect(rig, "DELE 1\r\nDELE 2\r\nRSET\r\nDELE 3\r\nDELE 2\r\n",
               "+OK message deleted\r\n+OK message deleted\r\n+OK 3 messages (64 octets)\r\n"
               "+OK message deleted\r\n+OK message deleted\r\n");
    assert_false(rig_lock_is_free(rig));
    rig_expect(rig, "QUIT\r\n", "+OK POP3 server signing off (1 messages left)\r\n");
    assert_string_equal(deleted_names(rig), "1 2 ");
    assert_true(rig_lock_is_free(rig));
    assert_int_equal(page_get(rig->page, PAGE_DELETED), 2);
}

static void test_an_emptied_maildrop_is_said_to_be_empty(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    (void)rig_talk(rig, "DELE 1\r\nDELE 2\r\nDELE 3\r\n");
    rig_expect(rig, "QUIT\r\n", "+OK POP3 server signing off (maildrop empty)\r\n");
}

/* No turn of the loop lies between: the reply has not gone out yet. Whoever sent the lock may not
 * have closed it yet. */
static void test_quit_unlocks_before_the_client_hears_of_it(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    int senders = dup(rig_session(rig)->maildrop.lock);
    assert_true(senders >= 0);
    assert_false(rig_lock_is_free(rig));
    (void)cmd_quit(rig_session(rig), NULL);
    assert_true(rig_lock_is_free(rig));
    (void)close(senders);
}

static void test_quit_waits_for_the_deletion(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig->mute = true;
    (void)rig_talk(rig, "DELE 1\r\n");
    rig_expect(rig, "QUIT\r\n", "");
    assert_false(rig->closed);
}

static void test_a_partial_deletion_is_an_error(void **state)
{
    struct rig *rig = *state;
    rig->delete_status = MAILBOX_PARTIAL;
    rig_log_in(rig);
    (void)rig_talk(rig, "DELE 1\r\n");
    rig_expect(rig, "QUIT\r\n", "-ERR some deleted messages not removed\r\n");
    assert_true(rig->closed);
}

static void test_long_lists_of_names_are_deleted_in_parts(void **state)
{
    struct rig *rig = *state;
    char line[32];
    rig->count = RIG_MESSAGES;
    rig->long_names = true;
    for (size_t i = 0; i < rig->count; i++)
        rig->texts[i] = SPAN("x\n");
    rig_log_in(rig);
    for (size_t i = 1; i <= rig->count; i++) {
        (void)snprintf(line, sizeof(line), "DELE %zu\r\n", i);
        rig_expect(rig, line, "+OK message deleted\r\n");
    }
    rig_expect(rig, "QUIT\r\n", "+OK POP3 server signing off (maildrop empty)\r\n");
    assert_int_equal(rig->deletes, 2);
    assert_int_equal(page_get(rig->page, PAGE_DELETED), RIG_MESSAGES);
}

static void drop(struct rig *rig)
{
    rig_hang_up(rig);
}

static void let_time_pass(struct rig *rig)
{
    rig->conf.limits.pop3_idle = 0;
    (void)rig_talk(rig, "NOOP\r\n");
}

static void note_drained(void *arg)
{
    ((struct rig *)arg)->drained = true;
}

static void drain_and_run_out(struct rig *rig)
{
    worker_drain(&rig->worker, false, note_drained, rig);
    rig_settle(rig);
    assert_false(rig->drained);
    timer_set(&rig->worker.drain_timer, 0);
}

static void lose_the_mailbox(struct rig *rig)
{
    rig->mute = true;
    rig_send(rig, SPAN("RETR 2\r\n"));
    rig_settle(rig);
    rig_lose_mailbox(rig);
}

static void test_no_end_but_quit_deletes(void **state)
{
    static void (*const ends[])(struct rig *) = {drop, let_time_pass, lose_the_mailbox,
                                                 drain_and_run_out};
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        rig->conf.limits.pop3_idle = 600;
        rig_connect(rig, "127.0.0.1");
        if (rig->mailbox == NULL)
            rig_restore_mailbox(rig);
        rig_log_in(rig);
        (void)rig_talk(rig, "DELE 1\r\n");
        ends[i](rig);
        rig_settle(rig);
        rig_settle(rig);
        assert_null(rig_session(rig));
        assert_true(rig_lock_is_free(rig));
        assert_int_equal(rig->deletes, 0);
    }
    assert_true(rig->drained);
}

/* ---- ends ---- */

static void test_the_mailbox_dying_amid_a_request_ends_the_session(void **state)
{
    static const char *const lines[] = {"RETR 1\r\n", "QUIT\r\n"};
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        rig_connect(rig, "127.0.0.1");
        rig_restore_mailbox(rig);
        rig_log_in(rig);
        (void)rig_talk(rig, "DELE 2\r\n");
        rig->mute = true;
        (void)rig_talk(rig, lines[i]);
        rig_forget(rig);
        rig_lose_mailbox(rig);
        assert_string_equal(rig_talk(rig, ""),
                            "-ERR [SYS/TEMP] an internal error, try again later\r\n");
        assert_true(rig->closed);
    }
}

/* Each ends where a process of mailbox owes an answer. */
static const char *const unanswered[] = {
    "USER alice\r\nPASS right\r\n",
    "USER alice\r\nPASS right\r\nDELE 1\r\nRETR 3\r\n",
    "USER alice\r\nPASS right\r\nDELE 1\r\nQUIT\r\n",
};

/* Says these lines; the last of them meets a mailbox process that does not answer. */
static void talk_unanswered(struct rig *rig, const char *lines)
{
    const char *last = strstr(lines, "DELE 1\r\n");
    rig_connect(rig, "127.0.0.1");
    rig_restore_mailbox(rig);
    if (last != NULL) {
        rig_log_in(rig);
        (void)rig_talk(rig, "DELE 1\r\n");
        lines = last + strlen("DELE 1\r\n");
    }
    rig->mute = true;
    (void)rig_talk(rig, lines);
    rig_forget(rig);
}

static void test_a_request_that_died_with_its_mailbox_is_put_to_the_successor(void **state)
{
    static const char *const expected[] = {
        "+OK maildrop has 3 messages (64 octets)\r\n",
        "+OK 11 octets\r\nX: y\r\n\r\nz\r\n.\r\n",
        "+OK POP3 server signing off (2 messages left)\r\n",
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(unanswered) / sizeof(unanswered[0]); i++) {
        talk_unanswered(rig, unanswered[i]);
        rig_add_successor(rig);
        rig_lose_mailbox(rig);
        assert_string_equal(rig_talk(rig, ""), expected[i]);
        rig_lose_successor(rig);
        rig_settle(rig);
    }
    assert_int_equal(rig->deletes, 1);
}

static void test_a_request_is_put_to_two_mailboxes_at_most(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(unanswered) / sizeof(unanswered[0]); i++) {
        talk_unanswered(rig, unanswered[i]);
        rig_add_successor(rig);
        rig->mute = true;
        rig_lose_mailbox(rig);
        assert_string_equal(rig_talk(rig, ""), "");
        rig_restore_mailbox(rig);
        rig_lose_successor(rig);
        assert_string_equal(rig_talk(rig, ""),
                            "-ERR [SYS/TEMP] an internal error, try again later\r\n");
        assert_true(rig->closed);
    }
    assert_int_equal(rig->deletes, 0);
}

static void test_a_mailbox_in_the_same_place_is_asked_what_the_former_owes(void **state)
{
    struct rig *rig = *state;
    talk_unanswered(rig, unanswered[1]);
    /* Its end is found, and it is freed, by the rig. */
    rig->mailbox = NULL;
    rig_restore_mailbox(rig);
    assert_string_equal(rig_talk(rig, ""), "+OK 11 octets\r\nX: y\r\n\r\nz\r\n.\r\n");
}

static void test_a_mailbox_that_listens_no_more_is_passed_over(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig_add_successor(rig);
    rig_lose_successor(rig);
    /* The end of the successor has not been noticed yet when this is served. */
    for (int i = 0; i < 3; i++)
        rig_expect(rig, "RETR 3\r\n", "+OK 11 octets\r\nX: y\r\n\r\nz\r\n.\r\n");
}

static void test_a_mailbox_started_anew_serves_old_sessions(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig_lose_mailbox(rig);
    rig_settle(rig);
    rig_forget(rig);
    assert_non_null(strstr(rig_talk(rig, "RETR 3\r\n"), "-ERR [SYS/TEMP]"));
    rig_restore_mailbox(rig);
    rig_expect(rig, "RETR 3\r\n", "+OK 11 octets\r\nX: y\r\n\r\nz\r\n.\r\n");
}

static void test_a_login_that_takes_too_long_is_cut_off(void **state)
{
    struct rig *rig = *state;
    rig->conf.limits.pop3_login = 0;
    rig_connect(rig, "127.0.0.1");
    rig_settle(rig);
    assert_true(rig->closed);
    assert_null(rig_session(rig));
}

static void test_after_the_login_only_idleness_counts(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig_session(rig)->login_until = 0;
    rig_expect(rig, "NOOP\r\n", "+OK\r\n");
    rig_settle(rig);
    assert_false(rig->closed);
}

static void test_a_drain_sends_away_who_has_not_logged_in(void **state)
{
    struct rig *rig = *state;
    rig_forget(rig);
    worker_drain(&rig->worker, false, note_drained, rig);
    assert_string_equal(rig_talk(rig, ""), "-ERR [SYS/TEMP] the server is going down\r\n");
    assert_true(rig->closed);
    assert_true(rig->drained);
}

static void test_a_patient_drain_ends_by_itself(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    worker_drain(&rig->worker, true, note_drained, rig);
    timer_set(&rig->worker.drain_timer, 0); /* that was its patience */
    rig_settle(rig);
    rig_expect(rig, "NOOP\r\n", "+OK\r\n");
    timer_set(&rig->worker.drain_timer, 0);
    rig_settle(rig);
    rig_settle(rig);
    assert_null(rig_session(rig));
    assert_true(rig->drained);
}

static void test_a_drain_lets_sessions_finish(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    worker_drain(&rig->worker, false, note_drained, rig);
    rig_expect(rig, "DELE 1\r\n", "+OK message deleted\r\n");
    assert_false(rig->drained);
    rig_expect(rig, "QUIT\r\n", "+OK POP3 server signing off (2 messages left)\r\n");
    rig_settle(rig);
    assert_true(rig->drained);
    assert_int_equal(rig->deletes, 1);
}

static void test_connections_and_sessions_are_counted(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(page_get(rig->page, PAGE_CONNECTIONS), 1);
    assert_int_equal(page_get(rig->page, PAGE_SESSIONS), 1);
    rig_hang_up(rig);
    rig_settle(rig);
    assert_int_equal(page_get(rig->page, PAGE_SESSIONS), 0);
    assert_int_equal(page_get(rig->page, PAGE_CONNECTIONS), 1);
}

static void test_a_network_has_so_many_connections_to_all_workers(void **state)
{
    static const char refused[] =
        "-ERR [SYS/TEMP] too many connections from your network, try again later\r\n";
    struct rig *rig = *state;
    union net_address near, far;
    assert_true(net_parse_address(SPAN("192.0.2.1"), &near));
    assert_true(net_parse_address(SPAN("192.0.2.2"), &far));
    int fd = page_create();
    assert_true(fd >= 0);
    struct page *other = page_map(fd, true);
    (void)close(fd);
    /* Our own page is told to us like the others; smtpd counts its clients for itself. */
    const struct daemon_page pages[] = {
        {ROLE_POP3D, 0, rig->page}, {ROLE_POP3D, 1, other}, {ROLE_SMTPD, 1, other}};
    size_t page_count = sizeof(pages) / sizeof(pages[0]);
    rig->worker.pages = pages;
    rig->worker.page_count = &page_count;
    rig->conf.limits.connections_per_network = 2;

    page_connections_add(other, net_limit_key(&near), 1);
    rig_connect(rig, "192.0.2.1");
    assert_false(rig->closed);
    page_connections_add(other, net_limit_key(&near), 1);
    rig_hang_up(rig);
    rig_settle(rig);
    rig_forget(rig);
    rig_connect(rig, "192.0.2.1");
    assert_true(rig->closed);
    assert_string_equal(rig_talk(rig, ""), refused);
    rig_connect(rig, "192.0.2.2");
    assert_false(rig->closed);
    rig_hang_up(rig);
    rig_settle(rig);
    assert_int_equal(page_connections(rig->page, net_limit_key(&near)), 0);
    assert_int_equal(page_connections(rig->page, net_limit_key(&far)), 0);
    rig->worker.page_count = NULL;
    page_unmap(other);
}

static void test_a_trusted_network_has_as_many_as_it_wants(void **state)
{
    struct rig *rig = *state;
    struct net_prefix trusted;
    assert_true(net_parse_prefix(SPAN("192.0.2.0/24"), &trusted));
    rig->conf.trusted_networks.items = &trusted;
    rig->conf.trusted_networks.count = 1;
    rig->conf.limits.connections_per_network = 0;
    rig_connect(rig, "192.0.2.1");
    assert_false(rig->closed);
    rig_connect(rig, "198.51.100.1");
    assert_true(rig->closed);
}

static void test_a_full_worker_stops_listening_until_somebody_leaves(void **state)
{
    struct rig *rig = *state;
    union net_address any;
    assert_true(net_parse_address(SPAN("127.0.0.1"), &any));
    int listener = net_listen(&any, 8);
    assert_true(listener >= 0);
    assert_true(local_address(listener, &any));
    worker_listen(&rig->worker, listener);
    int clients[5];
    for (size_t i = 0; i < 5; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], &any.any, sizeof(any.v4)), 0);
        loop_turn(rig->loop, i < 3 ? 1000 : 0);
    }
    assert_int_equal(rig->worker.session_count, 4);
    rig_hang_up(rig);
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, i < 2 ? 1000 : 0);
    assert_int_equal(rig->worker.session_count, 4);
    assert_int_equal(page_get(rig->page, PAGE_CONNECTIONS), 5);
    for (size_t i = 0; i < 5; i++)
        (void)close(clients[i]);
    rig_settle(rig);
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIGGED(test_the_greeting_is_the_rfcs),
        RIGGED(test_a_login_says_what_is_there),
        RIGGED(test_after_a_wrong_password_user_must_come_again),
        RIGGED(test_too_many_failed_logins_put_the_network_off),
        RIGGED(test_too_many_failed_logins_close_an_account_to_strangers),
        RIGGED(test_connections_of_a_network_have_a_rate),
        RIGGED(test_a_password_keeps_its_blanks),
        RIGGED(test_a_password_does_not_stay_in_the_buffer_of_all_sessions),
        RIGGED(test_what_can_not_be_verified_now_is_temporary),
        RIGGED(test_a_mailbox_that_is_not_opened_says_why),
        RIGGED(test_passwords_from_afar_are_not_taken),
        RIGGED(test_plaintext_auth_decides_who_may_log_in),
        RIGGED(test_without_auth_or_mailbox_a_login_fails_for_now),
        RIGGED(test_auth_dying_amid_a_login_ends_the_session),
        RIGGED(test_a_client_that_leaves_before_auth_answers_has_left),
        RIGGED(test_octets_behind_a_password_are_kept_up_to_a_command),
        RIGGED(test_pipelined_commands_are_answered_alike_in_every_split),
        RIGGED(test_commands_octet_by_octet_are_answered_alike),
        RIGGED(test_pipelined_replies_leave_in_one_piece),
        RIGGED(test_an_idle_session_holds_no_buffer),
        RIGGED(test_quit_deletes_what_is_marked_and_unlocks),
        RIGGED(test_an_emptied_maildrop_is_said_to_be_empty),
        RIGGED(test_quit_unlocks_before_the_client_hears_of_it),
        RIGGED(test_quit_waits_for_the_deletion),
        RIGGED(test_a_partial_deletion_is_an_error),
        RIGGED(test_long_lists_of_names_are_deleted_in_parts),
        RIGGED(test_no_end_but_quit_deletes),
        RIGGED(test_the_mailbox_dying_amid_a_request_ends_the_session),
        RIGGED(test_a_request_that_died_with_its_mailbox_is_put_to_the_successor),
        RIGGED(test_a_request_is_put_to_two_mailboxes_at_most),
        RIGGED(test_a_mailbox_in_the_same_place_is_asked_what_the_former_owes),
        RIGGED(test_a_mailbox_that_listens_no_more_is_passed_over),
        RIGGED(test_a_mailbox_started_anew_serves_old_sessions),
        RIGGED(test_a_login_that_takes_too_long_is_cut_off),
        RIGGED(test_after_the_login_only_idleness_counts),
        RIGGED(test_a_drain_sends_away_who_has_not_logged_in),
        RIGGED(test_a_drain_lets_sessions_finish),
        RIGGED(test_a_patient_drain_ends_by_itself),
        RIGGED(test_connections_and_sessions_are_counted),
        RIGGED(test_a_network_has_so_many_connections_to_all_workers),
        RIGGED(test_a_trusted_network_has_as_many_as_it_wants),
        RIGGED(test_a_full_worker_stops_listening_until_somebody_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
