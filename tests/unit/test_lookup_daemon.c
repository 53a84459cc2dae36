/*
 * The daemon in its sandbox, over real tables: what is asked through a socket is answered through
 * it, every question once, whatever the question and the tables are like.
 */
#include "lookup_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/unit/buf_text.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static int set_up(void **state)
{
    const struct lookup_rig_wishes wishes = {
        .settings = "limits { alias_expansion = 10000 }\n",
        .users = "alice@example.test\nbob@example.test\n",
        .aliases = "both: alice, bob\nloop1: loop2\nloop2: loop1\npipe: |/bin/id\n",
    };
    lookup_rig_begin(state, &wishes);
    return 0;
}

static void ask(struct lookup_rig *rig, uint32_t query, struct span local, struct span domain,
                uint8_t flags)
{
    const struct resolve question = {query, local, domain, flags};
    lookup_rig_ask(rig, &ipc_resolve, &question);
}

static struct resolved heard(struct lookup_rig *rig)
{
    struct resolved answer;
    lookup_rig_hear(rig, &ipc_resolved, &answer);
    return answer;
}

static struct resolved answer_to(struct lookup_rig *rig, struct span local, struct span domain,
                                 uint8_t flags)
{
    ask(rig, 7, local, domain, flags);
    struct resolved answer = heard(rig);
    assert_int_equal(answer.query, 7);
    return answer;
}

static struct mailbox_answer mailbox_of(struct lookup_rig *rig, const char *user)
{
    const struct mailbox_ask question = {.query = 9, .user = span_cstr(user)};
    struct mailbox_answer answer;
    lookup_rig_ask(rig, &ipc_mailbox_ask, &question);
    lookup_rig_hear(rig, &ipc_mailbox_answer, &answer);
    assert_int_equal(answer.query, 9);
    return answer;
}

static void each_final_recipient_is_one_message_and_the_last_has_no_more(void **state)
{
    struct lookup_rig *rig = *state;
    struct resolved answer = answer_to(rig, SPAN("both"), SPAN("example.test"), 0);
    assert_int_equal(answer.status, RESOLVE_OK);
    assert_int_equal(answer.more, 1);
    assert_true(span_equal(answer.address, SPAN("alice@example.test")));
    assert_true(span_equal(answer.transport, SPAN("local")));
    assert_true(span_equal(answer.nexthop, SPAN("example.test/alice")));
    answer = heard(rig);
    assert_int_equal(answer.query, 7);
    assert_int_equal(answer.more, 0);
    assert_true(span_equal(answer.address, SPAN("bob@example.test")));
}

static void every_refusal_has_its_status(void **state)
{
    static const struct {
        const char *local, *domain;
        uint8_t flags;
        enum resolve_status status;
    } rows[] = {
        {"alice", "example.test", 0, RESOLVE_OK},
        {"nobody", "example.test", 0, RESOLVE_UNKNOWN_USER},
        {"nobody", "example.test", RESOLVE_TRUSTED, RESOLVE_UNKNOWN_USER},
        {"x", "far.test", 0, RESOLVE_RELAY_DENIED},
        {"x", "far.test", RESOLVE_TRUSTED, RESOLVE_OK},
        {"x", "partner.test", 0, RESOLVE_OK},
        {"loop1", "example.test", 0, RESOLVE_LOOP},
        {"pipe", "example.test", 0, RESOLVE_DENIED},
    };
    struct lookup_rig *rig = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct resolved answer =
            answer_to(rig, span_cstr(rows[i].local), span_cstr(rows[i].domain), rows[i].flags);
        assert_int_equal(answer.status, rows[i].status);
        assert_int_equal(answer.more, 0);
    }
}

static void a_question_that_is_no_address_is_an_unknown_user_whatever_the_trust(void **state)
{
    static const struct {
        struct span local, domain;
    } rows[] = {
        {SPAN_INIT(""), SPAN_INIT("example.test")},
        {SPAN_INIT("alice"), SPAN_INIT("")},
        {SPAN_INIT("al\0ice"), SPAN_INIT("example.test")},
        {SPAN_INIT("al\r\nice"), SPAN_INIT("far.test")},
        {SPAN_INIT("x"), SPAN_INIT("far.test\r\nDATA")},
        {SPAN_INIT("x"), SPAN_INIT("..")},
        {SPAN_INIT("x"), SPAN_INIT("../../etc")},
        {SPAN_INIT("x"), SPAN_INIT("[")},
        {SPAN_INIT("x"), SPAN_INIT("[127.0.0.1x")},
        {SPAN_INIT("x"), SPAN_INIT("a@b")},
        {SPAN_INIT("12345678901234567890123456789012345678901234567890123456789012345"),
         SPAN_INIT("far.test")},
    };
    struct lookup_rig *rig = *state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(answer_to(rig, rows[i].local, rows[i].domain, RESOLVE_TRUSTED).status,
                         RESOLVE_UNKNOWN_USER);
}

static void questions_of_one_packet_are_all_answered_in_their_order(void **state)
{
    struct lookup_rig *rig = *state;
    for (uint32_t query = 100; query < 150; query++)
        ask(rig, query, SPAN("alice"), SPAN("example.test"), 0);
    for (uint32_t query = 100; query < 150; query++)
        assert_int_equal(heard(rig).query, query);
    assert_int_equal(page_get(rig->daemon.page, PAGE_LOOKUPS), 50);
}

static void a_rebuilt_table_counts_at_once(void **state)
{
    struct lookup_rig *rig = *state;
    struct span carol = SPAN("carol"), domain = SPAN("example.test");
    assert_int_equal(answer_to(rig, carol, domain, 0).status, RESOLVE_UNKNOWN_USER);
    table_rig_write(&rig->tables, "users", "carol@example.test\n");
    assert_int_equal(answer_to(rig, carol, domain, 0).status, RESOLVE_OK);
    assert_int_equal(answer_to(rig, SPAN("alice"), domain, 0).status, RESOLVE_UNKNOWN_USER);
}

static void a_damaged_table_is_temporary_until_it_is_built_again(void **state)
{
    struct lookup_rig *rig = *state;
    struct span nobody = SPAN("nobody"), domain = SPAN("example.test");
    for (int damage = 0; damage < DAMAGE_COUNT; damage++) {
        table_rig_damage(&rig->tables, "users", (enum table_damage)damage);
        assert_int_equal(answer_to(rig, nobody, domain, 0).status, RESOLVE_TEMPORARY);
        assert_int_equal(mailbox_of(rig, "alice@example.test").status, RESOLVE_TEMPORARY);
        table_rig_write(&rig->tables, "users", "alice@example.test\n");
        assert_int_equal(answer_to(rig, nobody, domain, 0).status, RESOLVE_UNKNOWN_USER);
    }
}

static void a_mailbox_is_told_by_its_path(void **state)
{
    struct lookup_rig *rig = *state;
    struct mailbox_answer answer = mailbox_of(rig, "Alice@example.test");
    assert_int_equal(answer.status, RESOLVE_OK);
    assert_true(span_equal(answer.path, SPAN("example.test/alice")));
    assert_int_equal(mailbox_of(rig, "both@example.test").status, RESOLVE_UNKNOWN_USER);
    assert_int_equal(mailbox_of(rig, "../../etc").status, RESOLVE_UNKNOWN_USER);
}

static void a_path_too_long_for_a_mailbox_names_none(void **state)
{
    static char text[8192];
    struct lookup_rig *rig = *state;
    (void)snprintf(text, sizeof(text), "alice@example.test: %06000d\n", 1);
    table_rig_write(&rig->tables, "users", text);
    struct resolved answer = answer_to(rig, SPAN("alice"), SPAN("example.test"), 0);
    assert_int_equal(answer.status, RESOLVE_UNKNOWN_USER);
    assert_int_equal(answer.more, 0);
    assert_int_equal(mailbox_of(rig, "alice@example.test").status, RESOLVE_UNKNOWN_USER);
}

/* Ten thousand answers are more than a channel holds: whoever reads gets them all, or hears
 * "later" as the last word. */
static void a_large_alias_is_answered_to_its_end(void **state)
{
    enum { MEMBERS = 10000 };
    struct lookup_rig *rig = *state;
    struct buf text = {0};
    assert_true(buf_text(&text, "crowd: m0@partner.test"));
    for (int i = 1; i < MEMBERS; i++)
        assert_true(buf_text(&text, ",m%d@partner.test", i));
    buf_add(&text, span_of("\n", 2));
    table_rig_write(&rig->tables, "aliases", buf_span(&text).data);
    buf_free(&text);
    struct resolved answer = answer_to(rig, SPAN("crowd"), SPAN("example.test"), 0);
    unsigned parts = 1;
    for (; answer.status == RESOLVE_OK && answer.more; parts++)
        answer = heard(rig);
    assert_true(answer.status == RESOLVE_TEMPORARY || parts == MEMBERS);
    assert_int_equal(answer_to(rig, SPAN("alice"), SPAN("example.test"), 0).status, RESOLVE_OK);
}

static void nonsense_ends_one_peer_and_no_other(void **state)
{
    struct lookup_rig *rig = *state;
    int other = daemon_rig_peer(&rig->daemon, ROLE_QMGR);
    assert_int_equal(seqpacket_send(other, "nonsense", 8, NULL, 0), 0);
    assert_true(daemon_rig_is_hung_up(other));
    (void)close(other);
    assert_int_equal(answer_to(rig, SPAN("alice"), SPAN("example.test"), 0).status, RESOLVE_OK);
}

static void a_message_that_is_no_question_is_ignored(void **state)
{
    struct lookup_rig *rig = *state;
    lookup_rig_ask(rig, &ipc_agent_credit, &(struct agent_credit){.jobs = 1});
    assert_int_equal(answer_to(rig, SPAN("alice"), SPAN("example.test"), 0).status, RESOLVE_OK);
}

static void a_drain_ends_it_with_its_answers_given(void **state)
{
    struct lookup_rig *rig = *state;
    assert_int_equal(answer_to(rig, SPAN("alice"), SPAN("example.test"), 0).status, RESOLVE_OK);
    assert_int_equal(daemon_rig_drain(&rig->daemon), 0);
    assert_true(daemon_rig_is_hung_up(rig->peer));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, lookup_rig_end)
    const struct CMUnitTest tests[] = {
        TEST(each_final_recipient_is_one_message_and_the_last_has_no_more),
        TEST(every_refusal_has_its_status),
        TEST(a_question_that_is_no_address_is_an_unknown_user_whatever_the_trust),
        TEST(questions_of_one_packet_are_all_answered_in_their_order),
        TEST(a_rebuilt_table_counts_at_once),
        TEST(a_damaged_table_is_temporary_until_it_is_built_again),
        TEST(a_mailbox_is_told_by_its_path),
        TEST(a_path_too_long_for_a_mailbox_names_none),
        TEST(a_large_alias_is_answered_to_its_end),
        TEST(nonsense_ends_one_peer_and_no_other),
        TEST(a_message_that_is_no_question_is_ignored),
        TEST(a_drain_ends_it_with_its_answers_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
