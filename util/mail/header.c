/*
 * Headers come from strangers: half a million fields, ten megabytes without an empty line, a first
 * line that continues nothing. Everything here goes forward only and stops where it was told to.
 * Hops are counted as the octets come, so that nobody has to hold a header to judge it.
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

/* An octet of a line that began like a Received field; blanks may stand before the colon (RFC 5322
 * §4.5). */
static void match_received(struct header_scan *scan, char octet)
{
    static const char name[] = "received";
    bool named = scan->matched == sizeof(name) - 1;
    if (!named && span_equal_nocase(span_of(&octet, 1), span_of(&name[scan->matched], 1))) {
        scan->matched++;
        return;
    }
    if (named && (octet == ' ' || octet == '\t'))
        return;
    scan->received += named && octet == ':';
    scan->place = HEADER_OTHER;
}

/* Lines that are no field do not end the block here: hops are counted to break loops, and a line
 * of nonsense must not hide them. Only an empty line does. */
static void scan_octet(struct header_scan *scan, char octet)
{
    bool at_start = scan->place == HEADER_START || scan->place == HEADER_START_CR;
    if (octet == '\n') {
        scan->ended = at_start;
        scan->place = HEADER_START;
        scan->matched = 0;
    } else if (octet == '\r') {
        scan->place = scan->place == HEADER_START ? HEADER_START_CR : HEADER_OTHER;
    } else if (scan->place == HEADER_START_CR) {
        scan->place = HEADER_OTHER;
    } else {
        scan->place = HEADER_NAME;
        match_received(scan, octet);
    }
}

/* What is no hop is passed over in one step: of half a million lines few begin like one. */
void header_scan(struct header_scan *scan, struct span piece, size_t most)
{
    struct span rest = span_first(piece, most > scan->size ? most - scan->size : 0);
    size_t whole = rest.len;
    while (rest.len > 0 && !scan->ended) {
        if (scan->place == HEADER_OTHER)
            rest = span_skip(rest, span_find(rest, '\n'));
        if (rest.len == 0)
            break;
        scan_octet(scan, rest.data[0]);
        rest = span_skip(rest, 1);
    }
    scan->size += whole - rest.len;
    scan->ended = scan->ended || scan->size >= most;
}
