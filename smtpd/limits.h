/*
 * limits - what a client may cost: connections, errors, time.
 */
#ifndef VEREDUS_SMTPD_LIMITS_H
#define VEREDUS_SMTPD_LIMITS_H

#include "smtpd/session.h"
#include "util/daemon/rate_limits.h"

/* Counts the new session, until limits_leave. */
void limits_enter(struct session *session);

/* From now on the session is a connection of `network` (net_limit_key; 0: of none). */
void limits_count_network(struct session *session, uint64_t network);

/* The greeting of a session that was counted: 220, or why it is sent away. */
struct reply limits_greeting(struct session *session);

/* At MAIL and for each recipient that would be taken: counts one, and is pending when the rates of
 * its network or its account allow it. */
struct reply limits_rate_message(struct session *session) __attribute__((warn_unused_result));
struct reply limits_rate_recipient(struct session *session) __attribute__((warn_unused_result));

/* Whose rates the session counts for; the spans are its own. */
struct rate_client limits_rate_client(const struct session *session);

/* Before a password is looked at, and when it was wrong; `login` as far as it is known. */
struct reply limits_rate_login(struct session *session, struct span login)
    __attribute__((warn_unused_result));
void limits_login_failed(struct session *session, struct span login);

/* A login is right: counts the session among those of its account; 421 when they are too many. */
struct reply limits_enter_account(struct session *session, struct span account)
    __attribute__((warn_unused_result));

/* The session is that account's no more; of none: nothing. */
void limits_leave_account(struct session *session);

/* The session ended: counts it no more. */
void limits_leave(struct session *session);

/* After an error was answered: pending (maybe the session is paused now), or the last word. */
struct reply limits_after_error(struct session *session);

/* The number of sessions changed: near the limit all of them get less time, until it has gone down
 * again. */
void limits_weigh(struct worker *worker);

/* A command that brings no message nearer: too many of them count as errors. */
void limits_count_junk(struct session *session);

/* How long the session may wait for this, in milliseconds. */
int64_t limits_wait_ms(const struct session *session, enum session_wait wait);

/* The setting that says so; only of waits whose length is the operator's. */
const char *limits_wait_setting(const struct session *session, enum session_wait wait);

/* True when so many octets since `started`, a loop_now(), are less than have to come. */
bool limits_is_slow(const struct session *session, int64_t started, uint64_t octets);

/* What qmgr asks for: to slow down, or to take nothing. */
enum page_pressure limits_pressure(const struct worker *worker);

/* True when this worker clearly has more than its share of all sessions. */
bool limits_above_share(const struct worker *worker);

#endif
