/*
 * commands - the handlers of the verb table. Each is called only where its row allows it, and gives
 * the reply; `arguments` is what follows the verb, without blanks around it.
 */
#ifndef VEREDUS_SMTPD_COMMANDS_H
#define VEREDUS_SMTPD_COMMANDS_H

#include "smtpd/session.h"

/* RFC 5321 §4.1.1.1: who the client says it is. */
struct reply cmd_helo(struct session *session, struct span arguments);
struct reply cmd_ehlo(struct session *session, struct span arguments);

/* RFC 5321 §4.1.1.2: a transaction begins; with parameters (parameters.h). */
struct reply cmd_mail(struct session *session, struct span arguments);

/* RFC 5321 §4.1.1.3: one recipient; answered when lookup has answered. */
struct reply cmd_rcpt(struct session *session, struct span arguments);

/* RFC 5321 §4.1.1.4: the message comes. */
struct reply cmd_data(struct session *session, struct span arguments);

/* RFC 3030 §2: a part of the message comes; and one that is not wanted, answered with `refusal`
 * behind its octets. */
struct reply cmd_bdat(struct session *session, struct span arguments);
struct reply cmd_bdat_refused(struct session *session, struct span arguments, struct reply refusal);

/* RFC 3207: everything behind the reply is encrypted. */
struct reply cmd_starttls(struct session *session, struct span arguments);

/* RFC 4954: who the client is; answered when auth has answered. */
struct reply cmd_auth(struct session *session, struct span arguments);

/* RFC 5321 §4.1.1.5 - §4.1.1.10; VRFY and EXPN are answered when lookup has answered. */
struct reply cmd_rset(struct session *session, struct span arguments);
struct reply cmd_vrfy(struct session *session, struct span arguments);
struct reply cmd_expn(struct session *session, struct span arguments);
struct reply cmd_help(struct session *session, struct span arguments);
struct reply cmd_noop(struct session *session, struct span arguments);
struct reply cmd_quit(struct session *session, struct span arguments);

/* Postfix's XCLIENT: a proxy says for whom it speaks. */
struct reply cmd_xclient(struct session *session, struct span arguments);

/* The text of HELP without a topic: all that there are for clients of that service. Lives in
 * `arena`. */
const char *help_topics(enum conf_service service, struct arena *arena);

/* RFC 1985: what waits for a domain is to be tried now; answered when qmgr has answered. */
struct reply cmd_etrn(struct session *session, struct span arguments);

/* Known, and not done here: TURN and the like. */
struct reply cmd_unimplemented(struct session *session, struct span arguments);

/* What other protocols begin with: the connection is dropped without a word. */
struct reply cmd_foreign(struct session *session, struct span arguments);

#endif
