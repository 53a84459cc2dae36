/*
 * queue_run - what waits for a domain is to be tried now: the question of ETRN to qmgr (RFC 1985).
 *
 * A session has one at a time, and serves nothing meanwhile. It is not asked again when qmgr ends:
 * the next one has other work first, and the client may ask again.
 */
#ifndef VEREDUS_SMTPD_QUEUE_RUN_H
#define VEREDUS_SMTPD_QUEUE_RUN_H

#include "smtpd/session.h"
#include "util/ipc/messages.h"

/* Asks for `domain`, a valid name in lower case and ASCII, and with `subdomains` for those beneath
 * it; the reply comes later. */
void queue_run_begin(struct session *session, struct span domain, bool subdomains);

/* True while a reply is to come. */
bool queue_run_is_asked(const struct session *session);

/* qmgr takes too long: 458. */
void queue_run_give_up(struct session *session);

/* The session ends: no reply is wanted any more. */
void queue_run_forget(struct session *session);

/* An answer of qmgr; of those that nobody here asked for nothing becomes. */
void queue_run_answered(struct worker *worker, const struct queue_run_answer *answer);

/* qmgr is gone: 458 to all who wait. */
void queue_run_lost(struct worker *worker);

#endif
