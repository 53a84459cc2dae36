/*
 * The text that people edit. One entry is one logical line: a line that begins with a blank goes on
 * with the entry before it, as in a header field (and in every aliases file since 1980), so long
 * lists can be broken. Comments and empty lines may stand anywhere, also inside an entry.
 */
#include "util/table/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "util/base/buf.h"
#include "util/base/log.h"

enum { ENTRY_MAX = 1 << 20, PART_MAX = 4096 };

/* One pass over one text. */
struct text_reader {
    FILE *in;
    struct buf line;  /* the line at hand */
    struct buf entry; /* the lines of the entry, joined */
    unsigned line_number, entry_line;
    table_entry *call;
    void *arg;
};

/* One part of a line, octet by octet: a NUL must come through, to be refused. *ended: with its end.
 */
static struct span read_part(FILE *in, char part[PART_MAX], bool *ended)
{
    size_t len = 0;
    int octet = 0;
    while (len < PART_MAX && (octet = getc_unlocked(in)) != EOF && octet != '\n')
        part[len++] = (char)octet;
    *ended = octet == '\n' || octet == EOF;
    return span_of(part, len);
}

/* Reads one line of any length up to ENTRY_MAX, without its end. */
static bool read_line(struct text_reader *reader, bool *too_long)
{
    char part[PART_MAX];
    bool ended = false;
    buf_reset(&reader->line);
    *too_long = false;
    while (!ended && !*too_long)
        *too_long = !buf_append(&reader->line, read_part(reader->in, part, &ended));
    reader->line_number++;
    return buf_len(&reader->line) > 0 || !feof(reader->in);
}

/* Control characters but HTAB have no place in a table; a CR at the end of a line is forgiven. */
static bool line_is_clean(struct span line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char octet = (unsigned char)line.data[i];
        if ((octet < 0x20 && octet != '\t') || octet == 0x7f)
            return false;
    }
    return true;
}

/* Hands the entry over: the key in lower case, without the ':' that may end it. */
static bool finish_entry(struct text_reader *reader)
{
    struct span entry = buf_span(&reader->entry);
    if (entry.len == 0)
        return true;
    char *text = (char *)(uintptr_t)entry.data;
    size_t end = 0;
    while (end < entry.len && text[end] != ' ' && text[end] != '\t') {
        text[end] = (char)tolower((unsigned char)text[end]);
        end++;
    }
    struct span key = span_first(entry, end), value = span_trim(span_skip(entry, end));
    if (span_has_suffix(key, SPAN(":")))
        key.len--;
    /* A key that is empty, or a lone ':', is no entry. */
    bool good = key.len > 0 && reader->call(reader->arg, key, value, reader->entry_line);
    buf_reset(&reader->entry);
    return good;
}

/* Takes one line in; false when it, or the entry that it ends, is bad. */
static bool take_line(struct text_reader *reader, unsigned *bad_line)
{
    struct span line = buf_span(&reader->line), trimmed;
    if (span_has_suffix(line, SPAN("\r")))
        line.len--;
    trimmed = span_trim(line);
    *bad_line = reader->line_number;
    if (!line_is_clean(line))
        return false;
    if (trimmed.len == 0 || trimmed.data[0] == '#')
        return true;
    if (line.data[0] == ' ' || line.data[0] == '\t')
        return buf_len(&reader->entry) > 0 && buf_append(&reader->entry, SPAN(" ")) &&
               buf_append(&reader->entry, trimmed);
    *bad_line = reader->entry_line;
    if (!finish_entry(reader))
        return false;
    reader->entry_line = reader->line_number;
    *bad_line = reader->line_number;
    return buf_append(&reader->entry, trimmed);
}

/* All lines; the last entry is ended by the end of the file. */
static bool read_entries(struct text_reader *reader, unsigned *bad_line)
{
    bool too_long = false;
    while (read_line(reader, &too_long)) {
        *bad_line = reader->line_number;
        if (too_long || !take_line(reader, bad_line))
            return false;
    }
    *bad_line = reader->entry_line;
    return ferror(reader->in) || finish_entry(reader);
}

/* A text that could not be read to its end is an error, even when the entry was found to be
 * good so far: what is missing may be anything. */
bool table_read_text(const char *path, table_entry *entry, void *arg, unsigned *line)
{
    struct text_reader reader = {.call = entry, .arg = arg, .in = fopen(path, "re")};
    *line = 0;
    if (!reader.in)
        return false;
    reader.line.limit = reader.entry.limit = ENTRY_MAX;
    bool good = read_entries(&reader, line);
    int error = ferror(reader.in) ? EIO : 0;
    fclose(reader.in);
    buf_free(&reader.line);
    buf_free(&reader.entry);
    errno = error;
    return good && error == 0;
}

/* ---- the driver ---- */

/* Nothing is kept between lookups, so nothing can be stale. */
struct text_table {
    struct arena arena;
    struct span path;
};

/* What is looked for, and what was found. */
struct text_search {
    struct arena *arena;
    struct span key, value;
    bool found;
};

/* Stops at the first match. */
static bool compare_entry(void *arg, struct span key, struct span value, unsigned line)
{
    struct text_search *search = arg;
    (void)line;
    if (!span_equal(key, search->key))
        return true;
    search->value = arena_copy(search->arena, value);
    search->found = true;
    return false;
}

/* Reads nothing yet: the text is opened at each lookup. */
void *text_open(const char *path)
{
    struct text_table *table = mem_new(sizeof *table);
    table->path = arena_copy(&table->arena, span_cstr(path));
    return table;
}

/* Stopping at a match looks like a bad line to table_read_text; `found` tells the two apart. */
enum table_result text_get(void *handle, struct arena *arena, struct span key, struct span *value)
{
    struct text_table *table = handle;
    struct text_search search = {.arena = arena, .key = key};
    unsigned line = 0;
    bool whole = table_read_text(table->path.data, compare_entry, &search, &line);
    if (search.found) {
        *value = search.value;
        return TABLE_FOUND;
    }
    if (whole)
        return TABLE_NOT_FOUND;
    log_event(LOG_ERROR, "table-failed", LOG_SPAN("table", table->path), LOG_UINT("line", line),
              LOG_STR("error", errno ? log_errno_text(errno) : "the line is not an entry"));
    return TABLE_ERROR;
}

/* No descriptor is open between two lookups. */
void text_close(void *handle)
{
    struct text_table *table = handle;
    arena_free(&table->arena);
    mem_free(table);
}
