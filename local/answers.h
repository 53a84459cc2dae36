/*
 * answers - messages to another process, gathered into packets, for the processes that block.
 *
 * Encodes into one packet and sends it when it is full or when answers_send is called. The sockets
 * are non-blocking; a peer that does not read for ANSWERS_TIMEOUT_MS is given up.
 */
#ifndef VEREDUS_LOCAL_ANSWERS_H
#define VEREDUS_LOCAL_ANSWERS_H

#include "util/ipc/messages.h"
#include "util/sys/seqpacket.h"

enum { ANSWERS_TIMEOUT_MS = 5000 };

/* Zero-initialise, then set `fd`. */
struct answers {
    int fd;            /* the peer's socket; not owned */
    struct buf packet; /* keeps its memory from one packet to the next */
    struct fd_list fds;
    bool failed; /* something could not be sent: the socket is to be closed */
};

/* Adds a message with the descriptors that its type asks for; they are this module's from now on
 * and closed once they are sent. */
void answers_add(struct answers *answers, const struct ipc_type *type, const void *message,
                 const int *fds);

/* Sends what was gathered. False when this or an earlier packet failed. */
bool answers_send(struct answers *answers) __attribute__((warn_unused_result));

/* Gives the memory back. */
void answers_free(struct answers *answers);

#endif
