/*
 * reply - what a handler answers: code, enhanced status, text (RFC 5321 §4.2, RFC 3463).
 *
 * A handler returns a reply and one place writes it. The special reply REPLY_PENDING says that the
 * answer comes later. Texts are static or live in the transaction's arena.
 */
#ifndef VEREDUS_MAIL_REPLY_H
#define VEREDUS_MAIL_REPLY_H

#include "util/base/buf.h"

struct reply {
    uint16_t code;        /* 0: pending */
    bool close;           /* close the connection behind it */
    bool is_logged;       /* already, with whatever made it so */
    const char *enhanced; /* "5.1.1"; NULL for replies without one (RFC 2034 §4) */
    const char *text;     /* lines separated by '\n'; never a CR, never foreign control octets */
    /* For the log: the operator's word behind it, a setting, a table or a kind of section; NULL:
     * there is none. And the line of the table, or where the section begins; 0: unknown. */
    const char *setting;
    unsigned line;
};

#define REPLY_PENDING ((struct reply){0})

static inline bool reply_is_pending(struct reply reply)
{
    return reply.code == 0;
}

/* Writes "250-..." and "250 ..." lines (RFC 5321 §4.2.1), the enhanced status in each of them.
 * False when the buffer's limit is in the way. */
bool reply_write(struct buf *out, struct reply reply) __attribute__((warn_unused_result));

#endif
