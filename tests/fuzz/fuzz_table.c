/*
 * A table's text: each entry has a clean key and value, in the order of the lines, and what was
 * read is found. An octet that has no place in a table is never read past in silence.
 */
#include <errno.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"
#include "util/table/table.h"

enum { KEYS = 16 };

struct reading {
    struct arena arena;
    struct span keys[KEYS], values[KEYS];
    size_t count;
    unsigned line;
};

static bool is_clean(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.data[i] < ' ' && s.data[i] != '\t') || s.data[i] == 0x7f)
            return false;
    return true;
}

static bool on_entry(void *arg, struct span key, struct span value, unsigned line)
{
    struct reading *reading = arg;
    require(key.len > 0 && is_clean(key) && is_clean(value));
    require(span_equal(value, span_trim(value)) && span_equal(key, span_trim(key)));
    require(line > reading->line);
    reading->line = line;
    if (reading->count < KEYS) {
        reading->keys[reading->count] = arena_copy(&reading->arena, key);
        reading->values[reading->count++] = arena_copy(&reading->arena, value);
    }
    return true;
}

/* The first entry of a key is the one that is found. */
static void check_lookups(struct reading *reading, const char *path)
{
    struct table *table = table_open("text", path);
    require(table != NULL);
    for (size_t i = 0; i < reading->count; i++) {
        struct span value;
        size_t first = 0;
        while (!span_equal(reading->keys[first], reading->keys[i]))
            first++;
        require(table_get(table, &reading->arena, reading->keys[i], &value) == TABLE_FOUND);
        require(span_equal(value, reading->values[first]));
    }
    table_close(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct reading reading = {0};
    char path[64];
    unsigned line = 0;
    int fd = fuzz_file(text, 0);
    require(snprintf(path, sizeof(path), "/proc/self/fd/%d", fd) < (int)sizeof(path));

    bool whole = table_read_text(path, on_entry, &reading, &line);
    if (whole) {
        require(span_find(text, '\0') == text.len);
        check_lookups(&reading, path);
    } else {
        require(errno == 0);
    }
    arena_free(&reading.arena);
    (void)close(fd);
    return 0;
}
