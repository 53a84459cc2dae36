/*
 * files - text files read and replaced as a whole.
 */
#ifndef VEREDUS_CTL_FILES_H
#define VEREDUS_CTL_FILES_H

#include "util/base/buf.h"

enum { FILES_TEXT_MAX = 256 << 20 }; /* octets of a text; a larger one is refused with EFBIG */

/* Appends the file to `text`. False with errno. */
bool files_read(const char *path, struct buf *text) __attribute__((warn_unused_result));

/* Replaces the file, or makes it, in one step: whoever reads it sees the old or the new. A
 * temporary file beside it, fsync(2), rename(2), fsync of the directory. It gets mode `mode`, and
 * keeps its owner when root replaces it. False with errno; the old file stays then. */
bool files_replace(const char *path, struct span text, unsigned mode)
    __attribute__((warn_unused_result));

/* Gives `path` the owner of `model`, when root does it; both must exist. False with errno. */
bool files_same_owner(const char *path, const char *model) __attribute__((warn_unused_result));

/* Makes a directory of mode 0700; one that is there already is fine. False with errno. */
bool files_make_directory(const char *path) __attribute__((warn_unused_result));

#endif
