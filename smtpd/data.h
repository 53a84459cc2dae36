/*
 * data - the message: from the dot of DATA to the disk (RFC 5321 §4.1.1.4, §4.5.2, §6.3).
 */
#ifndef VEREDUS_SMTPD_DATA_H
#define VEREDUS_SMTPD_DATA_H

#include "smtpd/session.h"

enum { DATA_SIZE_FACTOR = 2 /* a refused message is read up to so many times the limit */ };

/* The message comes, in whatever way: pending, or why not. */
struct reply data_open(struct session *session);

/* The message, which goes on to come, will be refused with this, unless it is refused already. */
void data_refuse(struct session *session, struct reply reply);

/* DATA was said: 354, or why not. */
struct reply data_begin(struct session *session);

/* Takes octets of the message off `*input`; at its end they are committed, or refused. */
void data_input(struct session *session, struct span *input);

/* Takes octets of the message as they are, behind data_open: those of a chunk (RFC 3030). The
 * session may be closing then: a message far too big, or too slow. */
void data_take(struct session *session, struct span octets);

/* The message is whole, by such octets: it is committed, or refused. */
void data_end(struct session *session);

/* The transaction ends: whatever is held for its message is given back. */
void data_forget(struct session *session);

/* A segment for large messages is in store, or memory in the budget: those who wait try again in
 * this turn, in the order in which they came to wait. */
void data_room_came(struct worker *worker);

/* Tries again to find a place for what the session holds and may not keep. */
void data_resume(struct session *session);

/* The time is over: the message will be refused (452), unless there is room for it now. */
void data_give_up(struct session *session);

#endif
