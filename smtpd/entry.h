/*
 * entry - the way in: from accept(2) to the greeting.
 *
 *     [header of a proxy]  who the client is  limits  [TLS | silence]  220
 *
 * The channel of the session says how far it is: CHANNEL_PROXY until the header is read,
 * CHANNEL_SILENT while a client has to wait for its greeting. A session there costs what an idle
 * one costs. With TLS from the start nobody is made to wait: there the client speaks first.
 */
#ifndef VEREDUS_SMTPD_ENTRY_H
#define VEREDUS_SMTPD_ENTRY_H

#include "smtpd/session.h"

/* A connection from `peer`: counts it, and goes as far as it can without waiting. */
void entry_begin(struct session *session, const union net_address *peer);

/* The socket has something to read, or ended, before the greeting. */
void entry_step(struct session *session);

/* The time that the session had to wait is over: greets it. */
void entry_greet(struct session *session);

/* 220, as it is said to those who may go on. */
struct reply entry_greeting(const struct session *session);

/* Whom a proxy speaks for that speaks SMTP itself: what it says of its client in one XCLIENT. */
struct entry_claims {
    /* Of the client that was there already; of another one, with its address or without. */
    enum { ENTRY_THE_SAME, ENTRY_CLIENT, ENTRY_SOMEBODY } speaks_for;
    union net_address address;
    bool has_name;
    struct span name, helo, login; /* empty: unknown */
};

/* The session is that of this client from now on; its greeting, or why it is sent away. The claims
 * are copied. With an address or a login they are the proxy's last word. */
struct reply entry_claim(struct session *session, const struct entry_claims *claims);

/* The proxy did not say in time for whom it speaks. */
void entry_give_up(struct session *session);

/* True while the session is between accept and greeting, in the clear. */
static inline bool entry_is_under_way(const struct session *session)
{
    return session->channel == CHANNEL_PROXY || session->channel == CHANNEL_SILENT;
}

#endif
