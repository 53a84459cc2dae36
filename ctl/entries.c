/*
 * People keep notes in their tables. So an entry is replaced where it stands, and the rest of the
 * text is copied, never written anew from what was understood of it.
 */
#include "ctl/entries.h"

#include "util/base/panic.h"

/* Cuts the first line, with its line feed, off `*rest`. */
static struct span next_line(struct span *rest)
{
    /* A last line without a line feed is a line, too: span_first stops at the end. */
    size_t end = span_find(*rest, '\n');
    struct span line = span_first(*rest, end + 1);
    *rest = span_skip(*rest, line.len);
    return line;
}

/* Lines as table_read_text sees them: a comment or an empty line may stand between an entry and its
 * continuation. */
enum line_kind { LINE_OTHER, LINE_ENTRY, LINE_CONTINUATION };

/* A carriage return counts as blank: texts that were edited elsewhere are read the same. */
static enum line_kind kind_of(struct span line)
{
    size_t start = 0;
    while (start < line.len && strchr(" \t\r\n", line.data[start]))
        start++;
    if (start == line.len || line.data[start] == '#')
        return LINE_OTHER;
    return start > 0 ? LINE_CONTINUATION : LINE_ENTRY;
}

/* The first word, without the ':' that may end it. */
static bool line_has_key(struct span line, struct span key)
{
    size_t end = 0;
    while (end < line.len && !strchr(" \t\r\n", line.data[end]))
        end++;
    /* Both ways of writing an alias name the same key. */
    if (end > 0 && line.data[end - 1] == ':')
        end--;
    return span_equal_nocase(span_first(line, end), key);
}

bool entries_has(struct span text, struct span key)
{
    while (text.len > 0) {
        struct span line = next_line(&text);
        if (kind_of(line) == LINE_ENTRY && line_has_key(line, key))
            return true;
    }
    return false;
}

/* A text whose last line has no end gets one first, else the entry would continue that line. */
static void add_entry(struct buf *out, struct span key, struct span value)
{
    struct span before = buf_span(out);
    if (before.len > 0 && before.data[before.len - 1] != '\n')
        buf_add(out, SPAN("\n"));
    buf_add(out, key);
    if (value.len > 0) {
        buf_add(out, SPAN(" "));
        buf_add(out, value);
    }
    buf_add(out, SPAN("\n"));
}

/* Copies the text; the entries of `key` are left out, or replaced by one with `*value`.
 * True when there was one. */
static bool copy_without(struct span text, struct span key, const struct span *value,
                         struct buf *out)
{
    bool dropping = false, found = false;
    while (text.len > 0) {
        struct span line = next_line(&text);
        enum line_kind kind = kind_of(line);
        /* A continuation shares the fate of its entry; what people wrote between the two stays. */
        if (kind == LINE_ENTRY)
            dropping = line_has_key(line, key);
        if (kind == LINE_OTHER || !dropping)
            buf_add(out, line);
        /* The new entry takes the place of the first old one; further ones of that key are only
         * dropped. */
        else if (!found && value)
            add_entry(out, key, *value);
        found = found || dropping;
    }
    return found;
}

void entries_set(struct span text, struct span key, struct span value, struct buf *out)
{
    /* A line feed would make a second entry of what is meant to be one; callers have checked
     * both. */
    require(span_find(key, '\n') == key.len && span_find(value, '\n') == value.len);
    if (!copy_without(text, key, &value, out))
        add_entry(out, key, value);
}

void entries_remove(struct span text, struct span key, struct buf *out)
{
    (void)copy_without(text, key, NULL, out);
}
