/*
 * table_rig - real tables in a directory of their own, and a configuration that names it.
 */
#ifndef VEREDUS_TESTS_TABLE_RIG_H
#define VEREDUS_TESTS_TABLE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/conf/conf.h"
#include "util/table/table.h"

struct table_rig {
    char directory[40];
    char text[1024]; /* of the configuration */
};

/* Makes the directory, readable for everybody; hostname mx.example.test, domains example.test and
 * second.test, followed by `more`. */
void table_rig_begin(struct table_rig *rig, const char *more);

/* Removes it with all that lies there. */
void table_rig_end(struct table_rig *rig);

/* The configuration; the caller frees it. */
struct conf *table_rig_conf(const struct table_rig *rig);

/* Writes the table NAME and compiles it, over one that is there. */
void table_rig_write(const struct table_rig *rig, const char *name, const char *text);

/* The same for a table with rules of its own. */
void table_rig_write_with(const struct table_rig *rig, const char *name, const char *text,
                          const struct table_rules *rules);

/* What may have happened to a compiled table. */
enum table_damage { DAMAGE_MISSING, DAMAGE_EMPTY, DAMAGE_CUT, DAMAGE_CORRUPT, DAMAGE_COUNT };
void table_rig_damage(const struct table_rig *rig, const char *name, enum table_damage damage);

/* The path of NAME; valid until the next call. */
const char *table_rig_path(const struct table_rig *rig, const char *name);

#endif
