/*
 * line - commands cut from a stream of octets (RFC 5321 §2.3.8, §4.5.3.1.4).
 *
 * A command ends in CR LF; a bare LF is also taken as its end (old clients and telnet), a bare CR
 * is not. Message data has its own, strict codec: dot.h.
 */
#ifndef VEREDUS_MAIL_LINE_H
#define VEREDUS_MAIL_LINE_H

#include "util/base/span.h"

enum line_result {
    LINE_MORE,     /* no line end yet */
    LINE_OK,       /* *line without its end, *used octets with it */
    LINE_TOO_LONG, /* more than `most` octets (with the end): *used is what to swallow now */
};

/* Cuts the first line off `input`. *used: the octets to consume (0 for LINE_MORE), the line's
 * end with them. */
enum line_result line_cut(struct span input, size_t most, struct span *line, size_t *used)
    __attribute__((warn_unused_result));

#endif
