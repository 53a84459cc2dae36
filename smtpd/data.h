/*
 * data - the message: from the dot of DATA to the disk (RFC 5321 §4.1.1.4, §4.5.2, §6.3).
 */
#ifndef VEREDUS_SMTPD_DATA_H
#define VEREDUS_SMTPD_DATA_H

#include "smtpd/session.h"

/* DATA was said: 354, or why not. */
struct reply data_begin(struct session *session);

/* Takes octets of the message off `*input`; at its end they are committed, or refused. */
void data_input(struct session *session, struct span *input);

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
