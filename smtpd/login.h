/*
 * login - AUTH on a session (RFC 4954): who the client is, for as long as the connection lasts.
 *
 * While an exchange is under way the client's lines are answers and no commands; while auth is
 * asked, nothing of the client is served. A client that leaves meanwhile takes its session along,
 * and not its failure: that is counted when auth has told of it. The name outlives HELO and RSET,
 * and ends with STARTTLS.
 */
#ifndef VEREDUS_SMTPD_LOGIN_H
#define VEREDUS_SMTPD_LOGIN_H

#include "smtpd/session.h"

enum { LOGIN_LEFT_MOST = 4096 /* logins of a worker whose clients are gone */ };

/* Appends the lines of EHLO about it, each behind a newline; nothing where it is not offered. */
void login_offer(const struct session *session, struct buf *out);

/* AUTH with what follows the verb; often pending. */
struct reply login_begin(struct session *session, struct span arguments);

/* True when the next line is an answer in base64 and no command. */
bool login_wants_line(const struct session *session);

/* True while auth is asked: commands wait. */
bool login_is_asked(const struct session *session);

/* That line, without its CRLF; the caller wipes it. */
struct reply login_line(struct session *session, struct span line);

/* It was longer than SASL_LINE_MAX, and is swallowed. */
struct reply login_line_too_long(struct session *session);

/* A proxy that is trusted has asked for the password itself. Pending: `name` is logged in. */
struct reply login_vouch(struct session *session, struct span name);

/* The client is gone: what auth is asked for goes on without the session. */
void login_leave(struct session *session);

/* Forgets all of those: the worker ends. */
void login_forget_left(struct worker *worker);

/* Ends what is under way and forgets who it was; any number of times. */
void login_forget(struct session *session);

#endif
