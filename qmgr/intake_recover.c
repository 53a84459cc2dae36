/*
 * Recovery waits until every smtpd has said what it holds, because a writer's own word is the best
 * there is: without it only those letters of an open segment are taken in that prove themselves
 * durable. It does not wait for ever: one smtpd that hangs must not stop the mail of all others.
 * What was not said is then known from the locks of the segments, and may be said later.
 */
#include "qmgr/intake_parts.h"

#include <sysexits.h>

#include "qmgr/retry.h"
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

/* The store says which segments are open. Who writes to one that no writer reported is not known
 * yet: he says so, or he ends. */
static void mark_open(struct intake *intake, const struct task_recover *task)
{
    struct segments *segments = &intake->qmgr->segments;
    struct segment *segment, *next;
    HASH_ITER (hh, segments->by_number, segment, next) {
        segment->sealed = true;
    }
    for (size_t i = 0; i < task->open_count; i++) {
        segment = segments_get(segments, task->open[i]);
        segment->sealed = false;
        segment->tail_wanted = segment->writer == NULL;
    }
    HASH_ITER (hh, segments->by_number, segment, next) {
        if (segment->sealed)
            segment->writer = NULL;
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
    timer_set(&qmgr->measure_timer, 0);
    pressure_touch(qmgr);
}

/* All that the writers reported is read up to their durable end; everything else is sealed. */
static void recover(struct intake *intake)
{
    struct segments *segments = &intake->qmgr->segments;
    struct task_recover *task = task_recover_new(segments->in_use, found, recovered, intake);
    size_t count = 0;
    for (struct segment *segment = segments->by_number; segment != NULL;
         segment = segment->hh.next) {
        task->held[count++] = (struct spool_held){segment->number, segment->wanted_end};
        segment->scanned_end = segment->wanted_end;
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
