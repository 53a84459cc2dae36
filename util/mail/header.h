/*
 * header - the header block of a message, read as far as it must be (RFC 5322 §2.2).
 *
 * Nothing here changes a message. The block is read in one pass, linear in its size.
 */
#ifndef VEREDUS_MAIL_HEADER_H
#define VEREDUS_MAIL_HEADER_H

#include "util/base/span.h"

/* Offset of the body behind the empty line; message.len when there is no empty line. */
size_t header_end(struct span message);

struct header_facts {
    size_t received; /* Received fields: hops (RFC 5321 §6.3) */
    size_t size;     /* octets of the header block */
};

/* Counts over the header block of `message`, of which at most `most` octets are looked at. */
struct header_facts header_scan(struct span message, size_t most);

#endif
