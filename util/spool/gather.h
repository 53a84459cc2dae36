/*
 * gather - how long a batch waits for letters that are about to come.
 *
 * Owned by one writer and its loop. Nothing is waited for while batches are small; else until as
 * many letters are here as the larger of the last two batches had, and never longer than GATHER_MS.
 */
#ifndef VEREDUS_SPOOL_GATHER_H
#define VEREDUS_SPOOL_GATHER_H

#include "util/sys/loop.h"

enum {
    GATHER_LEAST = 4, /* letters: batches below save too little to be waited for */
    GATHER_MS = 1
};

struct gather {
    struct timer timer;
    void (*over)(void *arg);
    void *arg;
    size_t usual[2]; /* letters of the last two batches */
    bool waited;     /* since the last batch, long enough */
};

/* `over` is called, in the loop, when the wait was long enough. */
void gather_init(struct gather *gather, struct loop *loop, void (*over)(void *arg), void *arg);

/* True when a batch of `count` letters should wait; `over` is called in time. */
bool gather_waits(struct gather *gather, size_t count);

/* A batch of `count` letters went out. */
void gather_end(struct gather *gather, size_t count);

/* Cancels the wait; call before its memory goes. */
void gather_stop(struct gather *gather);

#endif
