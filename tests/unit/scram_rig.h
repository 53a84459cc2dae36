/*
 * scram_rig - the client's side of SCRAM-SHA-256, written from RFC 5802 alone, so that it can be
 * wrong wherever a test wants it to be.
 */
#ifndef VEREDUS_TESTS_SCRAM_RIG_H
#define VEREDUS_TESTS_SCRAM_RIG_H

#include "util/table/credentials.h"

/* One exchange of a client; a test sets the first members, the rest follows. */
struct scram_client {
    const char *password;
    const char *gs2_header;   /* "n,,", "p=tls-exporter,," */
    struct span binding;      /* behind the header in c= */
    const char *user;         /* in the encoding of RFC 5802 §5.1 */
    const char *nonce;        /* of the client */
    const char *other_nonce;  /* in place of what the server gave; NULL: the right one */
    const char *other_header; /* in place of gs2_header in c=; NULL: the right one */
    struct arena arena;
    struct span bare, server_first, nonces, salt;
    uint32_t iterations;
    uint8_t server_signature[SCRAM_KEY_SIZE];
};

/* client-first-message */
struct span scram_client_first(struct scram_client *client);

/* client-final-message to the server-first-message. */
struct span scram_client_final(struct scram_client *client, struct span server_first);

/* True when this is the server-final-message of who knows the user's keys. */
bool scram_client_accepts(struct scram_client *client, struct span server_final);

void scram_client_end(struct scram_client *client);

/* Keys of `password` under a salt, as RFC 5802 §3 computes them; they live in `arena`. */
struct scram_keys scram_rig_keys(struct arena *arena, const char *password, struct span salt,
                                 uint32_t iterations);

#endif
