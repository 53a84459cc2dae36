/*
 * originator - what submission does to a header: who sent the message, and when (RFC 6409 §8).
 *
 * Adds Date and Message-ID where there is none, and Sender where From is not the login and nothing
 * else; takes out each Sender that is not the login. All other octets pass as they are and in their
 * order, whatever they look like. What is added stands at the end of the header: before the empty
 * line, or before the first line that is no field, because some readers see the body begin there.
 *
 * The message comes in pieces, cut anywhere, and leaves likewise: at most ORIGINATOR_HELD octets
 * are held back. Linear in the header.
 */
#ifndef VEREDUS_MAIL_ORIGINATOR_H
#define VEREDUS_MAIL_ORIGINATOR_H

#include "util/base/buf.h"

enum { ORIGINATOR_HELD = 4096 /* a longer From is no login's, a longer Sender is taken out */ };

/* Of the message; the spans are the caller's, for the call. */
struct originator_facts {
    struct span login;    /* canonical, as of auth; empty: From and Sender are let alone */
    struct span hostname; /* behind the "@" of a Message-ID */
    struct span unique;   /* before it: a dot-atom that is used once */
    uint64_t time_us;     /* of Date */
};

/* Where the next octet stands. */
enum originator_place {
    ORIGINATOR_START, /* of a line */
    ORIGINATOR_START_CR,
    ORIGINATOR_NAME,  /* of a field */
    ORIGINATOR_BLANK, /* behind the name (RFC 5322 §4.5) */
    ORIGINATOR_PASS,  /* in a line that passes */
    ORIGINATOR_HOLD,  /* in one that is held until its field ends */
    ORIGINATOR_DROP   /* in one that is taken out */
};

/* Which field it is that a line begins with a blank may go on with. */
enum originator_field {
    ORIGINATOR_OTHER,
    ORIGINATOR_FROM,
    ORIGINATOR_SENDER,
    ORIGINATOR_FORGED /* a Sender that is taken out */
};

/* Zero-initialised is the start of a message. */
struct originator {
    enum originator_place place;
    enum originator_field field;
    bool has_date, has_message_id, has_sender;
    bool others; /* a From that is not the login alone */
    size_t froms;
    bool ended;      /* the body was reached: octets need not come here any more */
    struct buf held; /* a name, or a field whose end is not seen yet */
};

/* Takes the next piece of the message and appends what is known to pass to `out`, which has no
 * limit. */
void originator_take(struct originator *originator, const struct originator_facts *facts,
                     struct span piece, struct buf *out);

/* The message ended: appends what is held and missing, unless the header ended before. */
void originator_end(struct originator *originator, const struct originator_facts *facts,
                    struct buf *out);

/* Frees what is held; any number of times. */
void originator_free(struct originator *originator);

#endif
