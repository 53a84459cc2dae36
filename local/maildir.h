/*
 * maildir - the directories of one mailbox, opened so that nobody can lead us elsewhere.
 *
 * A mailbox is a path beneath the mail root ("example.test/alice"). Each part is opened relative to
 * the one before with openat2(2), beneath, without any symlink; each must be a directory that
 * belongs to this process's user. Missing parts are made (0700) and their parents synced.
 */
#ifndef VEREDUS_LOCAL_MAILDIR_H
#define VEREDUS_LOCAL_MAILDIR_H

#include "util/base/span.h"

#include <sys/types.h>

struct maildir {
    int home; /* the mailbox itself: the lock lies there */
    int tmp;
    int new_mail; /* "new" */
    int cur;
};

enum maildir_result {
    MAILDIR_OK,
    MAILDIR_UNTRUSTED, /* no path of a mailbox, or something in it is no directory of ours */
    MAILDIR_FAILED     /* errno says why */
};

/* A mailbox that is not open: maildir_close is fine with it. */
#define MAILDIR_NONE ((struct maildir){-1, -1, -1, -1})

/* Opens the mailbox beneath the directory `root`, and makes what is missing; a path that is not
 * sound (mailbox_path.h) is untrusted. The caller closes it
 * with maildir_close; nothing is open unless MAILDIR_OK is returned. */
enum maildir_result maildir_open(int root, struct span path, struct maildir *out)
    __attribute__((warn_unused_result));

/* Syncs new and cur of the open mailbox `path`, itself and all directories between it and `root`:
 * behind it a name that is there stays there. 0, or errno. */
int maildir_sync(int root, struct span path, const struct maildir *maildir)
    __attribute__((warn_unused_result));

/* Closes what is open of it; what is not, is -1 and left alone. */
void maildir_close(struct maildir *maildir);

/* Opens `name` (one part) in the directory, never through a symlink: the descriptor, or -1 with
 * errno. `mode` is for O_CREAT. */
int maildir_open_at(int directory, const char *name, int flags, mode_t mode)
    __attribute__((warn_unused_result));

/* Called with each name that does not begin with a dot; `type` as in struct dirent. False ends it.
 */
typedef bool maildir_visit(void *arg, const char *name, unsigned char type);

/* Visits the entries of the directory, in no order: 0, or errno. */
int maildir_each(int directory, maildir_visit *visit, void *arg)
    __attribute__((warn_unused_result));

#endif
