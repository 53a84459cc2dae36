/*
 * text - a table read from its text at every lookup: for small tables and for tests; for util/table
 * alone.
 */
#ifndef VEREDUS_TABLE_TEXT_H
#define VEREDUS_TABLE_TEXT_H

#include "util/table/table.h"

/* The driver's functions, as struct table_driver wants them. */
void *text_open(const char *path);

/* Reads the whole text up to the match; see table_get. */
enum table_result text_get(void *handle, struct arena *arena, struct span key, struct span *value);

/* Frees the handle; nothing is open between lookups. */
void text_close(void *handle);

#endif
