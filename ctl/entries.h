/*
 * entries - single entries of a table's text, found and changed without touching anything else.
 *
 * An entry is a line that begins with its key, and the lines after it that begin with a blank (its
 * continuation). Comments, empty lines and other entries stay as they are, octet by octet. A key
 * may end with ':', which is not part of it; keys are compared without case.
 */
#ifndef VEREDUS_CTL_ENTRIES_H
#define VEREDUS_CTL_ENTRIES_H

#include "util/base/buf.h"

/* True when the text has an entry of `key`. */
bool entries_has(struct span text, struct span key);

/* Appends to `out` the text with the entry "key value" in place of the first one of that key, or at
 * the end when there was none. Neither may hold a line feed; an empty value is none. */
void entries_set(struct span text, struct span key, struct span value, struct buf *out);

/* Appends to `out` the text without the entries of `key`. */
void entries_remove(struct span text, struct span key, struct buf *out);

#endif
