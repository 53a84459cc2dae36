/*
 * queue - every recipient that is not done: who waits until when, who is ready, whose turn it is.
 *
 * Decisions only: no disk, no clock, no socket. The loop owns it. An entry has a number that stays
 * the same until queue_remove; queue_entry gives its struct, valid until the next queue_add.
 *
 * A deferred entry is cold: forty octets here, eight in the heap, nothing else. A ready one points
 * to its message and stands in the line of its destination. Entries that were in an agent's hands
 * when it died are suspects: they stand in a line of their own and are given one at a time
 * (agents.h).
 *
 *   DEFERRED -> READING -> READY -> ACTIVE -> SETTLING -> DEFERRED | HELD | removed
 */
#ifndef VEREDUS_QMGR_QUEUE_H
#define VEREDUS_QMGR_QUEUE_H

#include <bsd/sys/queue.h>

#include "qmgr/heap.h"
#include "qmgr/message.h"
#include "util/base/hash.h"

enum { QUEUE_NONE = UINT32_MAX, QUEUE_WINDOW_MOST = 1024, QUEUE_DESTINATIONS_MOST = 65535 };

/* An entry's place in the drawing above. */
enum queue_state {
    QUEUE_FREE,     /* no entry */
    QUEUE_DEFERRED, /* cold, in the heap */
    QUEUE_READING,  /* due; its record is being read, or lookup is asked */
    QUEUE_READY,    /* in the line of its destination */
    QUEUE_ACTIVE,   /* given to an agent */
    QUEUE_SETTLING, /* its fate is known, not yet synced */
    QUEUE_HELD,     /* cold, until an operator decides */
    QUEUE_STATES
};

enum {
    QUEUE_SEEN_BEFORE = 1, /* may have been in an agent's hands before */
    QUEUE_HASTENED = 2     /* its next attempt comes before its time, because a client asked */
};

struct queue_entry {
    struct message *message; /* NULL when cold */
    uint32_t segment;        /* index, segments.h */
    uint32_t slot;           /* in the state file */
    uint32_t place;          /* record offset / SPOOL_ALIGN */
    uint32_t time;           /* when it is due, on the queue's clock: seconds of CLOCK_MONOTONIC */
    uint32_t next;           /* in a line, or in the list of free entries; its place in the heap */
    uint32_t domain;    /* of the recipient: domain_hash.h; DOMAIN_HASH_UNKNOWN: not read yet */
    uint16_t recipient; /* index in the envelope */
    uint16_t destination;
    uint8_t state; /* enum queue_state */
    uint8_t tries;
    uint8_t deaths; /* of agents that had it in hand */
    uint8_t flags;
};

/* Entries linked by `next`, first come first served. */
struct queue_line {
    uint32_t first, last;
};

/* Where mail goes that shares one fate: a transport and a name; all mailboxes are one. */
struct destination {
    UT_hash_handle hh;
    TAILQ_ENTRY(destination) turn; /* in queue.turns while somebody is in a line */
    struct queue_line ready, suspects;
    uint32_t active;
    uint32_t window; /* how many may be active at once */
    uint16_t id;
    bool waiting; /* in queue.turns */
    uint16_t key_len;
    char key[]; /* transport, NUL, name */
};

struct queue {
    struct queue_entry **chunks;
    size_t chunk_count;
    uint32_t used;       /* entries ever made */
    uint32_t free_first; /* QUEUE_NONE: none */
    struct heap heap;
    struct destination *by_key;
    struct destination **destinations; /* by id */
    uint16_t destination_count;
    uint32_t window_first;
    uint32_t suspects; /* in lines */
    TAILQ_HEAD(, destination) turns;
    uint64_t counts[QUEUE_STATES];
};

/* `window_first`: how many jobs a destination is given at once before it has shown what it can. */
void queue_init(struct queue *queue, uint32_t window_first);

/* Frees everything, messages too. */
void queue_free(struct queue *queue);

/* Adds a copy of `entry` in its state, which is READING, HELD or DEFERRED (due at entry->time); its
 * message, if any, gets one more user. */
uint32_t queue_add(struct queue *queue, const struct queue_entry *entry);

/* The entry of that number; valid until the next queue_add. A number never given is a bug. */
struct queue_entry *queue_entry(const struct queue *queue, uint32_t number);

/* A due entry: READING from now on; QUEUE_NONE when nobody is due. */
uint32_t queue_take_due(struct queue *queue, uint32_t now);

/* When the next one is due, on the queue's clock; UINT32_MAX when nobody waits. */
uint32_t queue_next_due(const struct queue *queue);

/* A DEFERRED entry is due at `time` and no later; once, until it was attempted. True when that is
 * sooner than it was. */
bool queue_hasten(struct queue *queue, uint32_t number, uint32_t time);

/* A number that all recipients of a record share, and no others: decides how retries are spread. */
uint64_t queue_spread(const struct queue_entry *entry);

/* A READING entry gets its message. */
void queue_attach(struct queue *queue, uint32_t number, struct message *message);

/* READING -> READY, at the end of its line. `name` is empty for a destination shared by
 * the whole transport. */
void queue_ready(struct queue *queue, uint32_t number, struct span transport, struct span name);

/* The next entry to be given to an agent, ACTIVE from now on: destinations take turns, none goes
 * beyond its window. Only suspects or only others. QUEUE_NONE when there is nobody. */
uint32_t queue_take_ready(struct queue *queue, bool suspect);

/* The agent answered: `delivered` widens the window. ACTIVE -> SETTLING. */
void queue_answered(struct queue *queue, uint32_t number, bool delivered);

/* The agent died: ACTIVE -> READY among the suspects; the window of its destination is halved. */
void queue_abandoned(struct queue *queue, uint32_t number);

/* The agent could not be told: ACTIVE -> READY, at the end of its line. */
void queue_not_given(struct queue *queue, uint32_t number);

/* READING -> SETTLING: decided without an agent. */
void queue_decided(struct queue *queue, uint32_t number);

/* READING or SETTLING -> DEFERRED until `time`, or HELD: its message is let go. */
void queue_defer(struct queue *queue, uint32_t number, uint32_t time);

/* The same, without a time: only an operator ends it. */
void queue_hold(struct queue *queue, uint32_t number);

/* Entries that hold a message in memory, from the first look at it until their fate is synced: what
 * stands before a new letter. */
uint64_t queue_busy(const struct queue *queue);

/* It is done: the entry is free, its message has one user less. */
void queue_remove(struct queue *queue, uint32_t number);

#endif
