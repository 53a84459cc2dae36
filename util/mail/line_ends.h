/*
 * line_ends - whether CR and LF of a message that comes without dots stand only together.
 *
 * A message sent by BDAT (RFC 3030 §2) has no end that could be forged; but whoever sends it on by
 * DATA makes one of it, so text has to be as strict here as there (RFC 5321 §2.3.8, dot.h).
 */
#ifndef VEREDUS_MAIL_LINE_ENDS_H
#define VEREDUS_MAIL_LINE_ENDS_H

#include "util/base/span.h"

/* Zero-initialised is the start of a message. */
struct line_ends {
    char last; /* octet so far; NUL: none yet, or a NUL */
    bool any;  /* there was one */
};

/* Takes the next octets, cut anywhere. False: a CR or LF stands alone in them; what comes later
 * need not be asked any more. */
bool line_ends_add(struct line_ends *ends, struct span octets) __attribute__((warn_unused_result));

/* What the message lacks at its end: a line's end, or nothing. False: it ends in a lone CR. */
bool line_ends_complete(const struct line_ends *ends, struct span *missing)
    __attribute__((warn_unused_result));

#endif
