/*
 * Recovery waits until every smtpd has said what it holds, because a writer's own word is the best
 * there is: without it only those letters of an open segment are taken in that prove themselves
 * durable. It does not wait for ever: one smtpd that hangs must not stop the mail of all others.
 * What was not said is then known from the locks of the segments, and may be said later.
 */
#include "qmgr/intake_parts.h"

#include <sysexits.h>

#include "qmgr/delivery.h"
#include "qmgr/pressure.h"
#include "qmgr/retry.h"
#include "qmgr/runs.h"
#include "util/base/panic.h"

/* A million entries come in parts of a few thousand, so the loop serves others in between. */
static void found(void *arg, struct helper_task *base)
{
    const struct intake *intake = arg;
    const struct task_found *part = (const struct task_found *)base;
    for (size_t i = 0; i < part->count; i++)
        delivery_recovered(intake->qmgr, &part->entries[i]);
    task_free(base);
}

/* ---- what writers say before ---- */

static struct claim *claim_of(const struct writer *writer, uint64_t number)
{
    const struct intake *intake = writer->intake;
    for (size_t i = 0; i < intake->claim_count; i++)
        if (intake->claims[i].writer == writer && intake->claims[i].said.number == number)
            return &intake->claims[i];
    return NULL;
}

/* The first word of a writer about a segment counts, with what it says later of its end; any number
 * of writers may claim the same. */
void intake_claim(struct writer *writer, const struct segment_held *said)
{
    struct intake *intake = writer->intake;
    if (claim_of(writer, said->number) != NULL || writer->held >= INTAKE_HELD_MOST) {
        log_event(LOG_ERROR, "segment-not-held", LOG_UINT("segment", said->number));
        return;
    }
    if (intake->claim_count == intake->claim_cap) {
        intake->claim_cap = intake->claim_cap * 2 + 16;
        intake->claims = mem_resize(intake->claims, intake->claim_cap, sizeof *intake->claims);
    }
    intake->claims[intake->claim_count++] = (struct claim){writer, *said, false};
    writer->held++;
}

void intake_claim_durable(struct writer *writer, uint64_t number, uint64_t end, bool seal)
{
    struct claim *claim = claim_of(writer, number);
    if (claim == NULL)
        return;
    if (end > claim->said.durable_end)
        claim->said.durable_end = end;
    claim->sealed |= seal;
}

void intake_forget_claims(struct writer *writer)
{
    struct intake *intake = writer->intake;
    size_t kept = 0;
    for (size_t i = 0; i < intake->claim_count; i++)
        if (intake->claims[i].writer != writer)
            intake->claims[kept++] = intake->claims[i];
    intake->claim_count = kept;
}

/* Now it is known which segments there are and what their salts are. */
static void settle_claims(struct intake *intake)
{
    for (size_t i = 0; i < intake->claim_count; i++)
        intake->claims[i].writer->held = 0;
    for (size_t i = 0; i < intake->claim_count; i++) {
        const struct claim *claim = &intake->claims[i];
        intake_take_up(claim->writer, &claim->said);
        if (claim->sealed)
            intake_durable(claim->writer, claim->said.number, claim->said.durable_end, true);
    }
    mem_free(intake->claims);
    intake->claims = NULL;
    intake->claim_count = intake->claim_cap = 0;
}

/* ---- recovery ---- */

/* The store says which segments are open. Who writes to one that no writer claims is not known
 * yet: he says so, or he ends. */
static void mark_open(struct intake *intake, const struct task_recover *task)
{
    struct segments *segments = &intake->qmgr->segments;
    struct segment *segment, *next;
    for (size_t i = 0; i < task->open_count; i++) {
        segment = segments_get(segments, task->open[i].number);
        segment->salt = task->open[i].salt;
        segment->sealed = false;
        segment->tail_wanted = true;
    }
    settle_claims(intake);
    HASH_ITER (hh, segments->by_number, segment, next) {
        if (!segments_forget_done(segments, segment))
            intake_pump(intake, segment);
    }
}

/* From here on segments are given and released, jobs and retries begin. */
static void recovered(void *arg, struct helper_task *base)
{
    struct intake *intake = arg;
    struct qmgr *qmgr = intake->qmgr;
    struct task_recover *task = (struct task_recover *)base;
    if (!task->ok)
        fatal(EX_IOERR, "the spool can not be recovered: %s", log_errno_text(task->error));
    log_event(LOG_INFO, "spool-recovered", LOG_UINT("deferred", qmgr->queue.counts[QUEUE_DEFERRED]),
              LOG_UINT("held", qmgr->queue.counts[QUEUE_HELD]));
    intake->state = INTAKE_SERVING;
    mark_open(intake, task);
    task_recover_free(task);
    intake_wake(intake);
    retry_start(qmgr->retries);
    runs_start(qmgr->runs);
    /* Behind the scans: the queue counts as known from then on. */
    timer_set(&qmgr->measure_timer, 0);
    pressure_touch(qmgr);
}

/* All that the writers claim with reason is read up to their durable end; what nobody has open is
 * sealed. */
static void recover(struct intake *intake)
{
    struct task_recover *task = task_recover_new(intake->claim_count, found, recovered, intake);
    for (size_t i = 0; i < intake->claim_count; i++) {
        const struct segment_held *said = &intake->claims[i].said;
        task->held[i] = (struct spool_held){said->number, said->durable_end, said->salt};
    }
    timer_cancel(&intake->gather_timer);
    intake->state = INTAKE_RECOVERING;
    helper_post(intake->qmgr->helper, &task->task);
}

/* A writer that is gone has nothing to report. */
void intake_begin_when_reported(struct intake *intake)
{
    const struct writer *writer;
    if (!intake->started || intake->state != INTAKE_GATHERING)
        return;
    LIST_FOREACH (writer, &intake->writers, link)
        if (!writer->reported)
            return;
    recover(intake);
}

/* One that hangs does not keep all mail waiting: its segments are known by their locks, and it may
 * still speak for them later. */
void intake_gathered_enough(void *arg)
{
    struct intake *intake = arg;
    unsigned silent = 0;
    const struct writer *writer;
    LIST_FOREACH (writer, &intake->writers, link)
        silent += writer->reported ? 0 : 1;
    log_event(LOG_WARN, "writers-silent", LOG_UINT("writers", silent));
    recover(intake);
}

/* Nothing to wait for when no smtpd is there. */
void intake_start(struct intake *intake)
{
    intake->started = true;
    timer_set(&intake->gather_timer, intake->qmgr->gather_ms);
    intake_begin_when_reported(intake);
}
