/*
 * What becomes of a letter in a running qmgr: states follow results, a dead agent loses nothing, a
 * bounce is a letter, a damaged one is told.
 */
#include "qmgr_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qmgr/agents.h"
#include "qmgr/pressure.h"
#include "util/base/base64.h"
#include "util/base/clock.h"

static void discarded_letter_is_delivered_without_an_agent(void **state)
{
    struct world *world = *state;
    send_letter(world, "alice@example.test", "discard", 3);
    wait_for(world, delivered_three);
    assert_int_equal(count_of(world, QUEUE_FREE), 3);
    assert_int_equal(world->asked, 0);
}

static void local_letter_goes_to_an_agent_with_its_segment(void **state)
{
    struct world *world = *state;
    connect_agent(world, 8);
    send_letter(world, "alice@example.test", "local", 3);
    wait_for(world, three_jobs);
    assert_int_equal(world->segments, 1);
    assert_string_equal(world->jobs[0].nexthop, "example.test/box");
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(world->jobs[i].recipient, i);
        assert_int_equal(world->jobs[i].flags, 0);
        answer_job(world, i, JOB_DELIVERED);
    }
    wait_for(world, delivered_three);
}

static void agent_is_never_given_more_than_its_credit(void **state)
{
    struct world *world = *state;
    connect_agent(world, 1);
    send_letter(world, "alice@example.test", "local", 3);
    wait_for(world, one_job);
    loop_turn(world->loop, 20);
    assert_int_equal(world->job_count, 1);
    assert_int_equal(count_of(world, QUEUE_READY), 2);
    answer_job(world, 0, JOB_DELIVERED);
    wait_for(world, two_jobs);
    loop_turn(world->loop, 20);
    assert_int_equal(world->job_count, 2);
    kill_agent(world); /* or the drain waits for it */
}

static void made_up_result_settles_nothing(void **state)
{
    struct world *world = *state;
    connect_agent(world, 8);
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, one_job);
    uint64_t right = world->jobs[0].job;
    const uint64_t wrong[] = {right + 1, right + 0x10000, right | 0xffff, UINT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        world->jobs[0].job = wrong[i];
        answer_job(world, 0, JOB_DELIVERED);
        loop_turn(world->loop, 10);
    }
    assert_int_equal(count_of(world, QUEUE_ACTIVE), 1);
    world->jobs[0].job = right;
    answer_job(world, 0, JOB_DELIVERED);
    wait_for(world, delivered_one);
}

static void deferred_recipient_is_asked_for_anew_and_tried_again(void **state)
{
    struct world *world = *state;
    world->lookup_transport = "local";
    connect_agent(world, 8);
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, one_job);
    answer_job(world, 0, JOB_DEFERRED);
    wait_for(world, two_jobs);
    assert_int_equal(world->asked, 1);
    assert_string_equal(world->jobs[1].nexthop, "example.test/new");
    assert_int_equal(page_get(world->page, PAGE_RETRIED), 1);
    answer_job(world, 1, JOB_DELIVERED);
    wait_for(world, delivered_one);
}

/* It was never tried: it is due as soon as there is room, and not at the next start. */
static void recipient_that_found_no_room_is_taken_up_when_there_is_some(void **state)
{
    struct world *world = *state;
    uint64_t *active = &((struct qmgr *)world->daemon.state)->queue.counts[QUEUE_ACTIVE];
    world->lookup_transport = "local";
    connect_agent(world, 8);
    *active += PRESSURE_BUSY_MOST;
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, one_job);
    *active -= PRESSURE_BUSY_MOST;
    assert_int_equal(page_get(world->page, PAGE_RETRIED), 1);
    answer_job(world, 0, JOB_DELIVERED);
    wait_for(world, delivered_one);
}

static void changed_route_counts_at_the_next_attempt(void **state)
{
    struct world *world = *state;
    send_letter(world, "alice@example.test", "smtp", 1);
    wait_for(world, delivered_one); /* lookup says "discard" by now */
    assert_int_equal(world->asked, 1);
}

static void held_letter_stays(void **state)
{
    struct world *world = *state;
    send_letter(world, "alice@example.test", "hold", 1);
    wait_for(world, held_one);
    assert_int_equal(count_of(world, QUEUE_HELD), 1);
}

/* Its way stays what it was: a release needs nothing but another state. */
static void letter_that_came_to_be_held_is_given_to_nobody(void **state)
{
    struct world *world = *state;
    world->letter_flags = RECORD_FLAG_HOLD;
    connect_agent(world, 8);
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, held_one);
    assert_int_equal(count_of(world, QUEUE_HELD), 1);
    assert_int_equal(world->job_count, 0);
    kill_agent(world);
}

static void failed_recipients_of_a_letter_share_one_bounce(void **state)
{
    struct world *world = *state;
    send_letter(world, "alice@example.test", "error", 3);
    wait_for(world, delivered_one); /* the bounce, into discard */
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 3);
    assert_int_equal(world->asked, 1);
}

static void failure_that_is_not_to_be_told_is_told_to_nobody(void **state)
{
    static const uint8_t silent[] = {ENVELOPE_NOTIFY_NEVER, ENVELOPE_NOTIFY_SUCCESS,
                                     ENVELOPE_NOTIFY_DELAY};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof silent; i++) {
        world->letter_notify = silent[i];
        send_letter(world, "alice@example.test", "error", 1);
        int64_t until = clock_ms() + PATIENCE_MS;
        while (page_get(world->page, PAGE_BOUNCED) <= i && clock_ms() < until)
            loop_turn(world->loop, 10);
        assert_int_equal(page_get(world->page, PAGE_BOUNCED), i + 1);
    }
    assert_int_equal(world->asked, 0);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 0);
}

static void delivery_is_told_to_who_asked_for_it(void **state)
{
    struct world *world = *state;
    world->letter_notify = ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_FAILURE;
    send_letter(world, "alice@example.test", "discard", 2);
    wait_for(world, delivered_three); /* both, and the letter that says so */
    assert_int_equal(world->asked, 1);
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 0);
}

static void delivery_is_told_to_no_postmaster(void **state)
{
    struct world *world = *state;
    world->letter_notify = ENVELOPE_NOTIFY_SUCCESS;
    send_letter(world, "", "discard", 1);
    wait_for(world, delivered_one);
    world->lookup_says = RESOLVE_UNKNOWN_USER;
    send_letter(world, "alice@example.test", "discard", 2);
    wait_for(world, delivered_three);
    assert_int_equal(world->asked, 1); /* about alice alone */
    assert_int_equal(count_of(world, QUEUE_SETTLING), 0);
}

static void delivery_that_can_not_be_told_of_is_not_repeated(void **state)
{
    struct world *world = *state;
    world->letter_notify = ENVELOPE_NOTIFY_SUCCESS;
    world->lookup_says = RESOLVE_TEMPORARY;
    send_letter(world, "alice@example.test", "discard", 1);
    wait_for(world, delivered_one);
    assert_int_equal(count_of(world, QUEUE_DEFERRED), 0);
}

static void failure_without_sender_is_told_to_the_postmaster_once(void **state)
{
    struct world *world = *state;
    world->lookup_transport = "error"; /* and that letter fails, too */
    send_letter(world, "", "error", 1);
    int64_t until = clock_ms() + PATIENCE_MS;
    while (page_get(world->page, PAGE_BOUNCED) < 2 && clock_ms() < until)
        loop_turn(world->loop, 10);
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 2);
    for (int i = 0; i < 20; i++)
        loop_turn(world->loop, 20);
    assert_int_equal(world->asked, 1);
    assert_int_equal(count_of(world, QUEUE_SETTLING), 0);
}

static void sender_that_can_not_be_looked_up_postpones_the_bounce(void **state)
{
    struct world *world = *state;
    world->lookup_says = RESOLVE_TEMPORARY;
    send_letter(world, "alice@example.test", "error", 1);
    wait_for(world, deferred_one);
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 0);
    world->lookup_says = RESOLVE_UNKNOWN_USER; /* recipient and senders: nobody to tell */
    wait_for(world, bounced_one);
}

static void dead_agents_jobs_are_given_again_one_at_a_time(void **state)
{
    struct world *world = *state;
    connect_agent(world, 8);
    send_letter(world, "alice@example.test", "local", 3);
    wait_for(world, three_jobs);
    kill_agent(world);
    world->job_count = 0;
    connect_agent(world, 8);
    wait_for(world, one_job);
    loop_turn(world->loop, 20);
    assert_int_equal(world->job_count, 1);
    assert_int_equal(world->jobs[0].flags, JOB_SEEN_BEFORE);
    answer_job(world, 0, JOB_DELIVERED);
    wait_for(world, two_jobs);
    answer_job(world, 1, JOB_DELIVERED);
    wait_for(world, three_jobs);
    answer_job(world, 2, JOB_DELIVERED);
    wait_for(world, delivered_three);
}

static void letter_that_kills_three_agents_is_held(void **state)
{
    struct world *world = *state;
    send_letter(world, "alice@example.test", "local", 1);
    for (int i = 0; i < AGENT_DEATHS_MOST; i++) {
        world->job_count = 0;
        connect_agent(world, 8);
        wait_for(world, one_job);
        kill_agent(world);
    }
    wait_for(world, held_one);
    world->job_count = 0;
    connect_agent(world, 8);
    for (int i = 0; i < 5; i++)
        loop_turn(world->loop, 10);
    assert_int_equal(world->job_count, 0);
}

/* An octet of the body of the first letter in the segment is another one. */
static void flip_body(struct world *world, uint64_t number)
{
    char path[128], digits[BASE32_U64_MAX], octets[4096];
    int length = (int)base32_u64(number, digits);
    (void)snprintf(path, sizeof path, "%s/queue/%.*s.seg", world->directory, length, digits);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, octets, sizeof octets, SPOOL_BLOCK), sizeof octets);
    char *body = memmem(octets, sizeof octets, "Subject: test", 13);
    assert_non_null(body);
    assert_int_equal(pwrite(fd, "X", 1, SPOOL_BLOCK + (body - octets)), 1);
    (void)close(fd);
}

static bool corrupt_is_empty(const struct world *world)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/corrupt", world->directory);
    return rmdir(path) == 0;
}

static void damaged_letter_is_set_aside_and_its_sender_told(void **state)
{
    struct world *world = *state;
    connect_agent(world, 8);
    send_letter(world, "alice@example.test", "local", 2);
    wait_for(world, two_jobs);
    flip_body(world, world->jobs[0].number);
    answer_job(world, 0, JOB_DAMAGED);
    answer_job(world, 1, JOB_DAMAGED);
    wait_for(world, delivered_one); /* the bounce */
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 2);
    assert_int_equal(page_get(world->page, PAGE_CORRUPT), 2);
    assert_false(corrupt_is_empty(world));
}

static void letter_that_only_its_agent_finds_damaged_is_deferred(void **state)
{
    struct world *world = *state;
    world->lookup_transport = "local";
    connect_agent(world, 8);
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, one_job);
    answer_job(world, 0, JOB_DAMAGED);
    wait_for(world, two_jobs);
    assert_int_equal(world->jobs[1].flags, JOB_SEEN_BEFORE);
    answer_job(world, 1, JOB_DELIVERED);
    wait_for(world, delivered_one);
    assert_int_equal(page_get(world->page, PAGE_CORRUPT), 0);
    assert_true(corrupt_is_empty(world));
}

int main(void)
{
#define FLOW_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        FLOW_TEST(discarded_letter_is_delivered_without_an_agent),
        FLOW_TEST(local_letter_goes_to_an_agent_with_its_segment),
        FLOW_TEST(agent_is_never_given_more_than_its_credit),
        FLOW_TEST(made_up_result_settles_nothing),
        FLOW_TEST(deferred_recipient_is_asked_for_anew_and_tried_again),
        FLOW_TEST(recipient_that_found_no_room_is_taken_up_when_there_is_some),
        FLOW_TEST(changed_route_counts_at_the_next_attempt),
        FLOW_TEST(held_letter_stays),
        FLOW_TEST(letter_that_came_to_be_held_is_given_to_nobody),
        FLOW_TEST(failed_recipients_of_a_letter_share_one_bounce),
        FLOW_TEST(failure_that_is_not_to_be_told_is_told_to_nobody),
        FLOW_TEST(delivery_is_told_to_who_asked_for_it),
        FLOW_TEST(delivery_is_told_to_no_postmaster),
        FLOW_TEST(delivery_that_can_not_be_told_of_is_not_repeated),
        FLOW_TEST(failure_without_sender_is_told_to_the_postmaster_once),
        FLOW_TEST(sender_that_can_not_be_looked_up_postpones_the_bounce),
        FLOW_TEST(dead_agents_jobs_are_given_again_one_at_a_time),
        FLOW_TEST(letter_that_kills_three_agents_is_held),
        FLOW_TEST(damaged_letter_is_set_aside_and_its_sender_told),
        FLOW_TEST(letter_that_only_its_agent_finds_damaged_is_deferred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
