/*
 * operator - the socket of the operator's command: status, reload, stop.
 *
 * run_directory/master.sock, SOCK_SEQPACKET, mode 0600: who may connect is decided by the file
 * system. A connection that talks nonsense is closed; of too many the oldest is.
 */
#ifndef VEREDUS_MASTER_OPERATOR_H
#define VEREDUS_MASTER_OPERATOR_H

#include "util/daemon/acceptor.h"
#include "util/ipc/channel.h"

/* Askers at one time; each asks one thing and hangs up. */
enum { OPERATOR_CONNECTIONS = 16 };

struct master;

/* Owns the socket and every connection; empty until operators_open. */
struct operators {
    struct acceptor acceptor;
    struct channel *connections[OPERATOR_CONNECTIONS]; /* the oldest first */
    size_t count;
};

/* Listens. False with errno. */
bool operators_open(struct master *master) __attribute__((warn_unused_result));

/* Hangs up, removes the socket. */
void operators_close(struct master *master);

#endif
