/*
 * Every octet of a message passes here, and few of them end a line: so the ends are looked for with
 * memchr(3), stretch by stretch, and only what stands around them is compared.
 */
#include "util/mail/line_ends.h"

/* A line of its own may hold no CR but the last octet; `before` is what stood before it. */
static bool line_is_paired(struct span line, char before)
{
    char last = line.len > 0 ? line.data[line.len - 1] : before;
    struct span text = span_first(line, line.len > 0 ? line.len - 1 : 0);
    return last == '\r' && span_find(text, '\r') == text.len;
}

/* A CR at the end of the octets may have its LF in the next ones; any other stands alone. */
static bool rest_is_paired(struct span rest)
{
    return span_find(rest, '\r') + 1 >= rest.len;
}

/* RFC 5321 §2.3.8: CR and LF only as CR LF. */
bool line_ends_add(struct line_ends *ends, struct span octets)
{
    if (octets.len == 0)
        return true;
    bool half = ends->last == '\r';
    char before = ends->last;
    ends->last = octets.data[octets.len - 1];
    ends->any = true;
    if (half && octets.data[0] != '\n')
        return false;
    for (size_t feed = span_find(octets, '\n'); feed < octets.len; feed = span_find(octets, '\n')) {
        if (!line_is_paired(span_first(octets, feed), before))
            return false;
        octets = span_skip(octets, feed + 1);
        before = '\n';
    }
    return rest_is_paired(octets);
}

/* RFC 3030 §4.2 shows chunks that end amid a line; the last one may, too, where DATA could not. */
bool line_ends_complete(const struct line_ends *ends, struct span *missing)
{
    bool whole = !ends->any || ends->last == '\n';
    *missing = whole ? SPAN("") : SPAN("\r\n");
    return ends->last != '\r';
}
