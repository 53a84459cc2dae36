/*
 * envelope - who sent a message, to whom, from where: the part of a record before the message.
 *
 * A list of fields {tag, length, octets}; a reader refuses an unknown or repeated tag, a length
 * that leaves the envelope, and any CR, LF or NUL in a value.
 */
#ifndef VEREDUS_SPOOL_ENVELOPE_H
#define VEREDUS_SPOOL_ENVELOPE_H

#include "util/base/arena.h"
#include "util/base/buf.h"

enum { ENVELOPE_RECIPIENTS_MAX = 10000 };

/* When a sender wants to be told (RFC 3461 §4.1), as bits; none of them: when it fails. */
enum {
    ENVELOPE_NOTIFY_NEVER = 1,
    ENVELOPE_NOTIFY_SUCCESS = 2,
    ENVELOPE_NOTIFY_FAILURE = 4,
    ENVELOPE_NOTIFY_DELAY = 8
};

/* What of a message he wants back (§4.3); 0: nothing said. */
enum { ENVELOPE_RET_FULL = 1, ENVELOPE_RET_HDRS = 2 };

struct envelope_recipient {
    struct span address;   /* final: "local@domain" as address_text gives it */
    struct span original;  /* RCPT as the client gave it when that differs; may be empty */
    struct span transport; /* as lookup said at RCPT: "local", "discard", "smtp", ... */
    struct span nexthop;   /* "example.test/alice" beneath the mail root; a domain; may be empty */
    struct span orcpt;     /* RFC 3461 §4.2, "type;xtext" as given; may be empty */
    uint8_t notify;        /* ENVELOPE_NOTIFY_... */
};

struct envelope {
    struct span sender; /* "" is the null reverse-path */
    struct span client_address, client_name, helo, protocol;
    struct span login;     /* authenticated as; may be empty */
    struct span submitter; /* AUTH= of a client that may say it (RFC 4954 §5); empty: unknown */
    struct span envid;     /* xtext as given (RFC 3461 §4.4); may be empty */
    uint8_t ret;           /* ENVELOPE_RET_... */
    const struct envelope_recipient *recipients;
    size_t recipient_count;
};

/* Appends the encoded envelope to `out`. False when a value holds CR, LF or NUL, or a limit is
 * exceeded; out is as before then. */
bool envelope_encode(const struct envelope *envelope, struct buf *out)
    __attribute__((warn_unused_result));

/* Octets that this recipient takes of an encoded envelope. */
size_t envelope_recipient_size(const struct envelope_recipient *recipient);

/* Reads it; spans point into `octets`, the recipients live in `arena`. */
bool envelope_decode(struct span octets, struct arena *arena, struct envelope *envelope)
    __attribute__((warn_unused_result));

#endif
