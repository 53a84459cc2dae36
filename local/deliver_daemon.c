/*
 * Why everything that waits in the socket becomes one batch: under load the batches grow by
 * themselves and each letter gets cheaper; a single letter waits for nothing. qmgr never sends more
 * jobs than it was given credit for, so a batch is bounded without a queue here.
 */
#include "local/deliver_daemon.h"

#include "local/answers.h"
#include "local/deliver.h"
#include "local/mail_root.h"
#include "util/base/hash.h"
#include "util/base/panic.h"
#include "util/ipc/packet.h"

#include <errno.h>
#include <poll.h>
#include <sysexits.h>
#include <unistd.h>

/* A signal that comes just before poll(2) is seen this much later at most. */
enum { WAKE_MS = 1000 };

/* A segment that jobs may name. */
struct segment {
    uint64_t number; /* the key */
    struct segment_view view;
    UT_hash_handle hh;
};

/* All that the process keeps; one qmgr at a time. */
struct deliver_state {
    struct deliverer deliverer;
    int qmgr; /* -1: none */
    struct segment *segments;
    struct arena arena; /* the texts of the jobs at hand */
    struct delivery deliveries[DELIVER_BATCH];
    uint64_t jobs[DELIVER_BATCH]; /* their numbers */
    size_t count;
    uint16_t credit; /* what qmgr may send at once */
    struct answers answers;
    char packet[SEQPACKET_MAX];
};

/* ---- segments ---- */

/* Its descriptor keeps the space of a segment that may be gone from the spool already. */
static void forget_segment(struct deliver_state *state, struct segment *segment)
{
    if (segment == NULL)
        return;
    HASH_DEL(state->segments, segment);
    (void)close(segment->view.fd);
    mem_free(segment);
}

/* NULL when qmgr never gave it, or took it back. */
static struct segment *find_segment(const struct deliver_state *state, uint64_t number)
{
    struct segment *found;
    HASH_FIND(hh, state->segments, &number, sizeof number, found);
    return found;
}

/* The next qmgr gives descriptors of its own. */
static void forget_all_segments(struct deliver_state *state)
{
    struct segment *segment, *next;
    HASH_ITER (hh, state->segments, segment, next) {
        forget_segment(state, segment);
    }
}

/* A second descriptor of one number replaces the first. */
static void take_segment(struct deliver_state *state, const struct agent_segment *message, int fd)
{
    forget_segment(state, find_segment(state, message->number));
    struct segment *segment = mem_new(sizeof *segment);
    segment->number = message->number;
    segment->view = (struct segment_view){fd, message->number, message->salt};
    HASH_ADD(hh, state->segments, number, sizeof segment->number, segment);
}

/* ---- jobs ---- */

/* More than credit allows is a bug of qmgr: its socket is closed. */
static bool take_job(struct deliver_state *state, const struct job *job)
{
    if (state->count == state->credit) {
        log_event(LOG_ERROR, "job-unasked", LOG_UINT("credit", state->credit));
        return false;
    }
    /* Without its segment the job has no descriptor: reading fails, and it is deferred. */
    const struct segment *segment = find_segment(state, job->number);
    struct delivery *delivery = &state->deliveries[state->count];
    *delivery = (struct delivery){
        .segment = segment != NULL ? segment->view : (struct segment_view){.fd = -1},
        .offset = job->offset,
        .recipient = job->recipient,
        .seen_before = (job->flags & JOB_SEEN_BEFORE) != 0,
        .mailbox = arena_copy(&state->arena, job->nexthop),
    };
    state->jobs[state->count++] = job->job;
    return true;
}

/* packet_message. */
static bool on_message(void *arg, const struct ipc_type *type, const void *message,
                       struct fd_list *fds)
{
    struct deliver_state *state = arg;
    if (type == &ipc_job)
        return take_job(state, message);
    if (type == &ipc_agent_segment)
        take_segment(state, message, fd_list_take(fds));
    else if (type == &ipc_agent_forget)
        forget_segment(state, find_segment(state, ((const struct agent_forget *)message)->number));
    else
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", type->name));
    return true;
}

/* What it asked for and was not begun is forgotten: it asks again. */
static void drop_qmgr(struct deliver_state *state)
{
    if (state->qmgr >= 0)
        (void)close(state->qmgr);
    state->qmgr = -1;
    state->count = 0;
    forget_all_segments(state);
}

/* As many as were answered: the sum stays what it was at the start. */
static void give_credit(struct deliver_state *state, size_t jobs)
{
    struct agent_credit credit = {(uint16_t)jobs};
    answers_add(&state->answers, &ipc_agent_credit, &credit, NULL);
}

/* Receives until the socket is empty or a batch is full. False: qmgr is gone. */
static bool gather(struct deliver_state *state)
{
    while (state->count < state->credit) {
        struct fd_list fds;
        size_t size;
        enum seqpacket_result result = seqpacket_receive(state->qmgr, state->packet, &size, &fds);
        if (result == SEQPACKET_AGAIN)
            return true;
        /* The kernel cut it, most likely for want of a descriptor. Without qmgr there is nothing to
         * do here, and only a new process gets a new socket to it. */
        if (result == SEQPACKET_MALFORMED)
            fatal(EX_OSERR, "a packet of qmgr came cut short");
        if (result != SEQPACKET_OK ||
            !packet_deliver(span_of(state->packet, size), &fds, on_message, state))
            return false;
    }
    return true;
}

/* Results and new credit leave in the same packets. */
static void answer_batch(struct deliver_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct delivery *delivery = &state->deliveries[i];
        struct job_result result = {.job = state->jobs[i],
                                    .fate = (uint8_t)delivery->fate,
                                    .enhanced = span_cstr(delivery->enhanced),
                                    .text = span_cstr(delivery->text)};
        answers_add(&state->answers, &ipc_job_result, &result, NULL);
    }
    give_credit(state, state->count);
}

static void serve_qmgr(struct daemon *daemon)
{
    struct deliver_state *state = daemon->state;
    bool alive = gather(state);
    /* What came before qmgr died is delivered all the same: it asks for it again, and finds it. */
    if (state->count > 0) {
        deliver_batch(&state->deliverer, state->deliveries, state->count);
        answer_batch(state);
        alive = answers_send(&state->answers) && alive;
        state->count = 0;
        arena_reset(&state->arena);
    }
    if (!alive)
        drop_qmgr(state);
}

/* ---- the daemon ---- */

/* The directories of mailboxes are opened later, beneath the root. */
static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    struct deliver_state *state = mem_new(sizeof *state);
    uint64_t concurrency = daemon->conf->limits.delivery_concurrency;
    state->qmgr = -1;
    state->credit = (uint16_t)(concurrency < DELIVER_BATCH ? concurrency : DELIVER_BATCH);
    state->deliverer.root = mail_root_prepare(daemon, sandbox);
    state->deliverer.hostname = daemon->conf->hostname;
    state->deliverer.page = daemon->page;
    daemon->state = state;
}

static void start(struct daemon *daemon)
{
    (void)daemon; /* qmgr's socket came through peer */
}

/* A new qmgr replaces the old one, whose socket may not have closed yet. */
static void take_peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    struct deliver_state *state = daemon->state;
    (void)index;
    if (role != ROLE_QMGR) {
        (void)close(fd);
        return;
    }
    drop_qmgr(state);
    state->qmgr = fd;
    state->answers.fd = fd;
    state->answers.failed = false;
    give_credit(state, state->credit);
    if (!answers_send(&state->answers))
        drop_qmgr(state);
}

/* Jobs still in the socket stay qmgr's: nothing is lost by leaving at once. */
static void drain(struct daemon *daemon)
{
    daemon_exit(daemon);
}

/* poll(2) on two sockets: there is nothing else to wait for. */
static void run(struct daemon *daemon)
{
    struct deliver_state *state = daemon->state;
    while (daemon_poll(daemon)) {
        struct pollfd watched[] = {{.fd = daemon_control_fd(daemon), .events = POLLIN},
                                   {.fd = state->qmgr, .events = POLLIN}};
        if (poll(watched, 2, WAKE_MS) > 0 && watched[1].revents != 0)
            serve_qmgr(daemon);
    }
    deliverer_free(&state->deliverer);
}

const struct daemon_calls deliver_daemon_calls = {
    .role = ROLE_DELIVER,
    .prepare = prepare,
    .start = start,
    .peer = take_peer,
    .drain = drain,
    .run = run,
};
