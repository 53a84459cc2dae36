/*
 * Letters that pass from one process's life to the next: a new qmgr waits for the word of the
 * writers, but not for ever; the letters of a dead writer are found; those of a living one that
 * nobody hears are left to it until it lets go of them.
 */
#include "qmgr_rig.h"

#include <string.h>

#include "qmgr/intake.h"

static void new_qmgr_takes_up_what_the_old_one_left(void **state)
{
    struct world *world = *state;
    send_letter(world, "alice@example.test", "local", 3);
    stop_qmgr(world);
    world->lookup_transport = "local";
    prepare_qmgr(world);
    connect_smtpd(world);
    connect_agent(world, 8);
    qmgr_calls.start(&world->daemon);
    loop_turn(world->loop, 20);
    assert_int_equal(world->job_count, 0); /* smtpd has not said what it holds */
    report_smtpd(world);
    wait_for(world, three_jobs);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(world->jobs[i].flags, JOB_SEEN_BEFORE);
        answer_job(world, i, JOB_DELIVERED);
    }
    wait_for(world, delivered_three);
    send_letter(world, "alice@example.test", "local", 2); /* in the segment still held */
    wait_for(world, five_jobs);
    assert_int_equal(world->jobs[4].flags, 0);
    answer_job(world, 3, JOB_DELIVERED);
    answer_job(world, 4, JOB_DELIVERED);
}

static bool a_bounce_gathers(const struct world *world)
{
    return count_of(world, QUEUE_SETTLING) > 0;
}

static bool a_bounce_walks(const struct world *world)
{
    return world->asked > 0;
}

/* The bounce is at that point when the qmgr is told to end: it ends behind the bounce. */
static void bounce_survives_drain_once(struct world *world, condition *underway)
{
    send_letter(world, "alice@example.test", "error", 1);
    wait_for(world, underway);
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 0);
    stop_qmgr(world);
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 1);
    prepare_qmgr(world);
    connect_smtpd(world);
    qmgr_calls.start(&world->daemon);
    report_smtpd(world);
    send_letter(world, "alice@example.test", "hold", 1);
    wait_for(world, held_one);
    wait_for(world, delivered_one); /* the bounce, whoever delivered it */
    turn_for(world, 200);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 1);
    assert_int_equal(world->asked, 1);
}

static void bounce_that_gathers_when_qmgr_drains_is_written_once(void **state)
{
    bounce_survives_drain_once(*state, a_bounce_gathers);
}

static void bounce_that_walks_when_qmgr_drains_is_written_once(void **state)
{
    bounce_survives_drain_once(*state, a_bounce_walks);
}

static void dead_smtpds_last_letter_is_found(void **state)
{
    struct world *world = *state;
    send_letter_unheard(world, 3);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 0);
    kill_smtpd(world);
    wait_for(world, delivered_three);
}

static void segment_of_a_living_smtpd_without_a_socket_is_left_alone(void **state)
{
    struct world *world = *state;
    send_letter_unheard(world, 1);
    channel_free(world->smtpd);
    world->smtpd = NULL;
    turn_for(world, 2 * INTAKE_TAIL_RETRY_MS);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 0);
    send_letter(world, "alice@example.test", "discard", 2); /* it goes on there */
    spool_writer_rotate(world->writer);
    wait_for(world, delivered_three);
}

/* The old qmgr died before it heard of the letter, the writer hangs while the new one starts. */
static void start_with_a_silent_smtpd(struct world *world)
{
    send_letter_unheard(world, 3);
    stop_qmgr(world);
    prepare_qmgr(world);
    struct qmgr *qmgr = world->daemon.state;
    qmgr->gather_ms = 50;
    connect_smtpd(world);
    qmgr_calls.start(&world->daemon);
    world->gives = 0;
}

static bool is_recovered(const struct world *world)
{
    return world->gives > 0;
}

static void recovery_does_not_wait_for_a_silent_smtpd_for_ever(void **state)
{
    struct world *world = *state;
    start_with_a_silent_smtpd(world);
    struct segment_want want = {1, 0};
    assert_true(channel_send(world->smtpd, &ipc_segment_want, &want, NULL));
    wait_for(world, is_recovered);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 0); /* not proven durable */
    kill_smtpd(world);
    wait_for(world, delivered_three);
}

static void smtpd_that_reports_late_speaks_for_its_segments(void **state)
{
    struct world *world = *state;
    struct given held[JOBS_MOST];
    unsigned gives = world->gives;
    start_with_a_silent_smtpd(world);
    memcpy(held, world->held, sizeof held);
    struct segment_want want = {1, 0};
    assert_true(channel_send(world->smtpd, &ipc_segment_want, &want, NULL));
    wait_for(world, is_recovered);
    unsigned given = world->gives;
    struct given last = world->held[given - 1];
    memcpy(world->held, held, sizeof held);
    world->gives = gives;
    report_smtpd(world);
    world->held[world->gives++] = last;
    wait_for(world, delivered_three);
    send_letter(world, "alice@example.test", "discard", 1); /* in the segment still held */
    wait_for(world, delivered_four);
}

/* Another smtpd says what it does not hold, before the one that does: the letter of the victim, of
 * which nobody has heard yet, is not cut off. */
static void segment_of_another_smtpd_is_not_spoken_for(void **state)
{
    struct world *world = *state;
    send_letter_unheard(world, 3);
    stop_qmgr(world);
    prepare_qmgr(world);
    connect_smtpd(world);
    struct channel *liar = world->smtpd;
    connect_smtpd(world);
    for (unsigned i = 0; i < world->gives; i++) {
        struct segment_held held = {.number = world->held[i].number, .durable_end = SPOOL_BLOCK};
        struct segment_sealed sealed = {world->held[i].number, SPOOL_BLOCK};
        assert_true(channel_send(liar, &ipc_segment_held, &held, NULL));
        assert_true(channel_send(liar, &ipc_segment_sealed, &sealed, NULL));
    }
    struct segment_held last = {.last = 1};
    assert_true(channel_send(liar, &ipc_segment_held, &last, NULL));
    qmgr_calls.start(&world->daemon);
    turn_for(world, 50);
    report_smtpd(world);
    wait_for(world, delivered_three);
    send_letter(world, "alice@example.test", "discard", 1); /* in the segment still held */
    wait_for(world, delivered_four);
    channel_free(liar);
}

int main(void)
{
#define TAKEOVER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TAKEOVER_TEST(new_qmgr_takes_up_what_the_old_one_left),
        TAKEOVER_TEST(bounce_that_gathers_when_qmgr_drains_is_written_once),
        TAKEOVER_TEST(bounce_that_walks_when_qmgr_drains_is_written_once),
        TAKEOVER_TEST(dead_smtpds_last_letter_is_found),
        TAKEOVER_TEST(segment_of_a_living_smtpd_without_a_socket_is_left_alone),
        TAKEOVER_TEST(recovery_does_not_wait_for_a_silent_smtpd_for_ever),
        TAKEOVER_TEST(smtpd_that_reports_late_speaks_for_its_segments),
        TAKEOVER_TEST(segment_of_another_smtpd_is_not_spoken_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
