/*
 * client_checks - what is found out about a client beside the dialogue: what it is called, on which
 * lists in the DNS it is, and what the table `access` says of it.
 *
 * The DNS is asked from the connection on, and nobody waits for it before RCPT: there a stranger is
 * judged, and not earlier, so that the log has the sender and the recipient of what was refused.
 * Whoever may relay is not judged at all; his name is for Received, as far as it is known then.
 */
#ifndef VEREDUS_SMTPD_CLIENT_CHECKS_H
#define VEREDUS_SMTPD_CLIENT_CHECKS_H

#include "smtpd/session.h"

enum { CLIENT_CHECKS_PATIENCE_MS = 10000 /* for its name: without one it goes on */ };

/* Sets session->client_name, and asks for what is not known without asking. */
void client_checks_start(struct session *session, const union net_address *client);

/* A proxy knows what the client is called, or that it has no name (empty): nobody else is asked.
 * Without effect where there is nothing to find out. */
void client_checks_name(struct session *session, struct span name);

/* At RCPT, as often as is wanted. False: it is not known yet, and recipients_settle is called when
 * it is. True: *reply is pending when nothing speaks against the client, else the refusal. */
bool client_checks_judge(struct session *session, struct reply *reply)
    __attribute__((warn_unused_result));

/* True when the table says that this client is fine: it is spared what else there is. Only behind a
 * judgement of this transaction. */
bool client_checks_are_spared(const struct session *session);

/* The transaction ends: the next one is judged anew, by another HELO perhaps. */
void client_checks_forget(struct session *session);

/* The session is freed, and the name with it. */
void client_checks_end(struct session *session);

#endif
