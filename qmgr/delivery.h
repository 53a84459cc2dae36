/*
 * delivery - the one path of every recipient: found, decided or given to an agent, settled,
 * written.
 *
 * An entry of the queue is named by its number (queue.h), and is the queue's. A fate's spans need
 * to be valid during the call only.
 */
#ifndef VEREDUS_QMGR_DELIVERY_H
#define VEREDUS_QMGR_DELIVERY_H

#include "qmgr/fate.h"
#include "qmgr/qmgr.h"

enum { DELIVERY_RETRY_MS = 1000 /* after a sync that failed */ };

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

#endif
