/*
 * directories - the spool, the mail root and the run directory: made when missing, opened safely.
 *
 * Started by root, no component of a path may be a symbolic link: whoever owns a directory on the
 * way could else lead root elsewhere. What exists keeps its owner and mode; when they are not what
 * the roles' users need (util/conf/ownership.h), that is refused and said.
 */
#ifndef VEREDUS_MASTER_DIRECTORIES_H
#define VEREDUS_MASTER_DIRECTORIES_H

#include "util/conf/conf.h"

/* Makes what is missing, and looks at the owners of all that the configuration names. EX_OK, or
 * after complaints the exit code: EX_NOUSER, EX_CANTCREAT, EX_NOPERM. */
int directories_make(const struct conf *conf, conf_complain *complain, void *arg)
    __attribute__((warn_unused_result));

/* Opens one that exists; -1 with errno. */
int directory_open(const char *path) __attribute__((warn_unused_result));

#endif
