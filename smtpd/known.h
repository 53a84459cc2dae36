/*
 * known - recipients that lookup knew a moment ago.
 *
 * Mail comes in bursts for the same few recipients; asking lookup for each costs two hops between
 * processes. Kept are single final recipients alone, for KNOWN_MS at most, and only as long as the
 * tables are the same: lookup counts every change in its page (PAGE_TABLES), and the sum of those
 * counts is the `epoch` here. Refusals are never kept: a user who was just added is known at once.
 */
#ifndef VEREDUS_SMTPD_KNOWN_H
#define VEREDUS_SMTPD_KNOWN_H

#include "util/ipc/messages.h"
#include "util/mail/address.h"

enum { KNOWN_MS = 10000, KNOWN_SLOTS = 256 };

struct known;

/* Knows nobody yet; freed with known_free. */
struct known *known_new(void);

/* NULL is fine. */
void known_free(struct known *known);

/* What a question was about, and when. */
struct known_key {
    const struct address *address;
    bool trusted;
    uint64_t epoch;
    int64_t now; /* loop_now() */
};

/* True when it is known: the spans of *answer are valid until the next known_add. */
bool known_find(const struct known *known, const struct known_key *key, struct resolved *answer)
    __attribute__((warn_unused_result));

/* Remembers the one final recipient of a question; what is too long for a slot is not kept. */
void known_add(struct known *known, const struct known_key *key, const struct resolved *answer);

#endif
