/*
 * The life of the process: threads before the sandbox, the spool behind it (its files belong to the
 * service's user, so they are opened as that user), recovery when every smtpd has spoken, an end
 * that loses nothing: what is not written at the end is found again at the start.
 */
#include "qmgr/qmgr.h"

#include <sysexits.h>
#include <unistd.h>

#include "qmgr/agents.h"
#include "qmgr/bounce.h"
#include "qmgr/delivery.h"
#include "qmgr/intake.h"
#include "qmgr/pressure.h"
#include "qmgr/retry.h"
#include "qmgr/runs.h"
#include "util/base/panic.h"

/* How long recovery waits for smtpds to report. */
enum { GATHER_MS = 10000 };

/* Threads and descriptors of the process's own; no file yet. */
static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    struct qmgr *qmgr = mem_new(sizeof *qmgr);
    qmgr->daemon = daemon;
    qmgr->loop = daemon->loop;
    qmgr->conf = daemon->conf;
    qmgr->page = daemon->page;
    qmgr->gather_ms = GATHER_MS;
    queue_init(&qmgr->queue, (uint32_t)daemon->conf->limits.delivery_concurrency);
    qmgr->helper = helper_new(daemon->loop);
    qmgr->resolver = resolver_new(daemon->loop);
    qmgr->intake = intake_new(qmgr);
    qmgr->agents = agents_new(qmgr);
    qmgr->retries = retry_new(qmgr);
    qmgr->runs = runs_new(qmgr);
    qmgr->bounces = bounce_new(qmgr, intake_writer(qmgr->intake));
    delivery_start(qmgr);
    pressure_start(qmgr);
    daemon->state = qmgr;
    sandbox->writable[0] = daemon->conf->spool_directory.data;
}

/* In the sandbox, as the service's user. Two qmgrs on one spool: the second one ends here. */
static void start(struct daemon *daemon)
{
    struct qmgr *qmgr = daemon->state;
    struct task_open task = {
        .task = {.work = task_open_work},
        .directory = daemon->conf->spool_directory.data,
    };
    helper_start(qmgr->helper);
    helper_call(qmgr->helper, &task.task);
    if (helper_store(qmgr->helper) == NULL)
        fatal(EX_CANTCREAT, "spool %s: %.*s", task.directory, SPAN_ARG(task.problem));
    arena_free(&task.arena);
    intake_start(qmgr->intake);
}

/* A process that was started anew comes with a new socket; the old one closes by itself. */
static void peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    struct qmgr *qmgr = daemon->state;
    (void)index;
    if (role_info(role)->receives)
        intake_connect(qmgr->intake, fd);
    else if (role == ROLE_DELIVER)
        agents_connect(qmgr->agents, fd);
    else if (role == ROLE_LOOKUP)
        resolver_connect(qmgr->resolver, fd);
    else
        (void)close(fd);
}

/* ---- the end ---- */

/* Everything is given back, so that the sanitizers see every leak. */
static void finish(struct qmgr *qmgr)
{
    struct daemon *daemon = qmgr->daemon;
    timer_cancel(&qmgr->drain_timer);
    timer_cancel(&qmgr->flush_timer);
    timer_cancel(&qmgr->measure_timer);
    helper_free(qmgr->helper); /* first: results still come to everybody below */
    timer_cancel(&qmgr->flush_timer);
    timer_cancel(&qmgr->measure_timer);
    resolver_free(qmgr->resolver);
    agents_free(qmgr->agents);
    runs_free(qmgr->runs);
    retry_free(qmgr->retries);
    intake_free(qmgr->intake);
    bounce_free(qmgr->bounces);
    loop_forget(qmgr->loop, &qmgr->gauges_turn);
    queue_free(&qmgr->queue);
    segments_free(&qmgr->segments);
    states_free(&qmgr->states);
    arena_free(&qmgr->scratch);
    mem_free(qmgr);
    daemon->state = NULL;
    daemon_exit(daemon);
}

enum { DRAIN_LOOK_MS = 20, DRAIN_MS = 10000 /* how long a drain waits for jobs */ };

struct drain {
    struct qmgr *qmgr;
    int64_t until;
    bool sealed;
};

/* Bounces need the own segment up to the end of the last one; then one more look waits for the
 * word that it is sealed to be written. */
static bool drain_is_over(struct drain *drain)
{
    struct qmgr *qmgr = drain->qmgr;
    if (!delivery_is_quiet(qmgr))
        return false;
    if (drain->sealed)
        return true;
    drain->sealed = intake_seal(qmgr->intake);
    delivery_flush_within(qmgr, 0);
    return false;
}

/* Jobs in hand may end; their states are written. What is left is found by the next qmgr. */
static void drain_look(void *arg)
{
    struct drain *drain = arg;
    struct qmgr *qmgr = drain->qmgr;
    if (!drain_is_over(drain) && loop_now(qmgr->loop) < drain->until) {
        timer_set(&qmgr->drain_timer, DRAIN_LOOK_MS);
        return;
    }
    mem_free(drain);
    finish(qmgr);
}

/* No job and no segment is given from now on; smtpd goes on with the segments that it holds. */
static void drain(struct daemon *daemon)
{
    struct qmgr *qmgr = daemon->state;
    struct drain *state = mem_new(sizeof *state);
    *state = (struct drain){.qmgr = qmgr, .until = loop_now(qmgr->loop) + DRAIN_MS};
    daemon->draining = true;
    intake_drain(qmgr->intake);
    delivery_flush_within(qmgr, 0);
    timer_init(&qmgr->drain_timer, qmgr->loop, drain_look, state);
    timer_set(&qmgr->drain_timer, DRAIN_LOOK_MS);
}

const struct daemon_calls qmgr_calls = {
    .role = ROLE_QMGR,
    .prepare = prepare,
    .start = start,
    .peer = peer,
    .drain = drain,
};
