/*
 * Headers come from strangers: half a million fields, ten megabytes without an empty line, a first
 * line that continues nothing. Everything here goes forward only, a line at a time, and stops where
 * it was told to.
 */
#include "util/mail/header.h"

/* The first line of `rest`, without its end; *with_end counts the end too. */
static struct span first_line(struct span rest, size_t *with_end)
{
    size_t feed = span_find(rest, '\n');
    *with_end = feed < rest.len ? feed + 1 : feed;
    struct span line = span_first(rest, feed);
    if (span_has_suffix(line, SPAN("\r")))
        line.len--;
    return line;
}

/* WSP, with which a folded line goes on (RFC 5322 §2.2.3). */
static bool begins_with_blank(struct span s)
{
    return s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t');
}

/* field-name, RFC 5322 §2.2, with the blanks before the colon that §4.5 knows. */
static bool name_of(struct span line, struct span *name)
{
    size_t colon = span_find(line, ':');
    if (colon == line.len || begins_with_blank(line))
        return false;
    *name = span_trim(span_first(line, colon));
    for (size_t i = 0; i < name->len; i++)
        /* ftext of RFC 5322 §3.6.8: printable, without the colon; signed char makes octets
         * above 127 fail as well. */
        if (name->data[i] < 33 || name->data[i] > 126)
            return false;
    return name->len > 0;
}

/* The empty line belongs to the header block; the body begins behind it (RFC 5322 §2.1). */
size_t header_end(struct span message)
{
    struct span rest = message;
    while (rest.len > 0) {
        size_t used;
        struct span line = first_line(rest, &used);
        rest = span_skip(rest, used);
        if (line.len == 0)
            return message.len - rest.len;
    }
    return message.len;
}

/* The prefix first: of half a million lines few need their name parsed. */
static bool is_received(struct span line)
{
    struct span name;
    return span_has_prefix_nocase(line, SPAN("received")) && name_of(line, &name) &&
           span_equal_nocase(name, SPAN("received"));
}

/* Lines that are no field do not end the block here: hops are counted to break loops, and a line
 * of nonsense must not hide them. */
struct header_facts header_scan(struct span message, size_t most)
{
    struct span rest = span_first(message, most);
    struct header_facts facts = {.size = rest.len};
    while (rest.len > 0) {
        size_t used;
        struct span line = first_line(rest, &used);
        facts.received += is_received(line);
        rest = span_skip(rest, used);
        if (line.len == 0) {
            facts.size -= rest.len;
            break;
        }
    }
    return facts;
}
