/*
 * letter - one message as it lies in a Maildir.
 *
 * Return-Path (RFC 5321 §4.4) and Delivered-To come first, then the message of the record with LF
 * line ends, or, when it is binary MIME, octet by octet (RFC 3030 §3); nothing else is changed.
 * Octets are counted both as stored and as POP3 sends them.
 */
#ifndef VEREDUS_LOCAL_LETTER_H
#define VEREDUS_LOCAL_LETTER_H

#include "util/base/buf.h"
#include "util/spool/record.h"

/* Counts stored octets as POP3 sends them (RFC 1939 §11): a LF without a CR before it counts two; a
 * last line without its end is given one. Zero-initialised is a count of nothing. */
struct wire_count {
    uint64_t octets;
    char last;
};

/* Counts a piece; pieces may be cut anywhere, also between CR and LF. */
void wire_count_add(struct wire_count *count, struct span octets);

/* The octets of all that was added, as POP3 sends them. */
uint64_t wire_count_end(const struct wire_count *count);

struct letter_size {
    uint64_t disk;
    uint64_t wire;
};

/* What is written, and with what: nothing here is owned. */
struct letter {
    const struct segment_view *segment;
    const struct record *record;
    size_t recipient;    /* index in the envelope */
    struct buf *scratch; /* emptied and used */
};

/* Writes the letter into the empty file `fd`. False with errno when reading or writing fails. */
bool letter_write(const struct letter *letter, int fd, struct letter_size *size)
    __attribute__((warn_unused_result));

#endif
