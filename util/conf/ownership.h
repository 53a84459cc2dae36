/*
 * ownership - to whom the directories and tables of an installation belong, when each kind of
 * process runs as its own user (conf_changes_users).
 *
 * One list, by which master makes directories and refuses to start, and by which `veredus check`
 * reports. Everything that is wrong is said at once: what, with which file, and the command that
 * mends it.
 */
#ifndef VEREDUS_CONF_OWNERSHIP_H
#define VEREDUS_CONF_OWNERSHIP_H

#include <sys/types.h>

#include "util/conf/conf.h"

enum { OWNERSHIP_MAX = 24 /* rows of a list */ };

/* A directory or file as it has to be. */
struct ownership {
    struct span path;  /* NUL-terminated */
    struct span owner; /* the name of its user; empty: whoever maintains it */
    struct span user;  /* which role's user has to get at it; empty: root alone does */
    int need;          /* what that user does with it: R_OK, W_OK, X_OK of access(2) */
    mode_t mode;       /* what it is made with */
    mode_t closed;     /* bits of the mode that must not be set */
    bool made;         /* by master, when it is missing */
};

/* Writes the rows for `conf`, parents before what lies in them; their paths live in `arena`, the
 * rest in `conf`. Returns how many. */
size_t ownership_list(const struct conf *conf, struct arena *arena,
                      struct ownership out[OWNERSHIP_MAX]);

/* Looks for the system users that `conf` names. Returns how many are missing or root, each after a
 * complaint; 0 when no process changes its user. */
unsigned ownership_check_users(const struct conf *conf, conf_complain *complain, void *arg)
    __attribute__((warn_unused_result));

/* Looks at every row: owner, mode, and whether the user gets there. Returns the number of problems,
 * each after a complaint. What is missing, and users that are, count as none here; 0 when no
 * process changes its user. */
unsigned ownership_check(const struct conf *conf, conf_complain *complain, void *arg)
    __attribute__((warn_unused_result));

#endif
