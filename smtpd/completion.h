/*
 * completion - the header of a message that is submitted, completed on its way (RFC 6409 §8).
 *
 * Only at listeners for submission; elsewhere nothing happens here. Works on the octets that were
 * just appended to the transaction's message, however they came, before anybody else looks at them.
 */
#ifndef VEREDUS_SMTPD_COMPLETION_H
#define VEREDUS_SMTPD_COMPLETION_H

#include "smtpd/session.h"

/* The last `grown` octets of the message are new: what passes of them takes their place. Returns
 * how many octets that are; the worker's sum is right then. */
size_t completion_take(struct session *session, size_t grown) __attribute__((warn_unused_result));

/* The message ended: true when octets were appended to it. */
bool completion_end(struct session *session) __attribute__((warn_unused_result));

/* Frees what is held back. */
void completion_forget(struct session *session);

#endif
