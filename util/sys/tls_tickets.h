/*
 * tls_tickets - the keys of session tickets: a ratchet that turns every eight hours.
 *
 * A ticket lets a client come back without a full handshake (RFC 5077, RFC 8446 §4.6.1), to
 * whichever worker and generation it meets. So all have to have the same keys, and nobody should
 * keep them for long: whoever has the key reads recorded TLS 1.2 sessions. Master draws one secret
 * at its start and hands it to those who serve TLS; from then on everybody steps it by himself,
 * HMAC(secret, "next"), whenever CLOCK_BOOTTIME enters a new period. There is no way back from a
 * secret to the one before it.
 *
 * The ratchet holds the secret of the period before the present one: its tickets are still taken,
 * and renewed. The present one is a step ahead. What is older is gone.
 */
#ifndef VEREDUS_SYS_TLS_TICKETS_H
#define VEREDUS_SYS_TLS_TICKETS_H

#include "util/base/span.h"
#include "util/sys/loop.h"

enum {
    TLS_SECRET = 32,              /* octets */
    TLS_PERIOD_SECONDS = 8 * 3600 /* how long new tickets are made with one key */
};

/* Owned by the process; a tls_server refers to it and may step it. */
struct tls_ratchet {
    uint64_t period;            /* of `secret`: the one before the present */
    uint8_t secret[TLS_SECRET]; /* never logged, never written down */
};

/* The number of the present period; the same in all processes of a machine until it boots. */
uint64_t tls_period_now(void);

/* How many milliseconds from now the present period ends. */
int64_t tls_period_left_ms(void);

/* Draws a new secret, as of the period before the present. */
void tls_ratchet_draw(struct tls_ratchet *ratchet);

/* Steps until it holds the secret of the period before `period`; it never goes back. */
void tls_ratchet_step(struct tls_ratchet *ratchet, uint64_t period);

/* A ratchet that a loop steps, so that old secrets go though nobody comes. */
struct tls_tickets {
    struct tls_ratchet ratchet;
    struct timer turn;
};

/* Steps it now and at the end of every period. */
void tls_tickets_keep(struct tls_tickets *tickets, struct loop *loop);

/* Stops that, and wipes the secret. */
void tls_tickets_forget(struct tls_tickets *tickets);

#endif
