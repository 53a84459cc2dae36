#include "qmgr_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/base/clock.h"
#include "util/base/panic.h"
#include "util/sys/seqpacket.h"

/* ---- the end of waiting ---- */

void wait_for(struct world *world, condition *met)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (!met(world)) {
        assert_true(clock_ms() < until);
        loop_turn(world->loop, 10);
    }
}

uint64_t count_of(const struct world *world, enum queue_state state)
{
    const struct qmgr *qmgr = world->daemon.state;
    return qmgr->queue.counts[state];
}

bool delivered_one(const struct world *world)
{
    return page_get(world->page, PAGE_DELIVERED) == 1;
}

bool delivered_three(const struct world *world)
{
    return page_get(world->page, PAGE_DELIVERED) == 3;
}

bool delivered_four(const struct world *world)
{
    return page_get(world->page, PAGE_DELIVERED) == 4;
}

bool deferred_one(const struct world *world)
{
    return page_get(world->page, PAGE_DEFERRED) == 1;
}

bool held_one(const struct world *world)
{
    return page_get(world->page, PAGE_HELD) == 1;
}

bool bounced_one(const struct world *world)
{
    return page_get(world->page, PAGE_BOUNCED) == 1;
}

bool segments_came(const struct world *world)
{
    return world->gives >= 2;
}

bool one_job(const struct world *world)
{
    return world->job_count == 1;
}

bool two_jobs(const struct world *world)
{
    return world->job_count == 2;
}

bool three_jobs(const struct world *world)
{
    return world->job_count == 3;
}

bool five_jobs(const struct world *world)
{
    return world->job_count == 5;
}

void turn_for(struct world *world, int64_t ms)
{
    int64_t until = clock_ms() + ms;
    while (clock_ms() < until)
        loop_turn(world->loop, 10);
}

/* ---- smtpd ---- */

static void on_smtpd(void *arg, struct channel *channel, const struct ipc_type *type,
                     const void *message, struct fd_list *fds)
{
    struct world *world = arg;
    (void)channel;
    if (type == &ipc_queue_run_answer) {
        assert_true(world->run_answer_count < RUN_ANSWERS_MOST);
        world->run_answers[world->run_answer_count++] = *(const struct queue_run_answer *)message;
        return;
    }
    assert_ptr_equal(type, &ipc_segment_give);
    const struct segment_give *words = message;
    assert_true(world->gives < JOBS_MOST);
    world->held[world->gives++] = (struct given){words->number, SPOOL_BLOCK, words->salt};
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

void connect_smtpd(struct world *world)
{
    const struct channel_calls calls = {on_smtpd, on_gone, world};
    world->smtpd = channel_new(world->loop, peer_socket(world, ROLE_SMTPD), &calls);
}

void ask_run(struct world *world, const char *domain, bool subdomains)
{
    const struct queue_run ask = {world->runs_asked++, subdomains, span_cstr(domain)};
    assert_true(channel_send(world->smtpd, &ipc_queue_run, &ask, NULL));
}

void report_smtpd(struct world *world)
{
    for (unsigned i = 0; i < world->gives; i++) {
        const struct given *held = &world->held[i];
        struct segment_held words = {held->number, held->durable_end, held->salt, 0};
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

void send_letter(struct world *world, const char *sender, const char *transport, size_t count)
{
    static const struct span names[] = {SPAN_INIT("bob@example.test"),
                                        SPAN_INIT("carol@example.test"),
                                        SPAN_INIT("dave@example.test")};
    const struct span *to = world->letter_to != NULL ? world->letter_to : names;
    struct envelope_recipient recipients[3] = {{.notify = 0}};
    assert_true(count <= 3);
    for (size_t i = 0; i < count; i++)
        recipients[i] = (struct envelope_recipient){.address = to[i],
                                                    .transport = span_cstr(transport),
                                                    .nexthop = world->letter_nexthop.len > 0
                                                                   ? world->letter_nexthop
                                                                   : SPAN("example.test/box"),
                                                    .notify = world->letter_notify};
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
                            .flags = world->letter_flags,
                            .done = committed,
                            .arg = world};
    world->committed = 0;
    spool_writer_submit(world->writer, &letter);
    wait_for(world, is_committed);
    buf_free(&octets);
}

void send_letter_unheard(struct world *world, size_t recipients)
{
    struct channel *smtpd = world->smtpd;
    world->smtpd = NULL;
    send_letter(world, "alice@example.test", "discard", recipients);
    world->smtpd = smtpd;
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

void kill_smtpd(struct world *world)
{
    const struct spool_writer_calls calls = {smtpd_want, smtpd_durable, smtpd_sealed, world};
    channel_free(world->smtpd);
    world->smtpd = NULL;
    spool_writer_free(world->writer);
    world->writer = spool_writer_new(world->loop, &calls, 1, 0);
    world->gives = 0;
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

void connect_agent(struct world *world, uint16_t credit)
{
    const struct channel_calls calls = {on_agent, on_gone, world};
    struct agent_credit words = {credit};
    world->agent = channel_new(world->loop, peer_socket(world, ROLE_DELIVER), &calls);
    assert_true(channel_send(world->agent, &ipc_agent_credit, &words, NULL));
}

void kill_agent(struct world *world)
{
    channel_free(world->agent);
    world->agent = NULL;
}

void answer_job(struct world *world, size_t index, enum job_fate fate)
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

void prepare_qmgr(struct world *world)
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

void stop_qmgr(struct world *world)
{
    qmgr_calls.drain(&world->daemon);
    wait_for(world, stopped);
    channel_free(world->smtpd);
    channel_free(world->lookup);
    channel_free(world->agent);
    world->smtpd = world->lookup = world->agent = NULL;
}

int setup(void **state)
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

int teardown(void **state)
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
