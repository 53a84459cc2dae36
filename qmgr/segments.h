/*
 * segments - what the loop knows of each segment: who writes it, how far it was scanned, how many
 * recipients are still to be settled.
 *
 * Named by a small index that queue entries hold. An index is free again when the segment is sealed
 * and everything in it is settled: then the store has given it back, or will at its next sync.
 */
#ifndef VEREDUS_QMGR_SEGMENTS_H
#define VEREDUS_QMGR_SEGMENTS_H

#include "util/base/hash.h"
#include "util/spool/format.h"

enum { SEGMENT_NONE = UINT32_MAX };

struct writer; /* intake's */

struct segment {
    UT_hash_handle hh;
    uint64_t number;
    struct spool_salt salt; /* of one that is not sealed: who knows it was given the segment */
    uint32_t index;
    uint32_t outstanding;  /* entries of the queue in it */
    struct writer *writer; /* who speaks for it; NULL: nobody */
    struct writer *holder; /* on whose account it goes until it is sealed */
    uint64_t wanted_end;   /* the latest durable end */
    uint64_t scanned_end;
    bool scanning;    /* a task is under way */
    bool tail_wanted; /* nobody speaks for it: when no process writes to it, it is scanned to its
                         end */
    bool resting; /* somebody did write when its tail was last tried, or it could not be read: not
                     scanned before the next try */
    bool seal_wanted;
    bool sealed;
};

struct segments {
    struct segment *by_number;
    struct segment **items; /* by index; NULL: free */
    size_t count, cap;
    size_t in_use;
};

/* The segment of that number; made, sealed, when it is new. */
struct segment *segments_get(struct segments *segments, uint64_t number);

/* NULL when it is not known. */
struct segment *segments_find(const struct segments *segments, uint64_t number);

/* The segment of that index; one that is not in use is a bug. */
struct segment *segments_at(const struct segments *segments, uint32_t index);

/* Forgets it when it is sealed, settled and no task is about it: true then. */
bool segments_forget_done(struct segments *segments, struct segment *segment);

/* Frees all of them; nothing on the disk changes. */
void segments_free(struct segments *segments);

#endif
