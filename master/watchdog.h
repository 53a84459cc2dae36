/*
 * watchdog - kills a child that is stopped or hangs, so that its place is filled anew.
 *
 * The loop of every child beats in its page, about once a second; master looks as often. One whose
 * beats stand still for limits.watchdog is killed; its death is then like any other. A child that
 * is starting has a deadline of its own and is not looked at. A thread that hangs while the loop of
 * its process goes on is not noticed.
 */
#ifndef VEREDUS_MASTER_WATCHDOG_H
#define VEREDUS_MASTER_WATCHDOG_H

#include <stdbool.h>

#include "util/sys/loop.h"

struct master;
struct child;

enum {
    WATCHDOG_LOOK_MS = 1000,
    WATCHDOG_LATE_MS = 3000, /* between two looks: master itself did not run */
    WATCHDOG_SILENT = 5      /* looks after which status tells of it */
};

struct watchdog {
    struct timer timer;
    int64_t looked; /* as loop_now */
};

/* Looks from now on at all children that are ready or draining. */
void watchdog_start(struct master *master);

/* One look; `now` is loop_now. Called by the timer. */
void watchdog_look(struct master *master, int64_t now);

/* Looks no more. */
void watchdog_end(struct master *master);

/* True when a child has shown no sign of life for some seconds. */
bool watchdog_finds_silent(const struct child *child);

#endif
