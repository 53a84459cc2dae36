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

/* Where in a line of the header block the next octet stands. */
enum header_place { HEADER_START, HEADER_START_CR, HEADER_NAME, HEADER_OTHER };

/* What is known of a message that comes in pieces. Zero-initialised is its start. */
struct header_scan {
    size_t received; /* Received fields so far: hops (RFC 5321 §6.3) */
    size_t size;     /* octets of the header block so far */
    bool ended;      /* the body was reached, or the most that is looked at */
    enum header_place place;
    size_t matched; /* octets of the line so far that are those of a Received field */
};

/* Counts over the next piece, cut anywhere; at most `most` octets of the whole block are looked
 * at. */
void header_scan(struct header_scan *scan, struct span piece, size_t most);

#endif
