/*
 * qmgr - owns the spool: takes segments in, gives jobs to agents, writes what became of them.
 *
 * The loop makes every decision and never touches the disk; the helper thread touches the disk and
 * decides nothing. This header has the struct that the parts of the loop share; what each of them
 * offers is in its own.
 */
#ifndef VEREDUS_QMGR_QMGR_H
#define VEREDUS_QMGR_QMGR_H

#include "qmgr/helper.h"
#include "qmgr/queue.h"
#include "qmgr/resolver.h"
#include "qmgr/segments.h"
#include "qmgr/states.h"
#include "qmgr/tasks.h"
#include "util/daemon/daemon.h"
#include "util/spool/writer.h"

struct intake;
struct agents;
struct retries;
struct runs;
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
    struct runs *runs;
    struct bounces *bounces;
    struct queue queue;
    struct segments segments;
    struct states states;
    struct arena scratch; /* of one decision */
    struct timer flush_timer, measure_timer, drain_timer;
    struct turn gauges_turn;
    int64_t gather_ms;    /* GATHER_MS */
    int64_t flush_at;     /* when the flush timer fires, as loop_now */
    size_t states_failed; /* changes that went back with the last batch */
    unsigned free_percent;
    size_t segment_count; /* as the store counts */
    bool counted;         /* the queue is known: the spool was read */
};

/* What main() hands to the daemon skeleton. */
extern const struct daemon_calls qmgr_calls;

#endif
