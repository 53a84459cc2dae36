/*
 * relay - the way of a child's log into a file.
 *
 * RLIMIT_FSIZE, which bounds what a process that writes segments can do to them, holds for every
 * file: a log that had grown past it would be closed to that process. So where the log is a file,
 * such a child writes into a pipe, which never blocks, and master passes its lines on.
 */
#ifndef VEREDUS_MASTER_RELAY_H
#define VEREDUS_MASTER_RELAY_H

#include "util/sys/loop.h"

enum { RELAY_BUFFER = 1 << 16 };

/* Embedded in master; of master alone. */
struct relay {
    struct io io;
    struct timer rest;
    int in, out; /* the pipe: children write to `in`, master reads from `out` */
    size_t held; /* octets at the front of `octets`: the beginning of a line */
    char octets[RELAY_BUFFER];
};

/* Makes the pipe and watches it; failure is fatal. */
void relay_init(struct relay *relay, struct loop *loop);

/* The descriptor that a child writes its log to: the pipe, when `limited` and standard error is a
 * file; else standard error. */
int relay_log_of(const struct relay *relay, bool limited);

/* Passes on what is there: before it is said of a child that it died. */
void relay_take(struct relay *relay);

/* Passes on what is there and closes the pipe. */
void relay_close(struct relay *relay);

#endif
