/*
 * value - a setting's value as text and as a field of the configuration; for util/conf alone.
 */
#ifndef VEREDUS_CONF_VALUE_H
#define VEREDUS_CONF_VALUE_H

#include <stdio.h>

#include "util/base/arena.h"
#include "util/conf/settings.h"

/* Where the memory comes from, and what relative paths are relative to (no slash at its end). */
struct value_place {
    struct arena *arena;
    struct span directory;
};

enum { VALUE_EXPECTED_MAX = 160 };

/* Reads `text` into the field of `row` in the struct `base`; a list gets one item more. Returns
 * false when it is no such value, or out of range; the field is as it was then. */
bool value_read(const struct setting *row, struct span text, void *base,
                const struct value_place *place) __attribute__((warn_unused_result));

/* What would be right for the setting: "a number from 1 to 100". */
const char *value_expected(const struct setting *row, char out[VALUE_EXPECTED_MAX]);

/* Prints the field of `row` in `base` as it would be written in the file. */
void value_print(const struct setting *row, const void *base, FILE *out);

/* Room for one item more in an array of `count` items that lives in an arena; the array may move.
 */
void *value_grown(struct arena *arena, void *items, size_t count, size_t size);

/* The name of a kind for the reference: "size", "list of domains". */
const char *value_kind_name(enum setting_kind kind);

/* True when a setting takes several values, and "+=" adds to them. */
bool value_is_list(const struct setting *row);

#endif
