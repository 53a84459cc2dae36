/*
 * password - read from who types it, and made into what the table keeps of it: a yescrypt hash and
 * the keys of SCRAM.
 */
#ifndef VEREDUS_CTL_PASSWORD_H
#define VEREDUS_CTL_PASSWORD_H

#include "ctl/ctl.h"

enum {
    PASSWORD_MAX = 255,      /* octets */
    PASSWORD_ENTRY_MAX = 640 /* a hash of CRYPT_OUTPUT_SIZE, the keys, and a NUL */
};

/* Reads the password of `user`: twice from the terminal without echo, or one line of the input
 * stream when that is no terminal. False after a message; `password` is empty then. The caller
 * wipes it with explicit_bzero(3). */
bool password_read(struct ctl *ctl, const char *user, char password[PASSWORD_MAX + 1])
    __attribute__((warn_unused_result));

/* True when it can be a password: not empty, not too long, no control octets. Else says why. */
bool password_is_usable(struct ctl *ctl, struct span password) __attribute__((warn_unused_result));

/* The value of a password in the table, under fresh salts (util/table/credentials.h). The hash is
 * that of the octets as they are; the keys of SCRAM are those of the password as SASLprep
 * (RFC 4013) prepares it, because SCRAM's clients do so. One that can not be prepared has no keys,
 * which is said and is no error. False after a message. */
bool password_entry(struct ctl *ctl, const char *password, char entry[PASSWORD_ENTRY_MAX])
    __attribute__((warn_unused_result));

#endif
