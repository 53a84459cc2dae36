/*
 * runs - a client asks to have what waits for its domain tried now (ETRN, RFC 1985).
 *
 * A run looks at every entry of the queue, a slice at a time, and answers when it has seen them
 * all. Those whose domain is known by its hash are due at once; those that only their record can
 * tell of are read behind the answer, a batch at a time, for one run at a time, and for no more
 * than half of the time.
 *
 * Whoever asks is not trusted: runs are RUNS_MOST at most, and not two for one name; they begin
 * RUNS_PAUSE_MS apart; an entry is hastened once for each of its regular attempts, never within
 * `retry_first` / RUNS_GAP_SHARE of the last one, and RUNS_PER_SECOND of a run come due in a
 * second.
 */
#ifndef VEREDUS_QMGR_RUNS_H
#define VEREDUS_QMGR_RUNS_H

#include "qmgr/qmgr.h"
#include "util/ipc/channel.h"

enum {
    RUNS_MOST = 16,
    RUNS_PAUSE_MS = 100,
    RUNS_SLICE = 65536,  /* entries looked at in a turn */
    RUNS_COUNTED = 1000, /* messages that are counted one by one */
    RUNS_PER_SECOND = 1000,
    RUNS_GAP_SHARE = 5
};

/* Makes it; until runs_start every run is refused. */
struct runs *runs_new(struct qmgr *qmgr);

/* Frees it; the helper must not have a task of it any more. */
void runs_free(struct runs *runs);

/* Recovery is over: the queue holds all that waits. */
void runs_start(struct runs *runs);

/* An smtpd asks; it is answered on its channel, in this call or later. */
void runs_ask(struct runs *runs, struct channel *asker, const struct queue_run *ask);

/* The channel ends: its runs go on, and answer nobody. */
void runs_forget(struct runs *runs, const struct channel *asker);

#endif
