/*
 * What libConfuse can not read as people write it is rewritten here, and the lines stay where they
 * are.
 *
 * libConfuse loses count of the lines when it skips comments (3.3 counts the end of a comment
 * twice), and a complaint that names the wrong line is worse than none. So comments become blanks
 * before it sees them; the line feeds stay.
 *
 * A section of libConfuse has a title always or never, and two of one title are one section. `tls`
 * is written with a name and without, and twice with the same one for two kinds of keys; so its
 * name becomes a setting within its braces.
 */
#include "util/conf/reader.h"

#include "util/base/buf.h"

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

/* ---- tls "NAME" { ... } ---- */

static bool is_blank(char octet)
{
    return strchr(" \t\r\n", octet) != NULL;
}

/* Blanks at the front. */
static size_t blanks(struct span text)
{
    size_t count = 0;
    while (count < text.len && is_blank(text.data[count]))
        count++;
    return count;
}

/* A word at the front, its quotes included; 0: there is none. */
static size_t word(struct span text)
{
    struct scan scan = {PLAIN, '\0'};
    size_t at = 0;
    while (at < text.len && (scan.place == QUOTED ||
                             (!is_blank(text.data[at]) && !strchr("={}(),+", text.data[at]))))
        at += scan_step(&scan, span_skip(text, at));
    return at;
}

/* The octets of `tls "NAME" {` at the front of `text`, which begins a word; 0 for anything else.
 * *name is the name with its quotes. */
static size_t tls_opening(struct span text, struct span *name)
{
    if (word(text) != 3 || !begins(text, "tls"))
        return 0;
    size_t at = 3 + blanks(span_skip(text, 3));
    size_t size = word(span_skip(text, at));
    *name = span_first(span_skip(text, at), size);
    at += size;
    at += blanks(span_skip(text, at));
    return size > 0 && at < text.len && text.data[at] == '{' ? at + 1 : 0;
}

/* What stood between stays, but for the name: the line feeds among it count. */
static void rewrite(struct span opening, struct span name, struct buf *out)
{
    buf_add(out, span_first(opening, (size_t)(name.data - opening.data)));
    buf_add(out, span_skip(opening, (size_t)(name.data + name.len - opening.data)));
    buf_add(out, SPAN(" server_name = "));
    buf_add(out, name);
    buf_add(out, SPAN(" "));
}

/* Word by word, so that neither quotes nor longer names are taken for an opening. */
struct span without_tls_titles(struct arena *arena, struct span text)
{
    struct buf out = {0};
    struct span name;
    for (size_t at = 0, count; at < text.len; at += count) {
        struct span rest = span_skip(text, at);
        count = tls_opening(rest, &name);
        if (count > 0) {
            rewrite(span_first(rest, count), name, &out);
            continue;
        }
        count = word(rest);
        if (count == 0)
            count = 1;
        buf_add(&out, span_first(rest, count));
    }
    struct span written = arena_copy(arena, buf_span(&out));
    buf_free(&out);
    return written;
}
