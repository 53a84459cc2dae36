/*
 * chunk - the octets behind a BDAT (RFC 3030 §2): counted, not looked at.
 *
 * They follow their command without waiting for an answer, so they have to be read whatever the
 * answer will be; a chunk whose size can not be known, or is beyond all limits, ends the session.
 */
#ifndef VEREDUS_SMTPD_CHUNK_H
#define VEREDUS_SMTPD_CHUNK_H

#include "smtpd/session.h"

/* The chunk belongs to the message of the transaction, which has at least one recipient. The answer
 * comes behind its octets, so this is pending, or closes. */
struct reply chunk_begin(struct session *session, uint64_t size, bool last);

/* The chunk is refused for `refusal`: said behind its octets, or now when the session closes. */
struct reply chunk_refuse(struct session *session, uint64_t size, struct reply refusal);

/* Takes octets of the chunk off `*input`, and answers behind the last one. */
void chunk_input(struct session *session, struct span *input);

#endif
