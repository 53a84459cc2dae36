/*
 * directories - the spool, the mail root and the run directory: made when missing, opened safely.
 *
 * Started by root, no component of a path may be a symbolic link: whoever owns a directory on the
 * way could else lead root elsewhere. What exists keeps its owner and mode.
 */
#ifndef VEREDUS_MASTER_DIRECTORIES_H
#define VEREDUS_MASTER_DIRECTORIES_H

#include "util/conf/conf.h"

/* Makes what is missing. False after a complaint. */
bool directories_make(const struct conf *conf, conf_complain *complain, void *arg)
    __attribute__((warn_unused_result));

/* Opens one that exists; -1 with errno. */
int directory_open(const char *path) __attribute__((warn_unused_result));

#endif
