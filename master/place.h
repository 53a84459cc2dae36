/*
 * place - the processes that there should be: each place is filled by one child at a time.
 *
 * A place whose child died is filled again, at once for the first time, then with backoff. A new
 * generation takes over in steps: first what answers questions; when that is ready, the workers
 * that serve the network; when those are, the old children drain. qmgr alone is different: it holds
 * the spool's lock, so the old one has to be gone before the new one starts.
 *
 * A worker that serves the network is relieved after limits.worker_age and up to a quarter more:
 * its successor starts beside it, and when that is ready the old one drains patiently.
 */
#ifndef VEREDUS_MASTER_PLACE_H
#define VEREDUS_MASTER_PLACE_H

#include "master/child.h"

enum { PLACE_WORKERS = 64 /* of one role, most */ };

enum {
    PLACE_BACKOFF_FIRST_MS = 100,
    PLACE_BACKOFF_MOST_MS = 30000,
    PLACE_STEADY_MS = 60000 /* a child that lived so long resets the backoff */
};

/* Lives as long as master; children come and go. `wanted` false means that a death is final. */
struct place {
    struct master *master;
    enum role role;
    struct child *child; /* the newest; NULL: none at the moment */
    struct timer refill;
    struct timer relief; /* set while a worker that serves the network fills it */
    int64_t backoff_ms;
    unsigned restarts;
    bool wanted;
};

enum { PLACES = ROLE_COUNT * PLACE_WORKERS };

struct places {
    struct place all[PLACES]; /* PLACE_WORKERS for each role in turn */
};

/* Every place, empty, with its timer; once, before places_fill. */
void places_init(struct master *master);

/* Begins to fill every place that the configuration wants with a child of this generation. */
void places_fill(struct master *master);

/* No place is filled again: master stops. */
void places_abandon(struct master *master);

/* What child.c reports. */
void place_child_ready(struct child *child);
void place_child_died(struct child *child);

#endif
