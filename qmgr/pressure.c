/*
 * Pressure travels back: a spool without space and a queue without end are seen here, written into
 * the shared page, and smtpd answers 452 or slows down without asking anybody.
 */
#include "qmgr/pressure.h"

enum { MEASURE_MS = 5000 /* between two looks at the free space */ };

/* No space is worse than no time: FULL refuses, SLOW delays. */
enum page_pressure pressure_level(unsigned free_percent, uint64_t least_percent, uint64_t busy)
{
    if (free_percent < least_percent)
        return PRESSURE_FULL;
    return busy > PRESSURE_BUSY_MOST ? PRESSURE_SLOW : PRESSURE_NONE;
}

/* Relaxed stores into the shared page: cheap enough for every turn in which something happened. */
static void write_gauges(void *arg)
{
    struct qmgr *qmgr = arg;
    const uint64_t *counts = qmgr->queue.counts;
    /* Cold recipients cost nobody's patience: they are not counted as busy. */
    uint64_t busy = queue_busy(&qmgr->queue);
    page_set(qmgr->page, PAGE_QUEUED, busy);
    page_set(qmgr->page, PAGE_DEFERRED, counts[QUEUE_DEFERRED]);
    page_set(qmgr->page, PAGE_ACTIVE, counts[QUEUE_ACTIVE]);
    page_set(qmgr->page, PAGE_HELD, counts[QUEUE_HELD]);
    page_set(qmgr->page, PAGE_SEGMENTS, qmgr->segment_count);
    page_set(qmgr->page, PAGE_PRESSURE,
             pressure_level(qmgr->free_percent, qmgr->conf->limits.free_space_percent, busy));
    if (qmgr->counted)
        page_queue_counted(qmgr->page);
}

/* Once a turn, however much changed in it. */
void pressure_touch(struct qmgr *qmgr)
{
    loop_later(qmgr->loop, &qmgr->gauges_turn);
}

/* A full spool is told once, when it becomes full. The first look comes behind recovery and behind
 * the scans that it posted, for the helper does one thing after the other: then the queue is known.
 */
static void measured(void *arg, struct helper_task *base)
{
    struct qmgr *qmgr = arg;
    struct task_measure *task = (struct task_measure *)base;
    uint64_t least = qmgr->conf->limits.free_space_percent;
    if (task->free_percent < least && qmgr->free_percent >= least)
        log_event(LOG_ERROR, "spool-full", LOG_UINT("free_percent", task->free_percent));
    qmgr->free_percent = task->free_percent;
    qmgr->segment_count = task->segments;
    qmgr->counted = true;
    task_free(base);
    timer_set(&qmgr->measure_timer, MEASURE_MS);
    pressure_touch(qmgr);
}

/* statvfs(2) may wait for a disk, so the helper asks. */
static void measure(void *arg)
{
    struct qmgr *qmgr = arg;
    helper_post(qmgr->helper, &task_measure_new(measured, qmgr)->task);
}

/* 100 percent until the first look: a start is not held up by a measurement. */
void pressure_start(struct qmgr *qmgr)
{
    qmgr->free_percent = 100;
    qmgr->gauges_turn = (struct turn){.run = write_gauges, .arg = qmgr};
    timer_init(&qmgr->measure_timer, qmgr->loop, measure, qmgr);
}
