/*
 * retry - recipients that are due: their records are read again, lookup is asked anew where they
 * go.
 *
 * A changed route or a new mailbox counts at the next attempt. One batch of records is read at a
 * time, and none while RETRY_READY_MOST recipients are ready: a backlog never stands in the way of
 * new mail.
 */
#ifndef VEREDUS_QMGR_RETRY_H
#define VEREDUS_QMGR_RETRY_H

#include "qmgr/fate.h"
#include "qmgr/qmgr.h"

enum { RETRY_READY_MOST = 5000 };

/* Makes it, asleep until retry_start. */
struct retries *retry_new(struct qmgr *qmgr);

/* Frees it; the helper must not have a task of it any more. */
void retry_free(struct retries *retries);

/* Recovery is over: from now on the queue's due times count. */
void retry_start(struct retries *retries);

/* The queue has an entry that may be due earlier than all before. */
void retry_wake(struct retries *retries);

/* Now, on the clock of the queue: seconds of CLOCK_MONOTONIC. */
uint32_t retry_now(void);

/* The wall clock's `time`, as it is stored, on the clock of the queue: seconds of CLOCK_MONOTONIC.
 * Never later than the longest wait from now: the clock may have been wrong when it was stored. */
uint32_t retry_due(const struct conf_limits *limits, uint32_t time);

/* What an answer of lookup means for the recipient: true for one that may be delivered now; else
 * *fate says how the attempt ended. */
bool retry_fate(enum resolve_status status, struct fate *fate) __attribute__((warn_unused_result));

#endif
