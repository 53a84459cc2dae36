/*
 * inquiry - who lives behind an address: the questions of VRFY and EXPN (RFC 5321 §3.5).
 *
 * A session has one at a time, and serves nothing meanwhile. The question survives the lookup that
 * was asked, as those of RCPT do.
 */
#ifndef VEREDUS_SMTPD_INQUIRY_H
#define VEREDUS_SMTPD_INQUIRY_H

#include "smtpd/session.h"
#include "util/ipc/messages.h"
#include "util/mail/address.h"

enum inquiry_kind { INQUIRY_VERIFY, INQUIRY_EXPAND };

/* What is asked, and for whom. */
struct inquiry_facts {
    enum inquiry_kind kind;
    struct address address;
    bool wide; /* the answer may be in UTF-8 (RFC 6531 §3.7.4) */
};

/* Asks lookup; the reply comes later. */
void inquiry_begin(struct session *session, const struct inquiry_facts *facts);

/* True while a reply is to come. */
bool inquiry_is_asked(const struct session *session);

/* Lookup takes too long: 451. */
void inquiry_give_up(struct session *session);

/* The session ends: no reply is wanted any more. */
void inquiry_forget(struct session *session);

/* One message of an answer of lookup; of those that nobody here asked for nothing becomes. */
void inquiry_resolved(struct worker *worker, const struct resolved *answer);

/* There is a new lookup: what waits is asked there, from the start. */
void inquiry_reconnect(struct worker *worker);

#endif
