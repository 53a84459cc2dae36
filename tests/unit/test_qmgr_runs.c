/*
 * A queue run (RFC 1985) in a running qmgr: what waits for the domain is tried, and nothing else
 * is; the answer says no more than is true; whoever asks too much does no harm.
 */
#include "qmgr_rig.h"

#include <unistd.h>

#include "qmgr/runs.h"
#include "util/base/clock.h"

static const struct span three_domains[] = {SPAN_INIT("bob@example.test"),
                                            SPAN_INIT("carol@a.b.example.test"),
                                            SPAN_INIT("dave@notexample.test")};

enum { LONG_AGO = 2000000000 /* seconds; no host runs for so long: nothing is known before it */ };

static struct queue *queue_of(const struct world *world)
{
    return &((struct qmgr *)world->daemon.state)->queue;
}

static bool three_deferred(const struct world *world)
{
    return page_get(world->page, PAGE_DEFERRED) == 3 && count_of(world, QUEUE_DEFERRED) == 3;
}

static bool one_waits(const struct world *world)
{
    return count_of(world, QUEUE_DEFERRED) == 1;
}

static bool three_wait(const struct world *world)
{
    return count_of(world, QUEUE_DEFERRED) == 3;
}

static bool all_answered(const struct world *world)
{
    return world->run_answer_count == world->runs_asked;
}

/* No retry comes by itself; and the attempt that was is long ago, so that a run waits for nothing.
 */
static void defer(struct world *world, const struct span *to, size_t count)
{
    world->conf.limits.retry_first = world->conf.limits.retry_most = 3000;
    world->letter_to = to;
    send_letter(world, "alice@example.test", "smtp", count);
    wait_for(world, count == 3 ? three_deferred : one_waits);
    world->conf.limits.retry_first = world->conf.limits.retry_most = LONG_AGO;
}

static struct queue_run_answer answer_to(struct world *world, const char *domain, bool subdomains)
{
    ask_run(world, domain, subdomains);
    wait_for(world, all_answered);
    struct queue_run_answer answer = world->run_answers[world->run_answer_count - 1];
    assert_int_equal(answer.query, world->runs_asked - 1);
    return answer;
}

/* ---- what is tried ---- */

static void what_waits_for_the_domain_is_tried_at_once_and_nothing_else(void **state)
{
    struct world *world = *state;
    defer(world, three_domains, 3);
    struct queue_run_answer answer = answer_to(world, "Example.TEST", false);
    assert_int_equal(answer.status, QUEUE_RUN_COUNTED);
    assert_int_equal(answer.count, 1);
    wait_for(world, delivered_one);
    assert_int_equal(world->asked, 1);
    turn_for(world, 50);
    assert_int_equal(count_of(world, QUEUE_DEFERRED), 2);
}

static void recipients_of_one_message_count_as_one(void **state)
{
    struct world *world = *state;
    defer(world, NULL, 3);
    struct queue_run_answer answer = answer_to(world, "example.test", false);
    assert_int_equal(answer.status, QUEUE_RUN_COUNTED);
    assert_int_equal(answer.count, 1);
    wait_for(world, delivered_three);
}

static void names_beneath_the_domain_are_tried_when_they_are_asked_for(void **state)
{
    struct world *world = *state;
    defer(world, three_domains, 3);
    assert_int_equal(answer_to(world, "example.test", true).status, QUEUE_RUN_STARTED);
    wait_for(world, one_waits);
    turn_for(world, 50);
    assert_int_equal(world->asked, 2);
    assert_int_equal(count_of(world, QUEUE_DEFERRED), 1);
}

static void neighbours_of_the_same_organisation_are_left_alone(void **state)
{
    struct world *world = *state;
    defer(world, three_domains, 3);
    assert_int_equal(answer_to(world, "b.example.test", true).status, QUEUE_RUN_STARTED);
    wait_for(world, delivered_one);
    turn_for(world, 50);
    assert_int_equal(world->asked, 1);
    assert_int_equal(count_of(world, QUEUE_DEFERRED), 2);
}

static void nothing_waits_for_who_has_no_mail(void **state)
{
    struct world *world = *state;
    assert_int_equal(answer_to(world, "example.test", false).status, QUEUE_RUN_NOTHING);
    defer(world, three_domains, 3);
    assert_int_equal(answer_to(world, "elsewhere.test", false).status, QUEUE_RUN_NOTHING);
    assert_int_equal(answer_to(world, "elsewhere.test", true).status, QUEUE_RUN_NOTHING);
    assert_int_equal(answer_to(world, "", false).status, QUEUE_RUN_NOTHING);
    turn_for(world, 50);
    assert_int_equal(world->asked, 0);
}

static void held_letter_is_the_operators(void **state)
{
    struct world *world = *state;
    send_letter(world, "alice@example.test", "hold", 1);
    wait_for(world, held_one);
    assert_int_equal(answer_to(world, "example.test", false).status, QUEUE_RUN_NOTHING);
    assert_int_equal(count_of(world, QUEUE_HELD), 1);
}

/* ---- after a restart the domains are on the disk alone ---- */

static void start_again(struct world *world)
{
    stop_qmgr(world);
    world->gives = 0;
    kill_smtpd(world);
    prepare_qmgr(world);
    connect_smtpd(world);
    report_smtpd(world);
    qmgr_calls.start(&world->daemon);
    wait_for(world, segments_came);
    wait_for(world, three_wait);
}

static void unread_entries_are_read_and_remembered(void **state)
{
    struct world *world = *state;
    defer(world, three_domains, 3);
    start_again(world);
    assert_int_equal(answer_to(world, "example.test", false).status, QUEUE_RUN_STARTED);
    wait_for(world, delivered_one);
    turn_for(world, 50);
    assert_int_equal(world->asked, 1);
    assert_int_equal(answer_to(world, "elsewhere.test", false).status, QUEUE_RUN_NOTHING);
    assert_int_equal(answer_to(world, "notexample.test", false).status, QUEUE_RUN_COUNTED);
}

static void record_that_is_gone_is_left_to_its_retry(void **state)
{
    struct world *world = *state;
    defer(world, three_domains, 3);
    start_again(world);
    queue_entry(queue_of(world), 0)->recipient = 999;
    queue_entry(queue_of(world), 1)->place += 1;
    assert_int_equal(answer_to(world, "notexample.test", false).status, QUEUE_RUN_STARTED);
    wait_for(world, delivered_one);
    turn_for(world, 50);
    assert_int_equal(count_of(world, QUEUE_DEFERRED), 2);
}

/* ---- no harm ---- */

static void attempt_of_a_moment_ago_is_not_repeated(void **state)
{
    struct world *world = *state;
    world->conf.limits.retry_first = world->conf.limits.retry_most = 3000;
    send_letter(world, "alice@example.test", "smtp", 1);
    wait_for(world, one_waits);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answer_to(world, "example.test", false).status, QUEUE_RUN_COUNTED);
    turn_for(world, 50);
    assert_int_equal(world->asked, 0);
    uint32_t wait = queue_next_due(queue_of(world)) - (uint32_t)(clock_ms() / 1000);
    assert_in_range(wait, 3000 / RUNS_GAP_SHARE - 5, 3000 / RUNS_GAP_SHARE + 1);
}

static void attempt_that_was_asked_for_makes_the_next_wait_no_longer(void **state)
{
    struct world *world = *state;
    defer(world, NULL, 1);
    world->lookup_says = RESOLVE_TEMPORARY;
    for (int i = 0; i < 3; i++) {
        unsigned before = world->asked;
        (void)answer_to(world, "example.test", false);
        while (world->asked == before || count_of(world, QUEUE_DEFERRED) == 0)
            loop_turn(world->loop, 10);
        assert_int_equal(queue_entry(queue_of(world), 0)->tries, 1);
        queue_entry(queue_of(world), 0)->time -= LONG_AGO / 2; /* the attempt was so much earlier */
    }
}

static void many_entries_come_due_over_some_seconds(void **state)
{
    enum { ENTRIES = 3500 };
    struct world *world = *state;
    defer(world, NULL, 1);
    struct queue_entry entry = *queue_entry(queue_of(world), 0);
    struct qmgr *qmgr = world->daemon.state;
    segments_at(&qmgr->segments, entry.segment)->outstanding += ENTRIES - 1;
    for (int i = 1; i < ENTRIES; i++)
        (void)queue_add(queue_of(world), &entry);
    assert_int_equal(answer_to(world, "example.test", false).status, QUEUE_RUN_PENDING);
    unsigned later = 0;
    for (uint32_t i = 0; i < ENTRIES; i++)
        later += queue_entry(queue_of(world), i)->time > clock_ms() / 1000;
    assert_in_range(later, 1, ENTRIES - RUNS_PER_SECOND);
}

static void flood_of_questions_is_refused_and_mail_goes_on(void **state)
{
    struct world *world = *state;
    char domain[] = "host00.test";
    defer(world, three_domains, 3);
    for (int i = 0; i < 40; i++) {
        domain[4] = (char)('0' + i / 10);
        domain[5] = (char)('0' + i % 10);
        ask_run(world, domain, i % 2 == 0);
    }
    wait_for(world, all_answered);
    size_t refused = 0;
    for (size_t i = 0; i < world->run_answer_count; i++)
        refused += world->run_answers[i].status == QUEUE_RUN_REFUSED;
    assert_in_range(refused, 40 - RUNS_MOST - 8, 40 - RUNS_MOST);
    assert_int_equal(answer_to(world, "example.test", false).status, QUEUE_RUN_COUNTED);
    wait_for(world, delivered_one);
    assert_int_equal(world->asked, 1);
}

static void name_that_is_asked_for_twice_is_looked_for_once(void **state)
{
    struct world *world = *state;
    defer(world, three_domains, 3);
    ask_run(world, "example.test", false);
    ask_run(world, "EXAMPLE.test", false);
    wait_for(world, all_answered);
    /* The second is answered at once, because the first is under way. */
    assert_int_equal(world->run_answers[0].query, 1);
    assert_int_equal(world->run_answers[0].status, QUEUE_RUN_STARTED);
    assert_int_equal(world->run_answers[1].status, QUEUE_RUN_COUNTED);
}

static void who_is_gone_is_not_answered(void **state)
{
    struct world *world = *state;
    defer(world, three_domains, 3);
    struct channel *honest = world->smtpd;
    connect_smtpd(world);
    ask_run(world, "elsewhere.test", false);
    ask_run(world, "example.test", false);
    ask_run(world, "notexample.test", true);
    loop_turn(world->loop, 0);
    channel_free(world->smtpd);
    world->smtpd = honest;
    wait_for(world, one_waits); /* the runs go on all the same */
    turn_for(world, 50);
    assert_int_equal(world->asked, 2);
}

static void nobody_is_served_before_recovery_and_in_a_drain(void **state)
{
    struct world *world = *state;
    stop_qmgr(world);
    prepare_qmgr(world);
    connect_smtpd(world);
    assert_int_equal(answer_to(world, "example.test", false).status, QUEUE_RUN_REFUSED);
    kill_smtpd(world);
    connect_smtpd(world);
    report_smtpd(world);
    qmgr_calls.start(&world->daemon);
    wait_for(world, segments_came);
    world->daemon.draining = true;
    assert_int_equal(answer_to(world, "example.test", false).status, QUEUE_RUN_REFUSED);
}

int main(void)
{
#define RUN_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        RUN_TEST(what_waits_for_the_domain_is_tried_at_once_and_nothing_else),
        RUN_TEST(recipients_of_one_message_count_as_one),
        RUN_TEST(names_beneath_the_domain_are_tried_when_they_are_asked_for),
        RUN_TEST(neighbours_of_the_same_organisation_are_left_alone),
        RUN_TEST(nothing_waits_for_who_has_no_mail),
        RUN_TEST(held_letter_is_the_operators),
        RUN_TEST(unread_entries_are_read_and_remembered),
        RUN_TEST(record_that_is_gone_is_left_to_its_retry),
        RUN_TEST(attempt_of_a_moment_ago_is_not_repeated),
        RUN_TEST(attempt_that_was_asked_for_makes_the_next_wait_no_longer),
        RUN_TEST(many_entries_come_due_over_some_seconds),
        RUN_TEST(flood_of_questions_is_refused_and_mail_goes_on),
        RUN_TEST(name_that_is_asked_for_twice_is_looked_for_once),
        RUN_TEST(who_is_gone_is_not_answered),
        RUN_TEST(nobody_is_served_before_recovery_and_in_a_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
