/*
 * password - read from who types it, and hashed with yescrypt.
 */
#ifndef VEREDUS_CTL_PASSWORD_H
#define VEREDUS_CTL_PASSWORD_H

#include "ctl/ctl.h"

enum {
    PASSWORD_MAX = 255,     /* octets */
    PASSWORD_HASH_MAX = 384 /* CRYPT_OUTPUT_SIZE of crypt(3) */
};

/* Reads the password of `user`: twice from the terminal without echo, or one line of the input
 * stream when that is no terminal. False after a message; `password` is empty then. The caller
 * wipes it with explicit_bzero(3). */
bool password_read(struct ctl *ctl, const char *user, char password[PASSWORD_MAX + 1])
    __attribute__((warn_unused_result));

/* True when it can be a password: not empty, not too long, no control octets. Else says why. */
bool password_is_usable(struct ctl *ctl, struct span password) __attribute__((warn_unused_result));

/* The crypt(5) text of a password, under fresh salt. False after a message. */
bool password_hash(struct ctl *ctl, const char *password, char hash[PASSWORD_HASH_MAX])
    __attribute__((warn_unused_result));

#endif
