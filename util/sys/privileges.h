/*
 * privileges - root, for as long as it is needed and not longer.
 */
#ifndef VEREDUS_SYS_PRIVILEGES_H
#define VEREDUS_SYS_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

struct privileges {
    uid_t uid;
    gid_t gid;
};

/* Looks `user` up (getpwnam); false when there is none. */
bool privileges_of(const char *user, struct privileges *out) __attribute__((warn_unused_result));

/* What access(2) with `mode` says of `path` to that user, who is in the user's own group alone: 0
 * or an errno. A child process becomes the user to find out, so the answer knows of ACLs and
 * mounts, too. Who is not root can become nobody else: the answer is the caller's own. */
int privileges_access(const struct privileges *as, const char *path, int mode)
    __attribute__((warn_unused_result));

/* Gives up root for good: groups, gid, uid, all three of each, and proves that they can not be had
 * back. Without root only no_new_privs is set. Failure is fatal. */
void privileges_drop(const struct privileges *to);

/* Stays who it is, without anything that a plain user could not do: all capabilities are given up
 * (what root has of them), no_new_privs is set. Failure is fatal. */
void privileges_keep_user(void);

#endif
