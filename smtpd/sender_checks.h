/*
 * sender_checks - what MAIL waits for: may this sender be used, by this client, now?
 *
 *     a login        its own addresses and those of the table `senders` (553 5.7.1)
 *     everybody      the table `access`; rates of the network (450 4.7.1)
 *     strangers      the sender's domain takes mail (RFC 7505 §4.2, RFC 5321 §5.1)
 *
 * They are asked one after the other, each only when those before it had nothing against the
 * sender. Commands behind MAIL wait.
 */
#ifndef VEREDUS_SMTPD_SENDER_CHECKS_H
#define VEREDUS_SMTPD_SENDER_CHECKS_H

#include "smtpd/session.h"
#include "util/mail/address.h"

/* MAIL was fine so far, and its transaction is there. The reply is written by this module, now or
 * later; a refused transaction is gone then. `sender` is copied; an empty one is the null
 * reverse-path. */
void sender_checks_begin(struct session *session, const struct address *sender);

/* True while MAIL is not answered. */
bool sender_checks_are_asked(const struct session *session);

/* It took too long: 451. */
void sender_checks_give_up(struct session *session);

/* The transaction ends: nothing is waited for any more. */
void sender_checks_forget(struct session *session);

#endif
