/*
 * credentials - what the table of passwords holds of one user, read and written.
 *
 * A value is a hash of crypt(5), behind it the keys of SCRAM (RFC 5803 has the same four parts):
 *
 *     $y$j9T$... scram-sha-256=65536,<salt>,<StoredKey>,<ServerKey>
 *
 * with salt and keys in base64. Either may be missing: without the keys the user has PLAIN and
 * LOGIN alone, without the hash SCRAM alone. The keys are no password, but who has them can try
 * passwords, so a value is as secret as a hash.
 */
#ifndef VEREDUS_TABLE_CREDENTIALS_H
#define VEREDUS_TABLE_CREDENTIALS_H

#include "util/base/arena.h"

enum {
    SCRAM_KEY_SIZE = 32,  /* octets of a key: those of SHA-256 */
    SCRAM_SALT_SIZE = 16, /* octets of a salt that we draw; others may have 8 to 64 */
    SCRAM_SALT_LEAST = 8,
    SCRAM_SALT_MOST = 64,
    SCRAM_ITERATIONS = 65536,      /* of keys that we make; Cyrus SASL computes no more */
    SCRAM_ITERATIONS_LEAST = 4096, /* RFC 7677 §4 */
    SCRAM_ITERATIONS_MOST = 10000000
};

/* RFC 5802 §3, in base64 as the table and the library want it. */
struct scram_keys {
    uint32_t iterations;
    struct span salt, stored, server;
};

/* The spans lie in the arena, each with a NUL behind it. */
struct credentials {
    struct span crypt; /* empty: none */
    struct scram_keys scram;
    bool has_scram;
};

/* Understands a value. False when it makes no sense; nobody can log in with it then. */
bool credentials_parse(struct arena *arena, struct span value, struct credentials *credentials)
    __attribute__((warn_unused_result));

/* The value of these credentials; it lives in `arena`. */
struct span credentials_text(struct arena *arena, const struct credentials *credentials);

#endif
