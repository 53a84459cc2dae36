/*
 * rates - how often something happened of late, per network and per account, in shared memory.
 *
 * Master makes one sealed memfd; every process that serves the network maps it for writing, counts
 * in it and is limited by it, so a client can not get around a limit by meeting another worker. No
 * locks: a slot is two atomic words, and who loses a race tries again, a bounded number of times.
 * An owned worker can spoil the limits, nothing more: every index is bounded by construction, and
 * nothing that is read there is a pointer, a length or an offset.
 *
 * A rate is counted over a sliding window: what happened in this window of the clock, and of the
 * one before it the share that is still within one window's length. Times are clock_ms(), which is
 * the same in all processes.
 */
#ifndef VEREDUS_SYS_RATES_H
#define VEREDUS_SYS_RATES_H

#include "util/base/span.h"

/* What is counted; each has slots of its own, so that strangers crowd out no account. */
enum rate {
    RATE_CONNECTIONS,        /* of a network, a minute */
    RATE_MESSAGES,           /* of a network, a minute */
    RATE_RECIPIENTS,         /* of a network, an hour */
    RATE_ACCOUNT_MESSAGES,   /* of an account, an hour */
    RATE_ACCOUNT_RECIPIENTS, /* of an account, an hour */
    RATE_FAILURES,           /* failed logins of a network, an hour */
    RATE_ACCOUNT_FAILURES,   /* failed logins to an account, an hour */
    RATE_COUNT
};

enum {
    RATES_SLOTS = 16384,  /* of each rate; memory comes only with use */
    RATES_LIMIT = 500000, /* no limit may be larger */
    RATES_STOPPED = 16,   /* accounts that are shown as stopped */
    RATES_NAME_MAX = 128  /* octets of such a name that are shown */
};

struct rates; /* one mapping */

/* Makes the memory; its descriptor or -1 with errno. */
int rates_create(void) __attribute__((warn_unused_result));

/* Maps it; does not keep fd. NULL with errno. */
struct rates *rates_map(int fd) __attribute__((warn_unused_result));

/* Ends the mapping; NULL is fine. */
void rates_unmap(struct rates *rates);

/* Whose rate: a network by net_limit_key, an account by rates_account. */
struct rates_ask {
    enum rate rate;
    uint64_t who;
    uint64_t limit; /* 1 to RATES_LIMIT */
    int64_t now;    /* clock_ms() */
};

enum rates_result {
    RATES_OK,
    RATES_EXCEEDED_FIRST, /* for the first time in this window: to be logged */
    RATES_EXCEEDED
};

/* The number of an account, in every process the same; letters are compared without case. */
uint64_t rates_account(const struct rates *rates, struct span account);

/* Counts one, unless that would exceed the limit: what was refused is not counted. When neighbours
 * fill all places of a newcomer, the one with the least to lose gives way. */
enum rates_result rates_take(struct rates *rates, const struct rates_ask *ask)
    __attribute__((warn_unused_result));

/* The same without counting: would one more exceed it? */
bool rates_is_full(const struct rates *rates, const struct rates_ask *ask);

/* How long a window of the rate is, in milliseconds. */
int64_t rates_window_ms(enum rate rate);

/* ---- what the operator is shown ---- */

/* Notes that the account was stopped, until `until` (clock_ms). The latest are kept. */
void rates_note_stopped(struct rates *rates, struct span account, int64_t now, int64_t until);

/* The account of place `index` (below RATES_STOPPED) that is stopped now; empty: none is. `out`
 * holds it: printable ASCII without blanks, whatever was written there. */
struct span rates_stopped(const struct rates *rates, size_t index, int64_t now,
                          char out[RATES_NAME_MAX]);

#endif
