/*
 * tables - the five tables of an instance: their names, their modes, how they are changed.
 */
#ifndef VEREDUS_CTL_TABLES_H
#define VEREDUS_CTL_TABLES_H

#include <sys/stat.h>

#include "ctl/ctl.h"
#include "util/base/buf.h"
#include "util/table/table.h"

/* Indexes of tables_rows; TABLES is their number and stands for "none". */
enum tables_id { TABLE_USERS, TABLE_ALIASES, TABLE_SENDERS, TABLE_ACCESS, TABLE_PASSWORDS, TABLES };

/* What never changes about a table. */
struct tables_row {
    const char *name;
    unsigned mode;                   /* of the text and of what is compiled from it */
    const char *opening;             /* the comment that a new text begins with */
    const struct table_rules *rules; /* what an entry has to be; NULL: anything */
};

extern const struct tables_row tables_rows[TABLES];

/* The table called `name`; TABLES when there is none. */
enum tables_id tables_named(const char *name);

/* The path of its text beneath `directory`, in ctl's arena. */
const char *tables_path(struct ctl *ctl, struct span directory, enum tables_id id);

/* Locks the tables of `directory` against other writers, until the descriptor is closed; waits for
 * its turn. -1 after a message. */
int tables_lock(struct ctl *ctl, struct span directory) __attribute__((warn_unused_result));

/* Appends the text of the table to `text`; for a table of which nothing exists yet, the comment
 * that a new one begins with. False after a message. */
bool tables_read(struct ctl *ctl, struct span directory, enum tables_id id, struct buf *text)
    __attribute__((warn_unused_result));

/* Makes every table that does not exist yet, without entries; the caller holds the lock. False
 * after a message. */
bool tables_make_missing(struct ctl *ctl, struct span directory)
    __attribute__((warn_unused_result));

/* Writes and compiles the text; the caller holds the lock. When the server changes users, passwords
 * go to auth's. False after a message. */
bool tables_write(struct ctl *ctl, struct span directory, enum tables_id id, struct span text)
    __attribute__((warn_unused_result));

/* Compiles the text that is there, for the same owner; the caller holds the lock. False after a
 * message. */
bool tables_compile(struct ctl *ctl, struct span directory, enum tables_id id)
    __attribute__((warn_unused_result));

/* True when `a` was written after `b`. */
bool tables_is_newer(const struct stat *a, const struct stat *b);

/* Compiles every table whose text was changed since, under the lock, which is taken only for that.
 * False after a message; the others are compiled all the same. */
bool tables_refresh(struct ctl *ctl, struct span directory) __attribute__((warn_unused_result));

#endif
