/*
 * sasl_exchange - the SMTP side of AUTH, RFC 4954: from the command to 235 or a refusal.
 *
 * It reads what the client says (mechanism, base64), carries it to auth and back, and knows the
 * replies; what a message means is auth's affair. Zero-initialised it is at rest. An exchange lives
 * in the struct from sasl_exchange_start until it gives a reply other than 334: that is the last
 * one. A reply comes as the value of a call, or, where that was pending, by the callback, once for
 * each pending one. Texts of replies live until the next call or callback.
 */
#ifndef VEREDUS_SMTPD_SASL_EXCHANGE_H
#define VEREDUS_SMTPD_SASL_EXCHANGE_H

#include "util/ipc/messages.h"
#include "util/mail/reply.h"

/* RFC 4954 §4: octets of a line of the dialogue, without its CRLF. The reader lets lines of this
 * length through while sasl_exchange_wants_line, and reports longer ones. AUTH with an initial
 * response may be as long, behind the verb and the mechanism. */
enum { SASL_LINE_MAX = 12288 };

/* What holds for the connection as it is now; the spans stay the caller's, for the exchange. */
struct sasl_facts {
    bool tls;
    bool passwords; /* they may be sent: by TLS, or plaintext_auth lets them */
    enum sasl_binding
        binding_kind; /* SASL_BINDING_NONE: no PLUS; never anything else without TLS */
    struct span binding;
    struct span client; /* address as text */
    uint64_t session;
};

struct sasl_calls {
    /* Sends a message to auth; false: there is none. The message is gone after the call. */
    bool (*send)(void *arg, const struct ipc_type *type, const void *message);
    /* The reply to what was pending. `user` is canonical: who it is with 235, else who it was said
     * to be, as far as it was; both are valid during the call. */
    void (*answer)(void *arg, struct reply reply, struct span user);
    void *arg;
};

enum sasl_state {
    SASL_AT_REST,
    SASL_PROMPTED,   /* 334 without a challenge was sent: the initial response is to come */
    SASL_CHALLENGED, /* 334 was sent with auth's challenge */
    SASL_ASKED       /* auth has the client's message */
};

struct sasl_exchange {
    enum sasl_state state;
    enum sasl_mechanism mechanism;
    uint32_t query;
    struct sasl_calls calls;
    struct sasl_facts facts;
    struct reply verdict; /* auth ended it while the client was to answer: kept for that moment */
    bool ended;
    bool answered;      /* a challenge of auth */
    struct arena arena; /* the base64 of the challenge at hand */
};

/* Appends what EHLO offers: " PLAIN LOGIN ..." in the order of preference, each mechanism behind a
 * blank; nothing when there is none (RFC 4954 §3). */
void sasl_exchange_offer(const struct sasl_facts *facts, struct buf *out);

/* AUTH with what follows the verb. `query` is not in use with auth. A reply that is no 334 and not
 * pending refuses the command: the exchange is at rest. The caller wipes the line. */
struct reply sasl_exchange_start(struct sasl_exchange *exchange, const struct sasl_calls *calls,
                                 const struct sasl_facts *facts, uint32_t query,
                                 struct span arguments);

/* True when the next line of the client is no command but an answer in base64. */
bool sasl_exchange_wants_line(const struct sasl_exchange *exchange);

/* That line, without CRLF; only while wanted. The caller wipes it. */
struct reply sasl_exchange_line(struct sasl_exchange *exchange, struct span line);

/* That line was longer than SASL_LINE_MAX, and is swallowed: the exchange is over. */
struct reply sasl_exchange_line_too_long(struct sasl_exchange *exchange);

/* auth's messages. One for another query than the exchange's is left alone: it is of one that was
 * cancelled. */
void sasl_exchange_challenge(struct sasl_exchange *exchange,
                             const struct sasl_challenge *challenge);
void sasl_exchange_verdict(struct sasl_exchange *exchange, const struct verdict *verdict);

/* auth is gone: "later" is answered, now or to the client's next line. */
void sasl_exchange_lost(struct sasl_exchange *exchange);

/* The client is gone, or must wait no longer: auth is told, nothing is answered. Frees what the
 * exchange holds; at rest: nothing. */
void sasl_exchange_drop(struct sasl_exchange *exchange);

#endif
