/*
 * The whole of qmgr in one process with a real spool: this file plays smtpd, lookup and the
 * delivery agent over the sockets that master would make. What is shown here are the promises
 * between the parts: recovery waits, states follow results, a dead agent loses nothing, a bounce is
 * a letter.
 */
#include "qmgr/qmgr.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "qmgr/agents.h"
#include "qmgr/intake.h"
#include "util/base/base64.h"
#include "util/base/clock.h"
#include "util/base/panic.h"
#include "util/sys/seqpacket.h"

enum { PATIENCE_MS = 10000, JOBS_MOST = 64 };

struct seen_job {
    uint64_t job, number, offset;
    uint16_t recipient;
    uint8_t flags;
    char nexthop[64];
};

struct world {
    struct loop *loop;
    struct conf conf;
    struct span domain;
    struct daemon daemon;
    struct page *page;
    char directory[64];
    /* smtpd */
    struct channel *smtpd;
    struct spool_writer *writer;
    unsigned committed, gives;
    struct spool_held held[JOBS_MOST]; /* one a give */
    /* lookup */
    struct channel *lookup;
    enum resolve_status lookup_says;
    const char *lookup_transport;
    unsigned asked;
    /* the agent */
    struct channel *agent;
    struct seen_job jobs[JOBS_MOST];
    size_t job_count;
    unsigned segments, forgets;
};

/* ---- the end of waiting ---- */

typedef bool condition(const struct world *world);

static void wait_for(struct world *world, condition *met)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (!met(world)) {
        assert_true(clock_ms() < until);
        loop_turn(world->loop, 10);
    }
}

static uint64_t count_of(const struct world *world, enum queue_state state)
{
    const struct qmgr *qmgr = world->daemon.state;
    return qmgr->queue.counts[state];
}

static bool delivered_one(const struct world *world)
{
    return page_get(world->page, PAGE_DELIVERED) == 1;
}

static bool delivered_three(const struct world *world)
{
    return page_get(world->page, PAGE_DELIVERED) == 3;
}

static bool delivered_four(const struct world *world)
{
    return page_get(world->page, PAGE_DELIVERED) == 4;
}

static bool deferred_one(const struct world *world)
{
    return page_get(world->page, PAGE_DEFERRED) == 1;
}

static bool held_one(const struct world *world)
{
    return page_get(world->page, PAGE_HELD) == 1;
}

static bool bounced_one(const struct world *world)
{
    return page_get(world->page, PAGE_BOUNCED) == 1;
}

static bool segments_came(const struct world *world)
{
    return world->gives >= 2;
}

static bool one_job(const struct world *world)
{
    return world->job_count == 1;
}

static bool two_jobs(const struct world *world)
{
    return world->job_count == 2;
}

static bool three_jobs(const struct world *world)
{
    return world->job_count == 3;
}

static bool five_jobs(const struct world *world)
{
    return world->job_count == 5;
}

/* ---- smtpd ---- */

static void on_smtpd(void *arg, struct channel *channel, const struct ipc_type *type,
                     const void *message, struct fd_list *fds)
{
    struct world *world = arg;
    (void)channel;
    assert_ptr_equal(type, &ipc_segment_give);
    const struct segment_give *words = message;
    assert_true(world->gives < JOBS_MOST);
    world->held[world->gives++] = (struct spool_held){words->number, SPOOL_BLOCK};
    const struct spool_grant grant = {fd_list_take(fds), words->number, words->salt,
                                      (enum spool_kind)words->kind, words->size};
    spool_writer_give(world->writer, &grant);
}

static void on_gone(void *arg, struct channel *channel)
{
    (void)arg;
    (void)channel;
}

static void smtpd_want(void *arg, unsigned shared, unsigned private)
{
    struct world *world = arg;
    struct segment_want words = {(uint8_t)shared, (uint8_t) private};
    if (world->smtpd != NULL)
        assert_true(channel_send(world->smtpd, &ipc_segment_want, &words, NULL));
}

static void smtpd_durable(void *arg, uint64_t number, uint64_t end)
{
    struct world *world = arg;
    struct segment_durable words = {number, end};
    for (unsigned i = 0; i < world->gives; i++)
        if (world->held[i].number == number)
            world->held[i].durable_end = end;
    if (world->smtpd != NULL)
        assert_true(channel_send(world->smtpd, &ipc_segment_durable, &words, NULL));
}

static void smtpd_sealed(void *arg, uint64_t number, uint64_t end)
{
    struct world *world = arg;
    struct segment_sealed words = {number, end};
    if (world->smtpd != NULL)
        assert_true(channel_send(world->smtpd, &ipc_segment_sealed, &words, NULL));
}

static int peer_socket(struct world *world, enum role role)
{
    int pair[2];
    assert_true(seqpacket_pair(pair, 1 << 20));
    qmgr_calls.peer(&world->daemon, role, 0, pair[1]);
    return pair[0];
}

static void connect_smtpd(struct world *world)
{
    const struct channel_calls calls = {on_smtpd, on_gone, world};
    world->smtpd = channel_new(world->loop, peer_socket(world, ROLE_SMTPD), &calls);
}

static void report_smtpd(struct world *world)
{
    for (unsigned i = 0; i < world->gives; i++) {
        struct segment_held words = {world->held[i].number, world->held[i].durable_end, 0};
        assert_true(channel_send(world->smtpd, &ipc_segment_held, &words, NULL));
    }
    struct segment_held last = {.last = 1};
    assert_true(channel_send(world->smtpd, &ipc_segment_held, &last, NULL));
}

static void committed(void *arg, enum spool_result result, uint64_t id)
{
    struct world *world = arg;
    (void)id;
    assert_int_equal(result, SPOOL_OK);
    world->committed++;
}

static bool is_committed(const struct world *world)
{
    return world->committed > 0;
}

/* Commits one letter from `sender` to `count` recipients of that transport. */
static void send_letter(struct world *world, const char *sender, const char *transport,
                        size_t count)
{
    static const struct span names[] = {SPAN_INIT("bob@example.test"),
                                        SPAN_INIT("carol@example.test"),
                                        SPAN_INIT("dave@example.test")};
    struct envelope_recipient recipients[3] = {{.notify = 0}};
    assert_true(count <= 3);
    for (size_t i = 0; i < count; i++)
        recipients[i] = (struct envelope_recipient){.address = names[i],
                                                    .transport = span_cstr(transport),
                                                    .nexthop = SPAN("example.test/box")};
    struct envelope envelope = {.sender = span_cstr(sender),
                                .protocol = SPAN("ESMTP"),
                                .recipients = recipients,
                                .recipient_count = count};
    struct buf octets = {0};
    assert_true(envelope_encode(&envelope, &octets));
    struct letter letter = {.envelope = buf_span(&octets),
                            .body = SPAN("Subject: test\r\n\r\nbody\r\n"),
                            .arrival_us = clock_wall_us(),
                            .recipients = (uint32_t)count,
                            .done = committed,
                            .arg = world};
    world->committed = 0;
    spool_writer_submit(world->writer, &letter);
    wait_for(world, is_committed);
    buf_free(&octets);
}

/* ---- lookup ---- */

static void on_lookup(void *arg, struct channel *channel, const struct ipc_type *type,
                      const void *message, struct fd_list *fds)
{
    struct world *world = arg;
    (void)fds;
    assert_ptr_equal(type, &ipc_resolve);
    const struct resolve *question = message;
    struct arena arena = {0};
    assert_int_equal(question->flags, RESOLVE_TRUSTED);
    world->asked++;
    struct resolved answer = {
        .query = question->query,
        .status = (uint8_t)world->lookup_says,
        .address = arena_printf(&arena, "%.*s@%.*s", SPAN_ARG(question->local),
                                SPAN_ARG(question->domain)),
        .transport = span_cstr(world->lookup_transport),
        .nexthop = SPAN("example.test/new"),
    };
    assert_true(channel_send(channel, &ipc_resolved, &answer, NULL));
    arena_free(&arena);
}

/* ---- the agent ---- */

static void on_job(struct world *world, const struct job *words)
{
    assert_true(world->job_count < JOBS_MOST);
    struct seen_job *job = &world->jobs[world->job_count++];
    *job = (struct seen_job){words->job,       words->number, words->offset,
                             words->recipient, words->flags,  ""};
    assert_true(span_to_cstr(words->nexthop, job->nexthop, sizeof job->nexthop));
}

static void on_agent(void *arg, struct channel *channel, const struct ipc_type *type,
                     const void *message, struct fd_list *fds)
{
    struct world *world = arg;
    (void)channel;
    if (type == &ipc_agent_segment) {
        int fd = fd_list_take(fds);
        assert_true(fd >= 0);
        char octet;
        assert_int_equal(pread(fd, &octet, 1, 0), 1);
        assert_int_equal(write(fd, "x", 1), -1);
        (void)close(fd);
        world->segments++;
    } else if (type == &ipc_agent_forget) {
        world->forgets++;
    } else {
        assert_ptr_equal(type, &ipc_job);
        on_job(world, message);
    }
}

static void connect_agent(struct world *world, uint16_t credit)
{
    const struct channel_calls calls = {on_agent, on_gone, world};
    struct agent_credit words = {credit};
    world->agent = channel_new(world->loop, peer_socket(world, ROLE_DELIVER), &calls);
    assert_true(channel_send(world->agent, &ipc_agent_credit, &words, NULL));
}

static void kill_agent(struct world *world)
{
    channel_free(world->agent);
    world->agent = NULL;
}

static void answer_job(struct world *world, size_t index, enum job_fate fate)
{
    static const struct span enhanced[] = {SPAN_INIT("2.0.0"), SPAN_INIT("4.2.2"),
                                           SPAN_INIT("5.1.1"), SPAN_INIT("5.3.0")};
    struct job_result words = {world->jobs[index].job, (uint8_t)fate, enhanced[fate],
                               SPAN("said the test")};
    struct agent_credit credit = {1};
    assert_true(channel_send(world->agent, &ipc_job_result, &words, NULL));
    assert_true(channel_send(world->agent, &ipc_agent_credit, &credit, NULL));
}

/* ---- the world ---- */

static void prepare_qmgr(struct world *world)
{
    const struct channel_calls lookup_calls = {on_lookup, on_gone, world};
    struct sandbox sandbox = {0};
    world->daemon = (struct daemon){.loop = world->loop, .conf = &world->conf, .page = world->page};
    qmgr_calls.prepare(&world->daemon, &sandbox);
    assert_string_equal(sandbox.writable[0], world->directory);
    world->lookup = channel_new(world->loop, peer_socket(world, ROLE_LOOKUP), &lookup_calls);
}

static bool stopped(const struct world *world)
{
    return world->daemon.state == NULL;
}

static void stop_qmgr(struct world *world)
{
    qmgr_calls.drain(&world->daemon);
    wait_for(world, stopped);
    channel_free(world->smtpd);
    channel_free(world->lookup);
    channel_free(world->agent);
    world->smtpd = world->lookup = world->agent = NULL;
}

static int setup(void **state)
{
    struct world *world = mem_new(sizeof *world);
    const struct spool_writer_calls calls = {smtpd_want, smtpd_durable, smtpd_sealed, world};
    *state = world;
    (void)snprintf(world->directory, sizeof world->directory, "/tmp/test-qmgr-XXXXXX");
    if (mkdtemp(world->directory) == NULL)
        return -1;
    world->loop = loop_new();
    int fd = page_create();
    world->page = page_map(fd, true);
    (void)close(fd);
    world->domain = SPAN("example.test");
    world->conf = (struct conf){
        .hostname = SPAN("mx.example.test"),
        .domains = {&world->domain, 1},
        .limits = {.retry_first = 1,
                   .retry_most = 2,
                   .message_life = 86400,
                   .bounce_life = 86400,
                   .message_size = 1 << 20,
                   .delivery_concurrency = 8},
        .segment_size = 16 << 20,
        .spool_directory = span_cstr(world->directory),
    };
    world->lookup_transport = "discard";
    prepare_qmgr(world);
    world->writer = spool_writer_new(world->loop, &calls, 1, 0);
    connect_smtpd(world);
    report_smtpd(world);
    qmgr_calls.start(&world->daemon);
    wait_for(world, segments_came);
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    char command[128];
    stop_qmgr(world);
    spool_writer_free(world->writer);
    page_unmap(world->page);
    loop_free(world->loop);
    (void)snprintf(command, sizeof command, "rm -rf %s", world->directory);
    int status = system(command);
    mem_free(world);
    return status;
}

/* ---- tests ---- */

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
    wait_for(world, deferred_one);
    wait_for(world, two_jobs);
    assert_int_equal(world->asked, 1);
    assert_string_equal(world->jobs[1].nexthop, "example.test/new");
    assert_int_equal(page_get(world->page, PAGE_RETRIED), 1);
    answer_job(world, 1, JOB_DELIVERED);
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

static void failed_recipients_of_a_letter_share_one_bounce(void **state)
{
    struct world *world = *state;
    send_letter(world, "alice@example.test", "error", 3);
    wait_for(world, delivered_one); /* the bounce, into discard */
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 3);
    assert_int_equal(world->asked, 1);
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

/* The whole of smtpd dies: socket and descriptors. */
static void kill_smtpd(struct world *world)
{
    const struct spool_writer_calls calls = {smtpd_want, smtpd_durable, smtpd_sealed, world};
    channel_free(world->smtpd);
    world->smtpd = NULL;
    spool_writer_free(world->writer);
    world->writer = spool_writer_new(world->loop, &calls, 1, 0);
    world->gives = 0;
}

static void turn_for(struct world *world, int64_t ms)
{
    int64_t until = clock_ms() + ms;
    while (clock_ms() < until)
        loop_turn(world->loop, 10);
}

/* Durable, and nobody is told. */
static void send_letter_unheard(struct world *world, size_t recipients)
{
    struct channel *smtpd = world->smtpd;
    world->smtpd = NULL;
    send_letter(world, "alice@example.test", "discard", recipients);
    world->smtpd = smtpd;
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
    struct spool_held held[JOBS_MOST];
    unsigned gives = world->gives;
    start_with_a_silent_smtpd(world);
    memcpy(held, world->held, sizeof held);
    struct segment_want want = {1, 0};
    assert_true(channel_send(world->smtpd, &ipc_segment_want, &want, NULL));
    wait_for(world, is_recovered);
    unsigned given = world->gives;
    struct spool_held last = world->held[given - 1];
    memcpy(world->held, held, sizeof held);
    world->gives = gives;
    report_smtpd(world);
    world->held[world->gives++] = last;
    wait_for(world, delivered_three);
    send_letter(world, "alice@example.test", "discard", 1); /* in the segment still held */
    wait_for(world, delivered_four);
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
        FLOW_TEST(changed_route_counts_at_the_next_attempt),
        FLOW_TEST(held_letter_stays),
        FLOW_TEST(failed_recipients_of_a_letter_share_one_bounce),
        FLOW_TEST(failure_without_sender_is_told_to_the_postmaster_once),
        FLOW_TEST(sender_that_can_not_be_looked_up_postpones_the_bounce),
        FLOW_TEST(dead_agents_jobs_are_given_again_one_at_a_time),
        FLOW_TEST(letter_that_kills_three_agents_is_held),
        FLOW_TEST(new_qmgr_takes_up_what_the_old_one_left),
        FLOW_TEST(dead_smtpds_last_letter_is_found),
        FLOW_TEST(segment_of_a_living_smtpd_without_a_socket_is_left_alone),
        FLOW_TEST(recovery_does_not_wait_for_a_silent_smtpd_for_ever),
        FLOW_TEST(smtpd_that_reports_late_speaks_for_its_segments),
        FLOW_TEST(damaged_letter_is_set_aside_and_its_sender_told),
        FLOW_TEST(letter_that_only_its_agent_finds_damaged_is_deferred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
