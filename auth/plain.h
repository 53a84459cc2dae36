/*
 * plain - the one message of PLAIN, RFC 4616 §2.
 */
#ifndef VEREDUS_AUTH_PLAIN_H
#define VEREDUS_AUTH_PLAIN_H

#include "util/base/span.h"

/* The three parts; they lie in the message. */
struct plain {
    struct span authzid;  /* may be empty */
    struct span authcid;  /* the user */
    struct span password; /* secret */
};

/* Cuts the message at its two NULs. False unless there are just two, and a user and a password. */
bool plain_parse(struct span message, struct plain *plain) __attribute__((warn_unused_result));

#endif
