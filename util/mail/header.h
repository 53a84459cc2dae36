/*
 * header - the header block of a message, read as far as it must be (RFC 5322 §2.2).
 *
 * Nothing here changes a message. The block is read in one pass, linear in its size.
 */
#ifndef VEREDUS_MAIL_HEADER_H
#define VEREDUS_MAIL_HEADER_H

#include "util/base/span.h"

struct header_field {
    struct span name;  /* without the colon and blanks before it */
    struct span value; /* unfolded it is not: CR LF and blanks inside are kept */
};

/*
 * Cuts the next field off `*rest` (lines end in CR LF or LF). False at the end of the block: an
 * empty line, the end of the octets, or a line that is no field.
 */
bool header_next(struct span *rest, struct header_field *field);

/* Offset of the body behind the empty line; message.len when there is no empty line. */
size_t header_end(struct span message);

struct header_facts {
    size_t received; /* Received fields: hops (RFC 5321 §6.3) */
    size_t size;     /* octets of the header block */
};

/* Counts over the header block of `message`, of which at most `most` octets are looked at. */
struct header_facts header_scan(struct span message, size_t most);

#endif
