/*
 * peers - auth and the mailbox processes: questions go out, answers find their session.
 *
 * A query's number holds the session's place in the worker's table, so an answer costs no search;
 * its upper half is a serial number, so an answer to a question of somebody who is gone meets
 * nobody.
 */
#ifndef VEREDUS_POP3D_PEERS_H
#define VEREDUS_POP3D_PEERS_H

#include "pop3d/session.h"
#include "util/ipc/messages.h"

/* A socket to auth or to a mailbox process; taken over. Replaces the one with the same index. */
void peers_connect(struct worker *worker, enum role role, unsigned index, int fd);

/* Closes all of them. */
void peers_close(struct worker *worker);

/*
 * Asks for `session`: auth for REQUEST_VERIFY, else the next mailbox process in turn. `message` is
 * the struct of `type`, which begins with its query number; that is filled in here. Earlier
 * questions of the session are forgotten. False: there is nobody to ask now.
 */
bool peers_ask(struct session *session, enum request_kind kind, const struct ipc_type *type,
               void *message) __attribute__((warn_unused_result));

#endif
