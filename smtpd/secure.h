/*
 * secure - TLS on a session: STARTTLS (RFC 3207) and TLS from the start (RFC 8314 §3).
 *
 * The channel of the session says how far it is; everybody else reads that, and changes it here.
 */
#ifndef VEREDUS_SMTPD_SECURE_H
#define VEREDUS_SMTPD_SECURE_H

#include "smtpd/session.h"

/* True when STARTTLS would be taken now. */
bool secure_is_offered(const struct session *session);

/* The handshake begins; what was known of the client is forgotten (RFC 3207 §4.2). */
void secure_begin(struct session *session);

/* The socket lets the handshake go on. A new session is greeted when it is done; a failure drops
 * the session. */
void secure_step(struct session *session);

/* The handshake took too long. */
void secure_give_up(struct session *session);

/* "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits)" for the trace field; empty in the clear.
 * Lives in the session's transaction arena. */
struct span secure_text(struct session *session);

#endif
