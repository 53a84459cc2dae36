/*
 * channel - a socket to another process, on the loop: frames gathered into packets, descriptors
 * passed.
 *
 * Messages of one turn leave in as few packets as possible. When the other side does not read, up
 * to CHANNEL_BACKLOG octets wait here; past that channel_send fails and the caller decides
 * (pressure travels back). A closed or malformed channel calls `closed` once; descriptors nobody
 * took are closed. At level debug the log tells of each message, without its secrets.
 */
#ifndef VEREDUS_IPC_CHANNEL_H
#define VEREDUS_IPC_CHANNEL_H

#include "util/ipc/codec.h"
#include "util/sys/loop.h"
#include "util/sys/seqpacket.h"

enum { CHANNEL_BACKLOG = 1 << 20 };

struct channel;

struct channel_calls {
    /* One decoded message; `fds` holds the type's descriptors, the callee takes them. */
    void (*message)(void *arg, struct channel *channel, const struct ipc_type *type,
                    const void *message, struct fd_list *fds);
    /* The other end is gone or talks nonsense; the callee frees the channel now or later. */
    void (*closed)(void *arg, struct channel *channel);
    void *arg;
};

/* Takes over `fd`. The calls are copied. */
struct channel *channel_new(struct loop *loop, int fd, const struct channel_calls *calls);

/* Closes and frees; safe from within its own callbacks. NULL is fine. */
void channel_free(struct channel *channel);

/* Queues a message for the end of this turn; its type's descriptors are duplicated or taken over:
 * `fds` (count as the type says) stay the caller's. False: closed, or the backlog is full. */
bool channel_send(struct channel *channel, const struct ipc_type *type, const void *message,
                  const int *fds) __attribute__((warn_unused_result));

/* Sends what is queued without waiting for the end of the turn. */
void channel_flush(struct channel *channel);

#endif
