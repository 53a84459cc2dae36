/*
 * sasl - the exchanges of AUTH (RFC 4422), from sasl_begin to the verdict.
 *
 * PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 7677), and nothing else. All
 * of them end in the attempts: one at a time for each account, failures delayed. Whose exchange it
 * is says the pair of peer and query. There are SASL_CLIENT_MOST of one network at once at most;
 * one more is answered "later". A client that does not answer in time loses its exchange; where
 * there are SASL_MOST of all clients, the one that has kept us waiting longest does.
 */
#ifndef VEREDUS_AUTH_SASL_H
#define VEREDUS_AUTH_SASL_H

#include "auth/attempt.h"
#include "auth/scram.h"

enum {
    SASL_MOST = 4096,
    SASL_CLIENT_MOST = 128,
    SASL_DEADLINE_MS = 330000 /* a little more than the command deadline of who asks */
};

struct sasl;

struct sasl_parts {
    struct loop *loop;
    const struct conf *conf;
    struct attempts *attempts;  /* stays the caller's; answers by asker_answer */
    struct scram_server *scram; /* becomes sasl's own */
    int64_t deadline_ms;        /* for each answer of the client */
    void (*challenge)(void *peer, const struct sasl_challenge *challenge);
    void (*verdict)(void *peer, const struct attempt_answer *answer);
};

/* Takes over the SCRAM server. */
struct sasl *sasl_new(const struct sasl_parts *parts);

/* Ends all exchanges without a word; before attempts_free. */
void sasl_free(struct sasl *sasl);

/* Begins an exchange of `peer`; challenge or verdict may come from within this call. Nothing of the
 * message is kept but the client; the caller wipes it. */
void sasl_start(struct sasl *sasl, void *peer, const struct sasl_begin *begin);

/* The client's answer to the last challenge. One to an exchange that is over is ignored. */
void sasl_respond(struct sasl *sasl, void *peer, const struct sasl_continue *response);

/* The exchange is cancelled: no verdict. A password that was tried already still counts. */
void sasl_cancel(struct sasl *sasl, void *peer, uint32_t query);

/* The peer is gone, and all its exchanges with it. */
void sasl_forget(struct sasl *sasl, void *peer);

/* True while there are exchanges. */
bool sasl_pending(const struct sasl *sasl);

#endif
