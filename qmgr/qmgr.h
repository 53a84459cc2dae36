/*
 * qmgr - owns the spool: takes segments in, gives jobs to agents, writes what became of them.
 *
 * The loop makes every decision and never touches the disk; the helper thread touches the disk and
 * decides nothing. This header is what the parts of the loop share.
 */
#ifndef VEREDUS_QMGR_QMGR_H
#define VEREDUS_QMGR_QMGR_H

#include "qmgr/fate.h"
#include "qmgr/helper.h"
#include "qmgr/queue.h"
#include "qmgr/resolver.h"
#include "qmgr/segments.h"
#include "qmgr/states.h"
#include "qmgr/tasks.h"
#include "util/daemon/daemon.h"
#include "util/spool/writer.h"

enum {
    QMGR_BUSY_MOST = 20000,   /* queue_busy; beyond it new ones wait cold, smtpd slows down */
    QMGR_DRAIN_MS = 10000,    /* how long a drain waits for jobs */
    QMGR_GATHER_MS = 10000,   /* how long recovery waits for smtpds to report */
    QMGR_MEASURE_MS = 5000,   /* between two looks at the free space */
    QMGR_SYNC_RETRY_MS = 1000 /* after a sync that failed */
};

struct intake;
struct agents;
struct retries;
struct bounces;

struct qmgr {
    struct daemon *daemon;
    struct loop *loop;
    const struct conf *conf;
    struct page *page;
    struct helper *helper;
    struct resolver *resolver;
    struct intake *intake;
    struct agents *agents;
    struct retries *retries;
    struct bounces *bounces;
    struct queue queue;
    struct segments segments;
    struct states states;
    struct arena scratch; /* of one decision */
    struct timer flush_timer, measure_timer, drain_timer;
    struct turn gauges_turn;
    int64_t gather_ms;    /* QMGR_GATHER_MS */
    int64_t flush_at;     /* when the flush timer fires, as loop_now */
    size_t states_failed; /* changes that went back with the last batch */
    unsigned free_percent;
    size_t segment_count; /* as the store counts */
};

/* What main() hands to the daemon skeleton. */
extern const struct daemon_calls qmgr_calls;

/* ---- delivery.c: what happens to an entry ---- */

/* The recipients of a message that was just found in `segment`: each is decided, stands in a line,
 * or waits cold when there are too many. Takes the message over. */
void delivery_arrived(struct qmgr *qmgr, struct segment *segment, struct message *message);

/* An entry that recovery found: it waits until it is due. */
void delivery_recovered(struct qmgr *qmgr, const struct found_entry *found);

/* A READING entry with its message goes where the message's recipient says. */
void delivery_dispatch(struct qmgr *qmgr, uint32_t number);

/* An attempt for a READING or ACTIVE entry ended: logged, scheduled, written. */
void delivery_settle(struct qmgr *qmgr, uint32_t number, struct fate fate);

/* An agent found the letter of an ACTIVE entry damaged: it stays active until the helper has looked
 * and set it aside, then it is settled. */
void delivery_damaged(struct qmgr *qmgr, uint32_t number);

/* Writes the state of a SETTLING entry; `time` is when a deferred one is due. */
void delivery_change(struct qmgr *qmgr, uint32_t number, enum letter_state state, uint32_t time);

/* A SETTLING entry is to be attempted again after its delay. */
void delivery_postpone(struct qmgr *qmgr, uint32_t number);

/* Writes pending states within `ms`; a spool with something to give back is synced then, too. */
void delivery_flush_within(struct qmgr *qmgr, int64_t ms);

/* True when no job is out, no bounce under way and no state unwritten. */
bool delivery_is_quiet(const struct qmgr *qmgr);

/* The timers of this part. */
void delivery_start(struct qmgr *qmgr);

/* ---- pressure.c: gauges, free space ---- */

/* Prepares the gauges and the timer that measures; nothing is measured before recovery is over. */
void pressure_start(struct qmgr *qmgr);

/* Something changed: the gauges are written at the end of this turn. */
void pressure_touch(struct qmgr *qmgr);

/* What smtpd is to do. Pure. */
enum page_pressure pressure_level(unsigned free_percent, uint64_t least_percent, uint64_t busy);

#endif
