/*
 * scram - the server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), by gsasl.
 *
 * The client proves that it knows the password; neither the password nor anything that could be
 * replayed passes. A user that does not exist, or has no keys, is answered with a salt that is made
 * of his name, always the same for as long as the server's key lives, and fails at the end as a
 * wrong password does. What the client says about channel binding is judged here, before the
 * library sees it: "y" where PLUS was offered, or another binding than ours, is an attack
 * (RFC 5802 §6).
 */
#ifndef VEREDUS_AUTH_SCRAM_H
#define VEREDUS_AUTH_SCRAM_H

#include "auth/user.h"
#include "util/ipc/messages.h"

struct scram_server;
struct scram;

/* What all exchanges share. `conf` and `passwords` stay the caller's; the salts of unknown users
 * are made with `key`. Call before the sandbox: the library reads what it needs. */
struct scram_server *scram_server_new(const struct conf *conf, struct table *passwords,
                                      struct span key);
void scram_server_free(struct scram_server *server);

enum scram_result {
    SCRAM_MORE,      /* the output is to be answered */
    SCRAM_RIGHT,     /* the output is the server's own proof, to be shown to the client */
    SCRAM_WRONG,     /* the proof or the channel binding */
    SCRAM_REFUSED,   /* before any proof: a channel binding that must not be */
    SCRAM_MALFORMED, /* no message of SCRAM, or no UTF-8 */
    SCRAM_TEMPORARY  /* the table can not be read */
};

/* One exchange, for a binding as sasl_begin has it (its octets are copied). */
struct scram *scram_new(struct scram_server *server, bool plus, enum sasl_binding kind,
                        struct span binding);

/* The keys of the user are wiped. NULL is fine. */
void scram_free(struct scram *scram);

/* The client's next message; after anything but SCRAM_MORE there is none. The output lives as
 * long as the exchange. */
enum scram_result scram_step(struct scram *scram, struct span message, struct span *output)
    __attribute__((warn_unused_result));

/* Canonical; empty before the client's first message was understood. */
struct span scram_user(const struct scram *scram);

#endif
