/*
 * Files that can not be written or read, peers that do not listen: the rest of the mail goes on,
 * and what had to wait goes on when it can.
 */
#include "qmgr_rig.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/sys/seqpacket.h"

/* Static memory: the path of a file of that job's segment. */
static const char *path_of(const struct world *world, size_t job, const char *suffix)
{
    static char path[128];
    char text[SPOOL_ID_MAX];
    (void)snprintf(path, sizeof path, "%s/queue/%.*s%s", world->directory,
                   SPAN_ARG(spool_id_text(world->jobs[job].number, text)), suffix);
    return path;
}

/* ---- state files ---- */

static bool delivered_two(const struct world *world)
{
    return page_get(world->page, PAGE_DELIVERED) == 2;
}

static bool delivered_two_deferred_one(const struct world *world)
{
    return delivered_two(world) && deferred_one(world);
}

/* A letter in a segment, a letter in the next one; both in the agent's hands. */
static void give_two_jobs_of_two_segments(struct world *world)
{
    connect_agent(world, 8);
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, one_job);
    spool_writer_rotate(world->writer);
    send_letter(world, "alice@example.test", "local", 2);
    wait_for(world, three_jobs);
    assert_int_not_equal(world->jobs[0].number, world->jobs[1].number);
}

/* The state file of the first is gone, and no new one can be made. */
static void state_file_that_can_not_be_written_stalls_no_other_segment(void **state)
{
    struct world *world = *state;
    world->conf.limits.retry_first = world->conf.limits.retry_most = 3600;
    give_two_jobs_of_two_segments(world);
    assert_int_equal(mkdir(path_of(world, 0, ".new"), 0700), 0);
    assert_int_equal(unlink(path_of(world, 0, ".state")), 0);
    answer_job(world, 0, JOB_DELIVERED);
    answer_job(world, 1, JOB_DELIVERED);
    answer_job(world, 2, JOB_DEFERRED);
    wait_for(world, deferred_one);
    assert_true(delivered_one(world));
    assert_int_equal(count_of(world, QUEUE_SETTLING), 1);
    assert_int_equal(rmdir(path_of(world, 0, ".new")), 0);
    wait_for(world, delivered_two_deferred_one);
}

static void state_file_that_is_gone_is_made_anew_and_nothing_comes_again(void **state)
{
    struct world *world = *state;
    give_two_jobs_of_two_segments(world);
    assert_int_equal(unlink(path_of(world, 1, ".state")), 0);
    for (size_t i = 0; i < 3; i++)
        answer_job(world, i, JOB_DELIVERED);
    wait_for(world, delivered_three);
    stop_qmgr(world);
    prepare_qmgr(world);
    connect_smtpd(world);
    connect_agent(world, 8);
    qmgr_calls.start(&world->daemon);
    report_smtpd(world);
    send_letter(world, "alice@example.test", "discard", 1);
    wait_for(world, delivered_four);
    assert_int_equal(world->job_count, 3);
}

/* ---- agents ---- */

static void ignore_message(void *arg, struct channel *channel, const struct ipc_type *type,
                           const void *message, struct fd_list *fds)
{
    (void)arg;
    (void)channel;
    (void)type;
    (void)message;
    (void)fds;
}

static void ignore_end(void *arg, struct channel *channel)
{
    (void)arg;
    (void)channel;
}

static bool is_active(const struct world *world)
{
    return count_of(world, QUEUE_ACTIVE) == 1;
}

/* It has credit, and its socket takes nothing any more without being closed. */
static struct channel *connect_deaf_agent(struct world *world)
{
    const struct channel_calls calls = {ignore_message, ignore_end, NULL};
    const struct agent_credit credit = {8};
    int pair[2];
    assert_true(seqpacket_pair(pair, 1 << 16));
    qmgr_calls.peer(&world->daemon, ROLE_DELIVER, 1, pair[1]);
    struct channel *agent = channel_new(world->loop, pair[0], &calls);
    assert_true(channel_send(agent, &ipc_agent_credit, &credit, NULL));
    turn_for(world, 20);
    assert_int_equal(shutdown(pair[0], SHUT_RD), 0);
    return agent;
}

static void job_that_an_agents_channel_does_not_take_goes_to_another(void **state)
{
    struct world *world = *state;
    connect_agent(world, 8);
    struct channel *deaf = connect_deaf_agent(world);
    send_letter(world, "alice@example.test", "local", 1); /* by this one qmgr finds it out */
    wait_for(world, is_active);
    turn_for(world, 50);
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, one_job);
    answer_job(world, 0, JOB_DELIVERED);
    wait_for(world, delivered_one);
    channel_free(deaf);
    wait_for(world, two_jobs);
    assert_int_equal(world->jobs[1].flags, JOB_SEEN_BEFORE);
    answer_job(world, 1, JOB_DELIVERED);
    wait_for(world, delivered_two);
}

int main(void)
{
#define FAULT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        FAULT_TEST(state_file_that_can_not_be_written_stalls_no_other_segment),
        FAULT_TEST(state_file_that_is_gone_is_made_anew_and_nothing_comes_again),
        FAULT_TEST(job_that_an_agents_channel_does_not_take_goes_to_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
