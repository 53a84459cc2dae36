/*
 * bounce_text - the letter that tells a sender what was not delivered, and why; or what was, when
 * he asked to be told (RFC 3461 §4.1).
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
    struct span orcpt; /* "type;xtext" (RFC 3461 §4.2); may be empty */
    bool delivered;    /* no failure at all: he asked to be told of that, too */
};

struct bounce_facts {
    struct span hostname;
    struct span to;     /* "local@domain" */
    struct span id;     /* queue id of the original */
    struct span sender; /* of the original; empty: none */
    struct span envid;  /* his own name for it, xtext (RFC 3461 §4.4); may be empty */
    struct span unique; /* the left part of the Message-ID */
    uint64_t now_us;
    const struct bounce_failure *failures;
    struct span original; /* its first octets: the header block is copied */
    bool full;            /* and all behind it */
};

/* Appends the whole letter in wire form. */
void bounce_text_write(struct buf *out, const struct bounce_facts *facts);

/* Appends `text` with what is not printable ASCII written as \xNN, at most `most` octets of it. */
void bounce_text_escape(struct buf *out, struct span text, size_t most);

#endif
