/*
 * The search for the end of a command never looks past `most` octets but to swallow: a client that
 * sends a gigabyte without a line feed costs one pass over what it sends, and no memory.
 */
#include "util/mail/line.h"

/* Of a line that is too long: up to its end when that is here, else everything. */
static size_t to_swallow(struct span input)
{
    size_t feed = span_find(input, '\n');
    return feed < input.len ? feed + 1 : input.len;
}

/* The limit counts the end of the line (RFC 5321 §4.5.3.1.4). *line points into `input`. */
enum line_result line_cut(struct span input, size_t most, struct span *line, size_t *used)
{
    struct span looked_at = span_first(input, most);
    size_t feed = span_find(looked_at, '\n');
    if (feed == looked_at.len) {
        if (input.len < most) {
            *used = 0;
            return LINE_MORE;
        }
        *used = to_swallow(input);
        return LINE_TOO_LONG;
    }
    *used = feed + 1;
    *line = span_first(looked_at, feed);
    if (span_has_suffix(*line, SPAN("\r")))
        line->len--;
    return LINE_OK;
}
