/*
 * acceptor - takes connections from a listening socket, one a turn of the loop.
 *
 * One a turn, because the socket may be shared: the other processes want some, too. When accept(2)
 * fails for want of descriptors or memory, that is logged and the socket left alone for
 * ACCEPTOR_TROUBLE_MS; any other error is of that one connection, which is gone already.
 */
#ifndef VEREDUS_DAEMON_ACCEPTOR_H
#define VEREDUS_DAEMON_ACCEPTOR_H

#include "util/sys/loop.h"
#include "util/sys/net.h"

enum {
    ACCEPTOR_YIELD_MS = 5, /* a connection is left to the other processes so long, once */
    ACCEPTOR_TROUBLE_MS = 100
};

struct acceptor_calls {
    /* One connection, non-blocking and close-on-exec; `fd` is the callee's. */
    void (*connection)(void *arg, int fd, const union net_address *client);
    /* True: another process should take this one. NULL: never. */
    bool (*yields)(void *arg);
    void *arg;
};

struct acceptor {
    struct acceptor_calls calls;
    struct io io;
    struct timer rest; /* set: left alone until then */
    int fd;            /* -1: closed */
    bool wanted;       /* by its owner */
    bool yielded;      /* the others had their chance at this connection */
};

/* Begins with `fd`, a non-blocking listening socket, which becomes the acceptor's. The calls are
 * copied. */
void acceptor_open(struct acceptor *acceptor, struct loop *loop, int fd,
                   const struct acceptor_calls *calls);

/* Takes connections or leaves them in the kernel's queue; it begins by taking them. */
void acceptor_want(struct acceptor *acceptor, bool wanted);

/* Closes the socket: a port must not stay taken for as long as the last client stays. Fine twice,
 * but not before acceptor_open. */
void acceptor_close(struct acceptor *acceptor);

#endif
