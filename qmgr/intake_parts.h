/*
 * intake_parts - what intake.c (segments out, letters in) and intake_recover.c (the start) share.
 */
#ifndef VEREDUS_QMGR_INTAKE_PARTS_H
#define VEREDUS_QMGR_INTAKE_PARTS_H

#include "qmgr/intake.h"

enum { KINDS = 2, STOCK_MOST = 4, PRIVATE_EXTRA = SPOOL_ENVELOPE_MAX + (64 << 10) };

/* A segment that was made and not given yet. */
struct made {
    int fd;
    struct spool_block block;
};

/* Segments made ahead, so that a writer never waits for a directory's sync. */
struct stock {
    struct made items[STOCK_MOST];
    size_t count;
    unsigned making; /* tasks under way */
};

/* Somebody who writes letters. */
struct writer {
    LIST_ENTRY(writer) link;
    struct intake *intake;
    struct channel *channel; /* NULL: qmgr's own */
    unsigned want[KINDS];
    unsigned held; /* segments on its account: in hand, or said to be sealed and not yet so */
    bool reported;
    bool told; /* that it holds too many */
};

/* What a writer says of a segment before recovery is over; then it is compared with the disk. */
struct claim {
    struct writer *writer;
    struct segment_held said;
    bool sealed;
};

/* What the loop knows of all writers; segments themselves are in qmgr->segments. */
struct intake {
    struct qmgr *qmgr;
    struct spool_writer *own_writer;
    struct writer own;
    LIST_HEAD(, writer) writers;
    struct stock stocks[KINDS];
    struct claim *claims;
    size_t claim_count, claim_cap;
    struct turn turn;
    struct timer make_timer, gather_timer, rest_timer;
    enum { INTAKE_GATHERING, INTAKE_RECOVERING, INTAKE_SERVING } state;
    bool started, draining;
};

/* Posts a scan when there is something to scan and none under way. */
void intake_pump(struct intake *intake, struct segment *segment);

/* Serving: a segment is this writer's again, if the salt is right. */
void intake_take_up(struct writer *writer, const struct segment_held *said);

/* Serving: the segment is durable up to `end`; `seal`: nothing follows. */
void intake_durable(struct writer *writer, uint64_t number, uint64_t end, bool seal);

/* Before that, the same: remembered until recovery is over. */
void intake_claim(struct writer *writer, const struct segment_held *said);
void intake_claim_durable(struct writer *writer, uint64_t number, uint64_t end, bool seal);

/* The writer is gone: it claims nothing any more. */
void intake_forget_claims(struct writer *writer);

/* What writers want is answered at the end of the turn. */
void intake_wake(struct intake *intake);

/* Begins recovery when nobody is left to wait for. */
void intake_begin_when_reported(struct intake *intake);

/* Begins it without those who have not reported: of the timer. */
void intake_gathered_enough(void *arg);

#endif
