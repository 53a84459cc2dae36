/*
 * table - lookup tables behind one interface: Berkeley DB built from text, or the text itself.
 *
 * People edit NAME (lines "key value...", '#' comments, continuation lines begin with a blank);
 * table_build compiles it to NAME.db, which is replaced atomically. An open table notices a rebuilt
 * file by itself, at the next lookup. A table that is missing, corrupt or half built is an error to
 * be answered with 451, never "unknown user".
 */
#ifndef VEREDUS_TABLE_TABLE_H
#define VEREDUS_TABLE_TABLE_H

#include "util/base/arena.h"

enum table_result {
    TABLE_FOUND,
    TABLE_NOT_FOUND,
    TABLE_ERROR /* logged; answer temporarily */
};

struct table;

/* What a kind of table can do; one row each in table.c. */
struct table_driver {
    const char *name; /* "db", "text" */
    void *(*open)(const char *path);
    enum table_result (*get)(void *handle, struct arena *arena, struct span key,
                             struct span *value);
    void (*close)(void *handle);
};

/* Prepares the table at `path` (of the text; "PATH.db" for the compiled one); opens it at the first
 * lookup. `driver` is a name of the driver list; NULL when there is none of that name. */
struct table *table_open(const char *driver, const char *path) __attribute__((warn_unused_result));

/* Closes and frees it; NULL is fine. Values that were copied stay with their arena. */
void table_close(struct table *table);

/* Looks `key` up; the value is copied into `arena`. */
enum table_result table_get(struct table *table, struct arena *arena, struct span key,
                            struct span *value) __attribute__((warn_unused_result));

/* Called for each entry of a text; false stops. `line` is where it begins. The key is in lower case
 * and without the ':' that may end it; the value is without blanks at its ends. */
typedef bool table_entry(void *arg, struct span key, struct span value, unsigned line);

/* Reads the text at `path`. False with errno when it can not be read; with errno 0 when `entry`
 * stopped or a line is bad: *line says which. */
bool table_read_text(const char *path, table_entry *entry, void *arg, unsigned *line)
    __attribute__((warn_unused_result));

struct table_problem {
    unsigned line; /* 0: not of a line */
    char text[160];
};

/* Compiles the text at `path` into "PATH.db" with mode `mode`: temporary file, sync, rename, sync
 * of the directory. False with *problem; the old table stays then. Duplicate keys are refused. */
bool table_build(const char *path, unsigned mode, struct table_problem *problem)
    __attribute__((warn_unused_result));

/* An entry on its way into a compiled table. */
struct table_draft {
    struct arena *arena; /* for what takes the place of key and value; gone with the entry */
    struct span key, value;
    unsigned line;
    const char *wrong; /* of an entry that is refused: what would be right */
};

/* What the entries of one kind of table have to be, beyond a key and a value. */
struct table_rules {
    size_t state_size; /* octets, zeroed for each build and handed to both functions */
    /* May change key and value; false with draft->wrong refuses the entry. */
    bool (*check)(void *state, struct table_draft *draft);
    /* Behind the last entry: one more, made of what was seen; false: none. May be NULL. */
    bool (*summary)(void *state, struct table_draft *draft);
};

/* The same by rules: what is looked up later was checked when it was compiled. */
bool table_build_with(const char *path, unsigned mode, const struct table_rules *rules,
                      struct table_problem *problem) __attribute__((warn_unused_result));

#endif
