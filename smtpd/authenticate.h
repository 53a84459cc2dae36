/*
 * authenticate - the way to auth: exchanges go out under their numbers, answers find them again.
 *
 * A worker for submission alone has it. An authentication lives in its session, zero-initialised,
 * and is used again for the next AUTH; from authenticate_start until its exchange is at rest it is
 * known by its number here, so it must be ended (authenticate_drop) before its memory goes. auth
 * comes and goes: what is under way then is answered "later" (RFC 4954 §6), and what begins without
 * an auth, too.
 */
#ifndef VEREDUS_SMTPD_AUTHENTICATE_H
#define VEREDUS_SMTPD_AUTHENTICATE_H

#include "smtpd/sasl_exchange.h"
#include "smtpd/worker.h"
#include "util/base/hash.h"

/* The reply to what was pending, as sasl_calls.answer gives it. This authentication may be
 * started or dropped within, others may not. */
struct authenticate_calls {
    void (*answer)(void *arg, struct reply reply, struct span user);
    void *arg;
};

struct authentication {
    struct sasl_exchange exchange; /* what it says may be read: sasl_exchange_wants_line */
    struct worker *worker;         /* NULL: at rest */
    struct authenticate_calls calls;
    uint32_t query;    /* the exchange forgets its own */
    UT_hash_handle hh; /* in worker->authentications */
};

/* AUTH with what follows the verb, as sasl_exchange_start; the calls are copied. */
struct reply authenticate_start(struct authentication *authentication, struct worker *worker,
                                const struct authenticate_calls *calls,
                                const struct sasl_facts *facts, struct span arguments);

/* sasl_exchange_line, _line_too_long and _drop; the last is fine at rest. */
struct reply authenticate_line(struct authentication *authentication, struct span line);
struct reply authenticate_line_too_long(struct authentication *authentication);
void authenticate_drop(struct authentication *authentication);

/* A message to auth. False: there is none, or it does not read. */
bool authenticate_send(struct worker *worker, const struct ipc_type *type, const void *message)
    __attribute__((warn_unused_result));

/* A socket to auth, the first or a new one; takes `fd`. Exchanges with the one before are lost. */
void authenticate_connect(struct worker *worker, int fd);

#endif
