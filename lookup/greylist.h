/*
 * greylist - strangers come again: who was here with a letter from that sender to that recipient,
 * and when (RFC 6647 §2.4).
 *
 * A letter that nobody has tried before is put off; its second try is taken when it comes no sooner
 * than `delay` and no later than `window` behind the first. So is every other one of its kind from
 * then on, and, when a network has shown `passes` times that it comes again, everything from there.
 * What is not used for `life` is forgotten. Networks are counted, not addresses: large senders try
 * again from a neighbour (an IPv4 /24, an IPv6 /64).
 *
 * All of it is a file of a fixed size with a place for each, read and written where it lies: it
 * needs no loading, outlives the process, and two generations may have it open at once. It is not
 * synced: what a power cut takes costs somebody a second try.
 */
#ifndef VEREDUS_LOOKUP_GREYLIST_H
#define VEREDUS_LOOKUP_GREYLIST_H

#include "util/base/span.h"
#include "util/sys/net.h"

enum {
    GREYLIST_BUCKETS =
        131072, /* of GREYLIST_SLOTS each: 16 MiB, of which only what is used is kept */
    GREYLIST_SLOTS = 8,
    GREYLIST_KEY = 16 /* octets; nobody outside can choose who shares a bucket */
};

/* In seconds, but for the number of passes. */
struct greylist_rules {
    uint64_t delay, window, life;
    uint64_t passes;
};

/* Made by greylist_open, ended by greylist_close; with fd -1 it puts nobody off. */
struct greylist {
    int fd;
    uint8_t key[GREYLIST_KEY];
};

/* Opens the file, or makes it; before the sandbox, perhaps as root: a link, a special file, and a
 * file that is no greylist are left alone. False with errno; the greylist is closed then. */
bool greylist_open(struct greylist *greylist, const char *path) __attribute__((warn_unused_result));

/* Closed already: nothing. */
void greylist_close(struct greylist *greylist);

/* Who tries to send what to whom; the addresses as text, compared without case. */
struct greylist_try {
    const union net_address *client;
    struct span sender, recipient;
    uint32_t now; /* clock_wall() */
};

/* Notes the try. 0: it is to be taken; else the seconds that are left to wait. Trouble with the
 * file takes everything. */
uint32_t greylist_judge(const struct greylist *greylist, const struct greylist_rules *rules,
                        const struct greylist_try *attempt) __attribute__((warn_unused_result));

#endif
