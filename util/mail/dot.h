/*
 * dot - the dot transparency of DATA, strict (RFC 5321 §4.5.2), one state machine over any split.
 *
 * The message ends at CR LF "." CR LF and nowhere else. A bare CR or a bare LF is never a line end:
 * it makes the message bad (RFC 5321 §2.3.8, and what is known as SMTP smuggling); the caller then
 * refuses and closes. NUL is passed on: a message is octets.
 */
#ifndef VEREDUS_MAIL_DOT_H
#define VEREDUS_MAIL_DOT_H

#include "util/base/buf.h"

/* Where the decoder stands: behind which octets of a line it stopped. */
enum dot_state { DOT_LINE_START, DOT_TEXT, DOT_CR, DOT_DOT, DOT_DOT_CR };

/* Zero-initialised is the start of a message. */
struct dot_decoder {
    enum dot_state state;
};

enum dot_result { DOT_MORE, DOT_END, DOT_BARE };

/*
 * Decodes `input`: appends the message's octets (with CR LF, without stuffed dots, without the
 * final dot line) to `out` in long runs. *used: the octets consumed; on DOT_END those up to the
 * final LF. DOT_BARE: a bare CR or LF at input[*used], or there is no LF where the CR before wants
 * one. `out` must have no limit.
 */
enum dot_result dot_decode(struct dot_decoder *decoder, struct span input, struct buf *out,
                           size_t *used) __attribute__((warn_unused_result));

/*
 * The other way, for POP3 and SMTP clients (RFC 1939 §3, RFC 5321 §4.5.2): appends `input` to `out`
 * with LF and CR LF both written as CR LF and leading dots doubled, over any split.
 * Zero-initialised is the start.
 */
struct dot_encoder {
    bool in_line; /* not at the start of a line */
    bool after_cr;
};

/* Encodes one piece of the message; `out` must have no limit. dot_encode_end comes once, behind
 * the last piece. */
void dot_encode(struct dot_encoder *encoder, struct span input, struct buf *out);

/* Ends the last line if it has no end, and writes the final dot line. */
void dot_encode_end(struct dot_encoder *encoder, struct buf *out);

#endif
