/*
 * Smuggling works where one server takes for the end of a message what the next one does not. So
 * this decoder knows one end and no tolerance: a CR without LF, or an LF without CR, and the whole
 * message is refused.
 *
 * It is also the one place that touches every octet of every message, so it works in stretches: two
 * memchr(3) a line, and one copy from one stuffed dot to the next. Only five states exist between
 * two octets, which is why the input may be cut anywhere.
 */
#include "util/mail/dot.h"

/*
 * Walks well-formed text from `at` on, over as many lines as do not begin with a dot. Returns where
 * it stopped, with the state there; on a bare CR or LF *bare is set and that octet is where.
 */
static size_t walk_text(struct span input, size_t at, enum dot_state *state, bool *bare)
{
    for (;;) {
        struct span rest = span_skip(input, at);
        size_t feed = span_find(rest, '\n');
        size_t cr = span_find(span_first(rest, feed), '\r');
        bool ends_here = feed == rest.len;

        /* Neither CR nor LF to the end of the input. */
        if (ends_here && cr == feed) {
            *state = DOT_TEXT;
            return input.len;
        }
        /* The CR is the last octet: what follows it comes with the next input. */
        if (ends_here && cr + 1 == feed) {
            *state = DOT_CR;
            return input.len;
        }
        if (ends_here || cr + 1 != feed) {
            *bare = true;
            return at + cr;
        }
        at += feed + 1;
        if (at == input.len || input.data[at] == '.') {
            *state = DOT_LINE_START;
            return at;
        }
    }
}

/* One stretch of text, copied whole. */
static bool decode_text(struct dot_decoder *decoder, struct span input, struct buf *out,
                        size_t *used)
{
    bool bare = false;
    size_t end = walk_text(input, *used, &decoder->state, &bare);
    /* What stood before a bare octet is copied as well: the caller throws it all away. */
    buf_add(out, span_of(input.data + *used, end - *used));
    *used = end;
    return !bare;
}

/* RFC 5321 §4.5.2: a line of one dot is the end; of any other line that begins with a dot, that dot
 * is dropped, whatever follows it. */
enum dot_result dot_decode(struct dot_decoder *decoder, struct span input, struct buf *out,
                           size_t *used)
{
    *used = 0;
    while (*used < input.len) {
        char octet = input.data[*used];
        switch (decoder->state) {
        case DOT_LINE_START:
            if (octet == '.') {
                decoder->state = DOT_DOT;
                ++*used;
                break;
            }
            /* fall through */
        case DOT_TEXT:
            if (!decode_text(decoder, input, out, used))
                return DOT_BARE;
            break;
        case DOT_CR: /* the CR was copied already */
            if (octet != '\n')
                return DOT_BARE;
            buf_add(out, SPAN("\n"));
            decoder->state = DOT_LINE_START;
            ++*used;
            break;
        case DOT_DOT:
            decoder->state = octet == '\r' ? DOT_DOT_CR : DOT_TEXT;
            *used += octet == '\r';
            break;
        case DOT_DOT_CR:
            if (octet != '\n')
                return DOT_BARE;
            *decoder = (struct dot_decoder){0};
            ++*used;
            return DOT_END;
        }
    }
    return DOT_MORE;
}

/*
 * Octets up to the first place where the wire form differs: a line feed without CR, or the start of
 * a line with a dot. *feed says which of them it was.
 */
static size_t unchanged_run(struct dot_encoder *encoder, struct span input, bool *feed)
{
    size_t at = 0;
    *feed = false;
    while (at < input.len) {
        if (!encoder->in_line && input.data[at] == '.')
            return at;
        size_t line = span_find(span_skip(input, at), '\n');
        at += line;
        if (line > 0) {
            encoder->in_line = true;
            encoder->after_cr = input.data[at - 1] == '\r';
        }
        if (at == input.len)
            return at;
        if (!encoder->after_cr) {
            *feed = true;
            return at;
        }
        at++;
        *encoder = (struct dot_encoder){0};
    }
    return at;
}

/* Runs are copied whole; only line ends and dots are looked at one by one. */
void dot_encode(struct dot_encoder *encoder, struct span input, struct buf *out)
{
    while (input.len > 0) {
        bool feed;
        size_t run = unchanged_run(encoder, input, &feed);
        buf_add(out, span_first(input, run));
        input = span_skip(input, run);
        if (input.len == 0)
            return;
        if (feed) {
            buf_add(out, SPAN("\r\n"));
            *encoder = (struct dot_encoder){0};
        } else {
            buf_add(out, SPAN(".."));
            encoder->in_line = true;
        }
        input = span_skip(input, 1);
    }
}

/* RFC 5321 §4.1.1.4: the line end before the dot belongs to the message. One that is missing is
 * added, half a one is completed. */
void dot_encode_end(struct dot_encoder *encoder, struct buf *out)
{
    if (encoder->in_line)
        buf_add(out, encoder->after_cr ? SPAN("\n") : SPAN("\r\n"));
    buf_add(out, SPAN(".\r\n"));
    *encoder = (struct dot_encoder){0};
}
