/*
 * files - text files read and replaced as a whole.
 */
#ifndef VEREDUS_CTL_FILES_H
#define VEREDUS_CTL_FILES_H

#include "util/base/buf.h"
#include "util/sys/privileges.h"

enum { FILES_TEXT_MAX = 256 << 20 }; /* octets of a text; a larger one is refused with EFBIG */

/* Appends the file to `text`. False with errno. */
bool files_read(const char *path, struct buf *text) __attribute__((warn_unused_result));

/* Replaces the file, or makes it, in one step: whoever reads it sees the old or the new. A
 * temporary file beside it, fsync(2), rename(2), fsync of the directory. It gets mode `mode`; when
 * root does it, it goes to `owner`, or with NULL keeps the owner it has. False with errno; the old
 * file stays then. */
bool files_replace(const char *path, struct span text, unsigned mode,
                   const struct privileges *owner) __attribute__((warn_unused_result));

/* Gives `path` itself, never what a link leads to, to `owner`, when root does it; NULL changes
 * nothing. False with errno. */
bool files_give(const char *path, const struct privileges *owner)
    __attribute__((warn_unused_result));

/* Makes a directory of mode 0700; one that is there already is fine. False with errno. */
bool files_make_directory(const char *path) __attribute__((warn_unused_result));

#endif
