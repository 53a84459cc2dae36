/*
 * The questions about `access` and `senders` as smtpd asks them, through the socket of the daemon
 * in its sandbox.
 */
#include "lookup_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "util/mail/access_table.h"
#include "util/mail/senders_table.h"

static int set_up(void **state)
{
    const struct lookup_rig_wishes wishes = {
        .settings = "",
        .users = "alice@example.test\n",
        .aliases = "postmaster alice\n",
    };
    lookup_rig_begin(state, &wishes);
    return 0;
}

static const struct access_ask question = {
    .query = 7,
    .kinds = ACCESS_ASK_ALL,
    .client = SPAN_INIT("192.0.2.7"),
    .name = SPAN_INIT("mail.example.net"),
    .helo = SPAN_INIT("friend"),
    .sender = SPAN_INIT("joe@example.biz"),
    .recipient = SPAN_INIT("alice@example.test"),
};

static struct access_answer access_of(struct lookup_rig *rig, const struct access_ask *ask)
{
    struct access_answer answer;
    lookup_rig_ask(rig, &ipc_access_ask, ask);
    lookup_rig_hear(rig, &ipc_access_answer, &answer);
    assert_int_equal(answer.query, ask->query);
    return answer;
}

static struct sender_answer sender_of(struct lookup_rig *rig, const char *login,
                                      const char *address)
{
    const struct sender_ask ask = {3, span_cstr(login), span_cstr(address)};
    struct sender_answer answer;
    lookup_rig_ask(rig, &ipc_sender_ask, &ask);
    lookup_rig_hear(rig, &ipc_sender_answer, &answer);
    assert_int_equal(answer.query, 3);
    return answer;
}

static void an_installation_without_the_tables_says_nothing(void **state)
{
    struct lookup_rig *rig = *state;
    struct access_answer answer = access_of(rig, &question);
    assert_int_equal(answer.status, ACCESS_ABSENT);
    assert_int_equal(answer.ok | answer.held, 0);
    assert_int_equal(answer.line, 0);
    struct sender_answer right = sender_of(rig, "alice@example.test", "bob@example.test");
    assert_int_equal(right.verdict, SENDERS_REFUSED);
    assert_int_equal(right.line, 0);
}

static void half_a_table_is_temporary(void **state)
{
    struct lookup_rig *rig = *state;
    table_rig_write_with(&rig->tables, "access", "helo:x OK\n", &access_rules);
    table_rig_write_with(&rig->tables, "senders", "a@b.test *\n", &senders_rules);
    table_rig_damage(&rig->tables, "access", DAMAGE_MISSING);
    table_rig_damage(&rig->tables, "senders", DAMAGE_MISSING);
    assert_int_equal(access_of(rig, &question).status, ACCESS_TEMPORARY);
    assert_int_equal(sender_of(rig, "a@b.test", "x@y.test").verdict, SENDERS_ERROR);
    assert_int_equal(unlink(table_rig_path(&rig->tables, "access")), 0);
    assert_int_equal(access_of(rig, &question).status, ACCESS_ABSENT);
}

static void the_first_refusal_comes_with_every_ok_and_hold(void **state)
{
    struct lookup_rig *rig = *state;
    table_rig_write_with(&rig->tables, "access",
                         "client:192.0.2.0/24 OK\nhelo:friend HOLD\n"
                         "sender:.biz 451 4.7.9 Not today\nrecipient:alice@example.test REJECT\n",
                         &access_rules);
    struct access_answer answer = access_of(rig, &question);
    assert_int_equal(answer.status, ACCESS_REFUSED);
    assert_int_equal(answer.kind, ACCESS_SENDER);
    assert_int_equal(answer.line, 3);
    assert_int_equal(answer.code, 451);
    assert_true(span_equal(answer.enhanced, SPAN("4.7.9")));
    assert_true(span_equal(answer.text, SPAN("Not today")));
    assert_int_equal(answer.ok, ACCESS_ASK_CLIENT);
    assert_int_equal(answer.held, ACCESS_ASK_HELO);
}

static void only_the_kinds_that_are_asked_for_are_looked_up(void **state)
{
    struct lookup_rig *rig = *state;
    struct access_ask ask = question;
    table_rig_write_with(&rig->tables, "access",
                         "client:192.0.2.0/24 REJECT\nhelo:friend HOLD\nsender:<> DEFER\n",
                         &access_rules);
    ask.kinds = ACCESS_ASK_HELO | ACCESS_ASK_RECIPIENT;
    struct access_answer answer = access_of(rig, &ask);
    assert_int_equal(answer.status, ACCESS_CLEAR);
    assert_int_equal(answer.held, ACCESS_ASK_HELO);
    assert_int_equal(answer.line, 2);
    ask.kinds = ACCESS_ASK_SENDER;
    ask.sender = SPAN("");
    answer = access_of(rig, &ask);
    assert_int_equal(answer.status, ACCESS_REFUSED);
    assert_int_equal(answer.line, 3);
}

/* smtpd faces the network: what it says need not make sense. */
static void facts_that_make_no_sense_are_in_no_table(void **state)
{
    struct lookup_rig *rig = *state;
    struct access_ask ask = question;
    table_rig_write_with(&rig->tables, "access", "client:0.0.0.0/0 REJECT\nsender:biz REJECT\n",
                         &access_rules);
    ask.client = SPAN("300.1.2.3\r\n");
    ask.name = SPAN("\0\0");
    ask.helo = SPAN("\xff\n");
    ask.sender = SPAN("@@");
    ask.recipient = SPAN("");
    struct access_answer answer = access_of(rig, &ask);
    assert_int_equal(answer.status, ACCESS_CLEAR);
    assert_int_equal(answer.line, 0);
    assert_int_equal(sender_of(rig, "", "no address").verdict, SENDERS_REFUSED);
}

static void a_listed_sender_is_allowed_and_a_rebuilt_table_counts(void **state)
{
    struct lookup_rig *rig = *state;
    const char *login = "alice@example.test";
    table_rig_write_with(&rig->tables, "senders", "alice@example.test @lists.test\n",
                         &senders_rules);
    assert_int_equal(sender_of(rig, login, "x@lists.test").verdict, SENDERS_LISTED);
    assert_int_equal(sender_of(rig, login, "x@other.test").verdict, SENDERS_REFUSED);
    assert_int_equal(sender_of(rig, login, "Alice@example.test").verdict, SENDERS_OWN);
    table_rig_write_with(&rig->tables, "senders", "\nalice@example.test @other.test\n",
                         &senders_rules);
    assert_int_equal(sender_of(rig, login, "x@other.test").verdict, SENDERS_LISTED);
    assert_int_equal(sender_of(rig, login, "x@lists.test").line, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, lookup_rig_end)
    const struct CMUnitTest tests[] = {
        TEST(an_installation_without_the_tables_says_nothing),
        TEST(half_a_table_is_temporary),
        TEST(the_first_refusal_comes_with_every_ok_and_hold),
        TEST(only_the_kinds_that_are_asked_for_are_looked_up),
        TEST(facts_that_make_no_sense_are_in_no_table),
        TEST(a_listed_sender_is_allowed_and_a_rebuilt_table_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
