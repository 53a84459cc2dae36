/*
 * domain_hash - what a queue entry remembers of its recipient's domain: 32 bits of it.
 *
 * The upper half is a hash of the last two labels, the lower half one of the whole name; letters
 * have no case. So who waits for one domain is found without a read, and who may wait for a name
 * beneath one is narrowed down to the names that share its last two labels. Two domains may have
 * the same hash: whoever must be sure reads the record.
 */
#ifndef VEREDUS_QMGR_DOMAIN_HASH_H
#define VEREDUS_QMGR_DOMAIN_HASH_H

#include "util/base/span.h"

enum { DOMAIN_HASH_UNKNOWN = 0 /* nobody has read the record yet; no domain has it */ };

/* What is behind the last "@" of an address; all of it when there is none. */
struct span domain_of_address(struct span address);

/* The hash of a domain. */
uint32_t domain_hash(struct span domain);

/* False: no domain with the hash `hash` lies beneath (or is) the one with the hash `parent`, which
 * has two labels or more. */
bool domain_hash_may_be_under(uint32_t hash, uint32_t parent);

/* True when `domain` is `parent` or ends in "." and `parent`. */
bool domain_is_under(struct span domain, struct span parent);

#endif
