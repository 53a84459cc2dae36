/*
 * resolver - asks lookup where an address goes now.
 *
 * One socket to lookup, replaced when lookup was started anew; what was asked and not yet answered
 * is asked again then. After RESOLVER_PATIENCE_MS the answer is "temporary".
 */
#ifndef VEREDUS_QMGR_RESOLVER_H
#define VEREDUS_QMGR_RESOLVER_H

#include "util/ipc/channel.h"
#include "util/ipc/messages.h"

enum { RESOLVER_PATIENCE_MS = 30000, RESOLVER_TARGETS_MOST = 1000 };

struct resolver;

struct resolver_target {
    struct span address, transport, nexthop;
};

/* Valid during the call of `answered`. */
struct resolver_answer {
    enum resolve_status status;
    const struct resolver_target *targets; /* RESOLVE_OK: at least one */
    size_t count;
};

typedef void resolver_answered(void *arg, const struct resolver_answer *answer);

/* Makes it without a socket: questions wait for one. */
struct resolver *resolver_new(struct loop *loop);

/* Closes the socket; questions that are open are dropped, `answered` is not called. */
void resolver_free(struct resolver *resolver);

/* A socket to lookup; it becomes the resolver's. */
void resolver_connect(struct resolver *resolver, int fd);

/* Asks about "local@domain"; `answered` is called once, never from within this call. */
void resolver_ask(struct resolver *resolver, struct span address, resolver_answered *answered,
                  void *arg);

/* The target for whom `address` was accepted: its own, else the only one; NULL when there are
 * several and none is its own. */
const struct resolver_target *resolver_pick(const struct resolver_answer *answer,
                                            struct span address);

#endif
