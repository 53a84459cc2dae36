/*
 * bounce_text - the letter that tells a sender what was not delivered, and why.
 *
 * Everything foreign in it (addresses, reasons) is escaped and bounded; the header of the original
 * is copied as far as it was read.
 */
#ifndef VEREDUS_QMGR_BOUNCE_TEXT_H
#define VEREDUS_QMGR_BOUNCE_TEXT_H

#include "util/base/buf.h"

struct bounce_failure {
    struct bounce_failure *next;
    uint32_t queue_entry;
    struct span address, enhanced, text;
};

struct bounce_facts {
    struct span hostname;
    struct span to;     /* "local@domain" */
    struct span id;     /* queue id of the original */
    struct span sender; /* of the original; empty: none */
    struct span unique; /* the left part of the Message-ID */
    uint64_t now_us;
    const struct bounce_failure *failures;
    struct span original; /* its first octets: at most the header block is copied */
};

/* Appends the whole letter in wire form. */
void bounce_text_write(struct buf *out, const struct bounce_facts *facts);

/* Appends `text` with what is not printable ASCII written as \xNN, at most `most` octets of it. */
void bounce_text_escape(struct buf *out, struct span text, size_t most);

#endif
