/*
 * states - changes of recipients' states on their way to the disk, one batch at a time.
 *
 * Owned by the loop. Changes gather while the batch before them is written and synced by the
 * helper; only when that is over do they count: an entry is SETTLING until then. What failed, of
 * one segment or of all, goes back to the front and is written again with what came meanwhile.
 */
#ifndef VEREDUS_QMGR_STATES_H
#define VEREDUS_QMGR_STATES_H

#include "util/spool/format.h"

enum { STATES_DELAY_MS = 80, STATES_BATCH = 4096 };

struct state_change {
    uint64_t number; /* of the segment */
    uint32_t slot;
    uint32_t queue_entry; /* whom it settles */
    bool failed;          /* the helper's answer: its segment is not synced */
    struct state_entry entry;
};

struct state_list {
    struct state_change *items;
    size_t count, cap;
};

/* Zero-initialised is valid. */
struct states {
    struct state_list pending;
    struct state_list flying;
    bool writing;
};

/* Adds a copy to what is pending. */
void states_add(struct states *states, const struct state_change *change);

/* Everything pending becomes the batch under way and is returned: the caller's until states_end,
 * who marks what failed. NULL when there is a batch under way. An empty list is a batch too: it
 * syncs what the spool changed by itself. */
struct state_list *states_begin(struct states *states) __attribute__((warn_unused_result));

/* The batch is through: `settled` is called for each change that is durable, in order. How many
 * failed and are pending again. */
size_t states_end(struct states *states,
                  void (*settled)(void *arg, const struct state_change *change), void *arg);

/* Frees both lists; what was not written is forgotten, and found again at the start. */
void states_free(struct states *states);

#endif
