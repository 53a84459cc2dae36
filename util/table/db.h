/*
 * db - compiled tables in Berkeley DB; for util/table alone, and the only face that Berkeley DB
 * has.
 */
#ifndef VEREDUS_TABLE_DB_H
#define VEREDUS_TABLE_DB_H

#include "util/table/table.h"

/* The driver's functions, as struct table_driver wants them. `path` is that of the text. */
void *db_open(const char *path);

/* Looks up and copies; see table_get. */
enum table_result db_get(void *handle, struct arena *arena, struct span key, struct span *value);

/* Closes the file and frees the handle. */
void db_close(void *handle);

/* ---- building ---- */

struct db_builder;

/* What became of one entry. */
enum db_put { DB_PUT_OK, DB_PUT_DUPLICATE, DB_PUT_FAILED };

/* Begins "PATH.db" beside the one in force. NULL with errno (or a negative error of Berkeley DB).
 */
struct db_builder *db_build_begin(const char *path, int *error) __attribute__((warn_unused_result));

/* Adds an entry; the key and the value are copied. DB_PUT_FAILED leaves why in *error; the
 * builder is to be aborted then. */
enum db_put db_build_put(struct db_builder *builder, struct span key, struct span value, int *error)
    __attribute__((warn_unused_result));

/* Makes it durable with `mode` and the owner of the text, and puts it in force. Frees the builder.
 * False with an error; the old table stays. */
bool db_build_end(struct db_builder *builder, unsigned mode, int *error)
    __attribute__((warn_unused_result));

/* Drops what was built and frees the builder. */
void db_build_abort(struct db_builder *builder);

/* The text of such an error. */
const char *db_error_text(int error);

#endif
