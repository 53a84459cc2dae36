/*
 * The table `access` as a session asks for it: what goes to lookup, what is remembered, what the
 * answer becomes.
 */
#include "policy_rig.h"

#include "smtpd/access.h"
#include "smtpd/sender_right.h"
#include "util/mail/senders_table.h"

struct asking {
    struct access_desk desk;
    struct access_check check;
};

static const struct access_facts facts = {
    .kinds = ACCESS_ASK_CLIENT | ACCESS_ASK_SENDER,
    .client = SPAN_INIT("192.0.2.7"),
    .sender = SPAN_INIT("joe@example.biz"),
};

static const struct access_answer refusal = {
    .status = ACCESS_REFUSED,
    .kind = ACCESS_SENDER,
    .ok = ACCESS_ASK_CLIENT,
    .code = 550,
    .enhanced = SPAN_INIT("5.7.1"),
    .text = SPAN_INIT("Not from there"),
    .line = 12,
};

static void begin(struct policy_rig *rig, struct asking *asking)
{
    *asking = (struct asking){
        .desk = {&rig->questions, &rig->conf, access_known_new()},
        .check =
            {.arena = &rig->arena, .session = SPAN("S1"), .epoch = 1, .done = rig_done, .arg = rig},
    };
    asking->check.desk = &asking->desk;
}

static void end(struct asking *asking)
{
    access_cancel(&asking->check);
    access_known_free(asking->desk.known);
}

/* Asks and lets lookup answer; `answer` without its number. */
static void ask(struct policy_rig *rig, struct asking *asking, struct access_answer answer)
{
    assert_false(access_start(&asking->check, &facts));
    rig_hear(rig, rig->heard_count + 1);
    assert_ptr_equal(rig->heard_type, &ipc_access_ask);
    answer.query = rig->heard;
    rig_say(rig, &ipc_access_answer, &answer, rig->done_count + 1);
}

static void a_refusal_becomes_a_reply_with_code_status_and_text(void **state)
{
    struct policy_rig *rig = *state;
    struct asking asking;
    begin(rig, &asking);
    ask(rig, &asking, refusal);
    assert_int_equal(asking.check.verdict.status, ACCESS_REFUSED);
    assert_int_equal(asking.check.verdict.kind, ACCESS_SENDER);
    assert_int_equal(asking.check.verdict.line, 12);
    assert_int_equal(asking.check.verdict.ok, ACCESS_ASK_CLIENT);
    assert_int_equal(asking.check.verdict.reply.code, 550);
    assert_string_equal(asking.check.verdict.reply.enhanced, "5.7.1");
    assert_string_equal(asking.check.verdict.reply.text, "Not from there");
    assert_false(asking.check.verdict.reply.close);
    end(&asking);
}

static void codes_421_and_521_close_the_connection(void **state)
{
    static const uint16_t codes[] = {421, 521};
    struct policy_rig *rig = *state;
    for (size_t i = 0; i < 2; i++) {
        struct access_answer answer = refusal;
        struct asking asking;
        answer.code = codes[i];
        begin(rig, &asking);
        ask(rig, &asking, answer);
        assert_true(asking.check.verdict.reply.close);
        end(&asking);
    }
}

static void silence_of_the_table_leaves_the_reply_to_the_caller(void **state)
{
    struct policy_rig *rig = *state;
    struct asking asking;
    begin(rig, &asking);
    ask(rig, &asking, (struct access_answer){.held = ACCESS_ASK_SENDER, .kind = 2, .line = 3});
    assert_int_equal(asking.check.verdict.status, ACCESS_CLEAR);
    assert_int_equal(asking.check.verdict.held, ACCESS_ASK_SENDER);
    assert_true(reply_is_pending(asking.check.verdict.reply));
    end(&asking);
}

static void a_table_that_is_not_there_is_asked_once_whatever_the_facts(void **state)
{
    struct access_facts others = facts;
    struct policy_rig *rig = *state;
    struct asking asking;
    begin(rig, &asking);
    ask(rig, &asking, (struct access_answer){.status = ACCESS_ABSENT});
    assert_int_equal(asking.check.verdict.status, ACCESS_CLEAR);
    assert_true(reply_is_pending(asking.check.verdict.reply));

    others.sender = SPAN("jim@example.biz");
    asking.check.verdict.status = ACCESS_REFUSED;
    assert_true(access_start(&asking.check, &others));
    assert_int_equal(asking.check.verdict.status, ACCESS_CLEAR);
    end(&asking);
}

static void an_answer_is_remembered_for_the_same_facts_and_epoch(void **state)
{
    struct policy_rig *rig = *state;
    struct asking asking;
    begin(rig, &asking);
    ask(rig, &asking, refusal);
    memset(&asking.check.verdict, 0, sizeof(asking.check.verdict));
    assert_true(access_start(&asking.check, &facts));
    assert_int_equal(asking.check.verdict.reply.code, 550);
    assert_string_equal(asking.check.verdict.reply.text, "Not from there");
    asking.check.epoch++;
    assert_false(access_start(&asking.check, &facts));
    end(&asking);
}

static void other_facts_are_asked_anew(void **state)
{
    struct policy_rig *rig = *state;
    struct access_facts others[4] = {facts, facts, facts, facts};
    struct asking asking;
    others[0].kinds = ACCESS_ASK_SENDER;
    others[1].client = SPAN("192.0.2.8");
    others[2].helo = SPAN("x");
    others[3].sender = SPAN("joe@example.bi");
    others[3].recipient = SPAN("z");
    begin(rig, &asking);
    ask(rig, &asking, refusal);
    for (size_t i = 0; i < 4; i++) {
        assert_false(access_start(&asking.check, &others[i]));
        access_cancel(&asking.check);
    }
    end(&asking);
}

static void trouble_is_451_and_not_remembered(void **state)
{
    struct policy_rig *rig = *state;
    struct asking asking;
    begin(rig, &asking);
    ask(rig, &asking, (struct access_answer){.status = ACCESS_TEMPORARY});
    assert_int_equal(asking.check.verdict.reply.code, 451);
    assert_string_equal(asking.check.verdict.reply.enhanced, "4.3.0");
    assert_false(access_start(&asking.check, &facts));
    end(&asking);
}

static void a_cancelled_check_hears_nothing(void **state)
{
    struct policy_rig *rig = *state;
    struct asking asking;
    struct access_answer answer = refusal;
    begin(rig, &asking);
    assert_false(access_start(&asking.check, &facts));
    rig_hear(rig, 1);
    access_cancel(&asking.check);
    answer.query = rig->heard;
    assert_true(channel_send(rig->far, &ipc_access_answer, &answer, NULL));
    for (int i = 0; i < 5; i++)
        loop_turn(rig->loop, 1);
    assert_int_equal(rig->done_count, 0);
    assert_int_equal(rig->alien_count, 0);
    end(&asking);
}

static void a_question_is_asked_again_at_the_next_lookup(void **state)
{
    struct policy_rig *rig = *state;
    struct asking asking;
    struct access_answer answer = refusal;
    begin(rig, &asking);
    assert_false(access_start(&asking.check, &facts));
    rig_hear(rig, 1);
    uint32_t number = rig->heard;
    rig_connect(rig);
    rig_hear(rig, 2);
    assert_int_equal(rig->heard, number);
    answer.query = number;
    rig_say(rig, &ipc_access_answer, &answer, 1);
    assert_int_equal(asking.check.verdict.reply.code, 550);
    end(&asking);
}

static void without_a_lookup_the_question_waits(void **state)
{
    struct policy_rig *rig = *state;
    struct asking asking;
    struct access_answer answer = refusal;
    begin(rig, &asking);
    questions_connect(&rig->questions, NULL);
    assert_false(access_start(&asking.check, &facts));
    questions_connect(&rig->questions, rig->near);
    rig_hear(rig, 1);
    answer.query = rig->heard;
    rig_say(rig, &ipc_access_answer, &answer, 1);
    end(&asking);
}

static void an_answer_of_another_kind_does_not_end_a_question(void **state)
{
    struct policy_rig *rig = *state;
    struct asking asking;
    begin(rig, &asking);
    assert_false(access_start(&asking.check, &facts));
    rig_hear(rig, 1);
    const struct sender_answer wrong = {.query = rig->heard};
    const struct resolved alien = {.query = rig->heard};
    assert_true(channel_send(rig->far, &ipc_sender_answer, &wrong, NULL));
    assert_true(channel_send(rig->far, &ipc_resolved, &alien, NULL));
    for (int i = 0; i < RIG_TURNS && rig->alien_count == 0; i++)
        loop_turn(rig->loop, 100);
    assert_int_equal(rig->alien_count, 1);
    assert_int_equal(rig->done_count, 0);
    end(&asking);
}

/* ---- senders ---- */

static struct address address_of(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(span_cstr(text), &address), ADDRESS_OK);
    return address;
}

static struct sender_right right_of(struct policy_rig *rig)
{
    return (struct sender_right){.questions = &rig->questions,
                                 .conf = &rig->conf,
                                 .session = SPAN("S1"),
                                 .done = rig_done,
                                 .arg = rig};
}

static void the_own_address_needs_no_question(void **state)
{
    struct policy_rig *rig = *state;
    struct sender_right right = right_of(rig);
    struct address own = address_of("Alice@Example.test");
    assert_true(sender_right_start(&right, SPAN("alice@example.test"), &own));
    assert_true(reply_is_pending(right.reply));
    sender_right_cancel(&right);
    assert_int_equal(rig->heard_count, 0);
}

static void each_answer_about_a_sender_has_its_reply(void **state)
{
    static const struct {
        enum senders_verdict verdict;
        unsigned code;
        const char *enhanced;
    } rows[] = {
        {SENDERS_OWN, 0, NULL},
        {SENDERS_LISTED, 0, NULL},
        {SENDERS_REFUSED, 553, "5.7.1"},
        {SENDERS_ERROR, 451, "4.3.0"},
    };
    struct policy_rig *rig = *state;
    for (unsigned i = 0; i < 4; i++) {
        struct sender_right right = right_of(rig);
        struct address other = address_of("sales@example.test");
        assert_false(sender_right_start(&right, SPAN("alice@example.test"), &other));
        rig_hear(rig, i + 1);
        assert_ptr_equal(rig->heard_type, &ipc_sender_ask);
        const struct sender_answer answer = {rig->heard, (uint8_t)rows[i].verdict, 4};
        rig_say(rig, &ipc_sender_answer, &answer, i + 1);
        assert_int_equal(right.reply.code, rows[i].code);
        if (rows[i].enhanced)
            assert_string_equal(right.reply.enhanced, rows[i].enhanced);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_refusal_becomes_a_reply_with_code_status_and_text),
        TEST(codes_421_and_521_close_the_connection),
        TEST(silence_of_the_table_leaves_the_reply_to_the_caller),
        TEST(a_table_that_is_not_there_is_asked_once_whatever_the_facts),
        TEST(an_answer_is_remembered_for_the_same_facts_and_epoch),
        TEST(other_facts_are_asked_anew),
        TEST(trouble_is_451_and_not_remembered),
        TEST(a_cancelled_check_hears_nothing),
        TEST(a_question_is_asked_again_at_the_next_lookup),
        TEST(without_a_lookup_the_question_waits),
        TEST(an_answer_of_another_kind_does_not_end_a_question),
        TEST(the_own_address_needs_no_question),
        TEST(each_answer_about_a_sender_has_its_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
