/*
 * libConfuse loses count of the lines when it skips comments (3.3 counts the end of a comment
 * twice), and a complaint that names the wrong line is worse than none. So comments become blanks
 * before it sees them; the line feeds stay.
 */
#include "util/conf/reader.h"

/* Where the scanner stands; from COMMENT_LINE on, what it reads becomes blanks. */
enum place { PLAIN, QUOTED, COMMENT_LINE, COMMENT_BLOCK };

/* All that the scanner remembers between two octets. */
struct scan {
    enum place place;
    char quote; /* that closes what is quoted */
};

/* True when the rest begins with `mark`. */
static bool begins(struct span rest, const char *mark)
{
    return span_has_prefix(rest, span_cstr(mark));
}

/* Outside of quotes and comments; returns how many octets were looked at. */
static size_t scan_plain(struct scan *scan, struct span rest)
{
    if (rest.data[0] == '#' || begins(rest, "//"))
        scan->place = COMMENT_LINE;
    else if (begins(rest, "/*"))
        scan->place = COMMENT_BLOCK;
    else if (rest.data[0] == '"' || rest.data[0] == '\'')
        *scan = (struct scan){QUOTED, rest.data[0]};
    return scan->place == COMMENT_BLOCK ? 2 : 1;
}

/* One step from any place. A backslash in quotes takes the next octet with it, so that an escaped
 * quote does not end them. */
static size_t scan_step(struct scan *scan, struct span rest)
{
    switch (scan->place) {
    case PLAIN:
        return scan_plain(scan, rest);
    case QUOTED:
        if (rest.data[0] == scan->quote)
            scan->place = PLAIN;
        return rest.data[0] == '\\' && rest.len > 1 ? 2 : 1;
    case COMMENT_LINE:
        if (rest.data[0] == '\n')
            scan->place = PLAIN;
        return 1;
    case COMMENT_BLOCK:
        if (!begins(rest, "*/"))
            return 1;
        scan->place = PLAIN;
        return 2;
    }
    return 1;
}

/* Octet for octet: every line and column stays where it was, so complaints need no translation. */
struct span without_comments(struct arena *arena, struct span text)
{
    struct scan scan = {PLAIN, '\0'};
    char *out = arena_alloc(arena, text.len + 1);
    for (size_t at = 0, count; at < text.len; at += count) {
        bool was_comment = scan.place >= COMMENT_LINE;
        count = scan_step(&scan, span_skip(text, at));
        for (size_t i = at; i < at + count; i++) {
            bool blank = (was_comment || scan.place >= COMMENT_LINE) && text.data[i] != '\n';
            out[i] = blank ? ' ' : text.data[i];
        }
    }
    /* An unfinished comment stays one, to be complained about. */
    return scan.place == COMMENT_BLOCK ? text : span_of(out, text.len);
}
