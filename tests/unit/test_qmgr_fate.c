/*
 * What an attempt leads to: the delays of the retry schedule, the end of a message's life, the
 * transports that need no agent.
 */
#include "qmgr/fate.h"
#include "qmgr/pressure.h"
#include "qmgr/retry.h"
#include "util/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "qmgr/agents.h"
#include "qmgr/bounce.h"
#include "qmgr/retry.h"

#define DAY UINT64_C(86400)

static const struct conf_limits limits = {
    .retry_first = 300, .retry_most = 14400, .message_life = 5 * DAY, .bounce_life = 2 * DAY};

static void delay_doubles_from_the_first_to_the_most(void **state)
{
    (void)state;
    static const struct {
        uint8_t tries;
        uint32_t middle;
    } rows[] = {{1, 300},  {2, 600},   {3, 1200},  {4, 2400},   {5, 4800},
                {6, 9600}, {7, 14400}, {8, 14400}, {255, 14400}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint64_t spread = 0; spread < 200; spread++) {
            uint32_t delay = fate_delay(&limits, rows[i].tries, spread);
            assert_in_range(delay, rows[i].middle * 8 / 10, rows[i].middle * 12 / 10);
        }
    }
}

static void delays_are_spread_over_the_whole_range(void **state)
{
    (void)state;
    uint32_t least = UINT32_MAX, most = 0;
    for (uint64_t spread = 0; spread < 1000; spread++) {
        uint32_t delay = fate_delay(&limits, 1, spread);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    assert_in_range(least, 240, 250);
    assert_in_range(most, 350, 360);
}

static void recipients_of_one_record_come_due_together(void **state)
{
    (void)state;
    assert_int_equal(fate_delay(&limits, 3, 77), fate_delay(&limits, 3, 77));
}

static void delay_is_never_zero(void **state)
{
    (void)state;
    const struct conf_limits impatient = {.retry_first = 0, .retry_most = 0};
    assert_int_equal(fate_delay(&impatient, 1, 1), 1);
}

/* Schedules a deferred fate for a message of that age. */
static struct fate deferred_at_age(uint64_t age, bool notification, struct arena *arena,
                                   uint32_t *due)
{
    struct fate fate = {FATE_DEFERRED, SPAN("4.2.2"), SPAN("mailbox full"), false};
    const struct fate_case facts = {.arrival_us = 1000000 * DAY,
                                    .now_us = 1000000 * (DAY + age),
                                    .tries = 1,
                                    .notification = notification};
    *due = fate_schedule(&limits, &facts, arena, &fate);
    return fate;
}

static void deferral_is_due_after_its_delay(void **state)
{
    (void)state;
    struct arena arena = {0};
    uint32_t due;
    struct fate fate = deferred_at_age(10, false, &arena, &due);
    assert_int_equal(fate.kind, FATE_DEFERRED);
    assert_in_range(due, DAY + 10 + 240, DAY + 10 + 360);
    arena_free(&arena);
}

static void deferral_past_the_life_of_a_message_fails(void **state)
{
    (void)state;
    static const struct {
        uint64_t age;
        bool notification;
        enum fate_kind kind;
    } rows[] = {
        {5 * DAY - 1, false, FATE_DEFERRED}, {5 * DAY, false, FATE_FAILED},
        {2 * DAY - 1, true, FATE_DEFERRED},  {2 * DAY, true, FATE_FAILED},
        {2 * DAY, false, FATE_DEFERRED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        uint32_t due;
        struct fate fate = deferred_at_age(rows[i].age, rows[i].notification, &arena, &due);
        assert_int_equal(fate.kind, rows[i].kind);
        assert_int_equal(due == 0, rows[i].kind == FATE_FAILED);
        arena_free(&arena);
    }
}

static void expired_fate_tells_the_last_reason(void **state)
{
    (void)state;
    struct arena arena = {0};
    uint32_t due;
    struct fate fate = deferred_at_age(6 * DAY, false, &arena, &due);
    assert_true(span_equal(fate.enhanced, SPAN("5.4.7")));
    assert_true(span_has_suffix(fate.text, SPAN("4.2.2 mailbox full")));
    arena_free(&arena);
}

static void clock_set_back_makes_nothing_old(void **state)
{
    (void)state;
    struct fate fate = {FATE_DEFERRED, SPAN("4.0.0"), SPAN("later"), false};
    const struct fate_case facts = {.arrival_us = 1000000 * 400 * DAY, .now_us = 1000000 * DAY};
    assert_int_not_equal(fate_schedule(&limits, &facts, NULL, &fate), 0);
    assert_int_equal(fate.kind, FATE_DEFERRED);
}

static void delivered_held_and_failed_are_never_due(void **state)
{
    (void)state;
    static const enum fate_kind kinds[] = {FATE_DELIVERED, FATE_FAILED, FATE_HELD};
    for (size_t i = 0; i < 3; i++) {
        struct fate fate = {kinds[i], SPAN("2.0.0"), SPAN(""), false};
        const struct fate_case facts = {.now_us = 1000000 * 400 * DAY};
        assert_int_equal(fate_schedule(&limits, &facts, NULL, &fate), 0);
        assert_int_equal(fate.kind, kinds[i]);
    }
}

static void transports_without_agent_are_decided_at_once(void **state)
{
    (void)state;
    static const struct {
        struct span transport, nexthop;
        enum fate_kind kind;
        struct span enhanced;
    } rows[] = {
        {SPAN_INIT("discard"), SPAN_INIT(""), FATE_DELIVERED, SPAN_INIT("2.0.0")},
        {SPAN_INIT("hold"), SPAN_INIT(""), FATE_HELD, SPAN_INIT("4.0.0")},
        {SPAN_INIT("error"), SPAN_INIT(""), FATE_FAILED, SPAN_INIT("5.1.2")},
        {SPAN_INIT("error"), SPAN_INIT("closed"), FATE_FAILED, SPAN_INIT("5.1.2")},
        {SPAN_INIT("error"), SPAN_INIT("4.1.1 no"), FATE_FAILED, SPAN_INIT("5.1.2")},
        {SPAN_INIT("error"), SPAN_INIT("5.1.1 user unknown"), FATE_FAILED, SPAN_INIT("5.1.1")},
        {SPAN_INIT("smtp"), SPAN_INIT("mx.test"), FATE_DEFERRED, SPAN_INIT("4.3.5")},
        {SPAN_INIT("local"), SPAN_INIT(""), FATE_DEFERRED, SPAN_INIT("4.3.5")},
        {SPAN_INIT("local"), SPAN_INIT("../bob"), FATE_DEFERRED, SPAN_INIT("4.3.5")},
        {SPAN_INIT(""), SPAN_INIT(""), FATE_DEFERRED, SPAN_INIT("4.3.5")},
        {SPAN_INIT("LOCAL"), SPAN_INIT(""), FATE_DEFERRED, SPAN_INIT("4.3.5")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fate fate;
        assert_true(fate_of_transport(rows[i].transport, rows[i].nexthop, &fate));
        assert_int_equal(fate.kind, rows[i].kind);
        assert_true(span_equal(fate.enhanced, rows[i].enhanced));
    }
}

static void the_operator_s_words_for_an_address_reach_the_sender(void **state)
{
    (void)state;
    struct fate fate;
    assert_true(fate_of_transport(SPAN("error"), SPAN("5.7.1 ask the office"), &fate));
    assert_true(span_equal(fate.text, SPAN("ask the office")));
    assert_true(fate_of_transport(SPAN("error"), SPAN("moved"), &fate));
    assert_true(span_equal(fate.text, SPAN("moved")));
    assert_true(fate_of_transport(SPAN("error"), SPAN("5.1.6"), &fate));
    assert_true(span_equal(fate.enhanced, SPAN("5.1.6")) && fate.text.len > 0);
}

static void a_wrong_clock_makes_no_letter_wait_longer_than_the_longest_wait(void **state)
{
    (void)state;
    struct conf_limits settings = {.retry_first = 300, .retry_most = 1000};
    uint32_t now = clock_wall(), monotonic = (uint32_t)(clock_ms() / 1000);
    assert_in_range(retry_due(&settings, now + 365 * 86400), monotonic + 1200, monotonic + 1203);
    assert_in_range(retry_due(&settings, now - 365 * 86400), monotonic, monotonic + 2);
    assert_in_range(retry_due(&settings, now + 500), monotonic + 498, monotonic + 502);
}

static void local_transport_needs_an_agent(void **state)
{
    (void)state;
    struct fate fate;
    assert_false(fate_of_transport(SPAN("local"), SPAN("example.test/alice"), &fate));
}

static void each_fate_has_its_state_and_event(void **state)
{
    (void)state;
    assert_int_equal(fate_state(FATE_DELIVERED), LETTER_DELIVERED);
    assert_int_equal(fate_state(FATE_DEFERRED), LETTER_DEFERRED);
    assert_int_equal(fate_state(FATE_FAILED), LETTER_BOUNCED);
    assert_int_equal(fate_state(FATE_HELD), LETTER_HELD);
    assert_string_equal(fate_event(FATE_DELIVERED), "recipient-delivered");
    assert_string_equal(fate_event(FATE_DEFERRED), "recipient-deferred");
    assert_string_equal(fate_event(FATE_FAILED), "recipient-failed");
    assert_string_equal(fate_event(FATE_HELD), "recipient-held");
}

/* A table in trouble is never "user unknown". */
static void only_a_plain_no_of_lookup_is_permanent(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        enum fate_kind kind;
    } rows[] = {
        {RESOLVE_UNKNOWN_USER, FATE_FAILED},
        {RESOLVE_RELAY_DENIED, FATE_FAILED},
        {RESOLVE_LOOP, FATE_FAILED},
        {RESOLVE_TOO_MANY, FATE_FAILED},
        {RESOLVE_DENIED, FATE_FAILED},
        {RESOLVE_TEMPORARY, FATE_DEFERRED},
        {200, FATE_DEFERRED},
    };
    struct fate fate;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(retry_fate((enum resolve_status)rows[i].status, &fate));
        assert_int_equal(fate.kind, rows[i].kind);
        assert_int_equal(fate.enhanced.data[0], rows[i].kind == FATE_FAILED ? '5' : '4');
    }
    assert_true(retry_fate(RESOLVE_OK, &fate));
}

static void agents_word_becomes_a_fate(void **state)
{
    (void)state;
    static const struct {
        uint8_t word;
        enum fate_kind kind;
    } rows[] = {{JOB_DELIVERED, FATE_DELIVERED},
                {JOB_DEFERRED, FATE_DEFERRED},
                {JOB_FAILED, FATE_FAILED},
                {JOB_DAMAGED, FATE_DEFERRED},
                {99, FATE_DEFERRED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct job_result result = {1, rows[i].word, SPAN("2.0.0"), SPAN("ok")};
        struct fate fate = agent_fate(&result);
        assert_int_equal(fate.kind, rows[i].kind);
        assert_true(span_equal(fate.text, SPAN("ok")));
    }
}

static void damage_is_told_held_or_looked_at_again(void **state)
{
    (void)state;
    static const struct {
        enum record_result seen;
        bool aside;
        enum fate_kind kind;
    } rows[] = {
        {RECORD_OK, false, FATE_DEFERRED}, /* the agent alone saw it */
        {RECORD_IO, false, FATE_DEFERRED}, {RECORD_BAD, true, FATE_FAILED},
        {RECORD_NONE, true, FATE_FAILED},  {RECORD_BAD, false, FATE_HELD}, /* the last copy */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fate fate = fate_of_damage(rows[i].seen, rows[i].aside);
        assert_int_equal(fate.kind, rows[i].kind);
        assert_int_equal(fate.damaged, rows[i].kind != FATE_DEFERRED);
        assert_int_equal(fate.enhanced.data[0], fate.damaged ? '5' : '4');
    }
}

static void failures_are_told_to_somebody_who_can_hear_and_never_in_circles(void **state)
{
    (void)state;
    static const struct {
        struct span sender, protocol;
        uint16_t flags;
        enum bounce_addressee addressee;
    } rows[] = {
        {SPAN_INIT("a@b.test"), SPAN_INIT("ESMTP"), 0, BOUNCE_TO_SENDER},
        {SPAN_INIT(""), SPAN_INIT("ESMTP"), 0, BOUNCE_TO_POSTMASTER},
        {SPAN_INIT("a@b.test"), SPAN_INIT(""), RECORD_FLAG_BOUNCE, BOUNCE_TO_POSTMASTER},
        {SPAN_INIT(""), SPAN_INIT("BOUNCE"), RECORD_FLAG_BOUNCE, BOUNCE_TO_POSTMASTER},
        {SPAN_INIT(""), SPAN_INIT("DOUBLE-BOUNCE"), RECORD_FLAG_BOUNCE, BOUNCE_TO_NOBODY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct message message = {
            .sender = rows[i].sender, .protocol = rows[i].protocol, .flags = rows[i].flags};
        assert_int_equal(bounce_addressee_of(&message), rows[i].addressee);
    }
}

static void pressure_follows_space_first_and_load_second(void **state)
{
    (void)state;
    assert_int_equal(pressure_level(50, 5, 0), PRESSURE_NONE);
    assert_int_equal(pressure_level(5, 5, PRESSURE_BUSY_MOST), PRESSURE_NONE);
    assert_int_equal(pressure_level(5, 5, PRESSURE_BUSY_MOST + 1), PRESSURE_SLOW);
    assert_int_equal(pressure_level(4, 5, 0), PRESSURE_FULL);
    assert_int_equal(pressure_level(4, 5, PRESSURE_BUSY_MOST + 1), PRESSURE_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delay_doubles_from_the_first_to_the_most),
        cmocka_unit_test(delays_are_spread_over_the_whole_range),
        cmocka_unit_test(recipients_of_one_record_come_due_together),
        cmocka_unit_test(delay_is_never_zero),
        cmocka_unit_test(deferral_is_due_after_its_delay),
        cmocka_unit_test(deferral_past_the_life_of_a_message_fails),
        cmocka_unit_test(expired_fate_tells_the_last_reason),
        cmocka_unit_test(clock_set_back_makes_nothing_old),
        cmocka_unit_test(delivered_held_and_failed_are_never_due),
        cmocka_unit_test(transports_without_agent_are_decided_at_once),
        cmocka_unit_test(the_operator_s_words_for_an_address_reach_the_sender),
        cmocka_unit_test(a_wrong_clock_makes_no_letter_wait_longer_than_the_longest_wait),
        cmocka_unit_test(local_transport_needs_an_agent),
        cmocka_unit_test(damage_is_told_held_or_looked_at_again),
        cmocka_unit_test(each_fate_has_its_state_and_event),
        cmocka_unit_test(only_a_plain_no_of_lookup_is_permanent),
        cmocka_unit_test(agents_word_becomes_a_fate),
        cmocka_unit_test(failures_are_told_to_somebody_who_can_hear_and_never_in_circles),
        cmocka_unit_test(pressure_follows_space_first_and_load_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
