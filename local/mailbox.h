/*
 * mailbox - one user's mailbox as pop3d needs it: lock, list, messages, deletions.
 *
 * The lock is flock(2) on a file of the mailbox, held by an open file description that travels to
 * pop3d and back: it lives as long as the session. Nothing is remembered between two calls; a
 * message is named as the list names it, "new/<file>" or "cur/<file>", and found again when another
 * program has moved it or changed its flags meanwhile.
 */
#ifndef VEREDUS_LOCAL_MAILBOX_H
#define VEREDUS_LOCAL_MAILBOX_H

#include "local/mailbox_list.h"
#include "local/maildir.h"
#include "util/ipc/messages.h"

/* Takes the lock: MAILBOX_OK and its descriptor in *lock, MAILBOX_IN_USE, MAILBOX_DENIED (what
 * lies there is no file of ours) or MAILBOX_TEMPORARY. */
enum mailbox_status mailbox_lock(const struct maildir *maildir, int *lock)
    __attribute__((warn_unused_result));

/* True when `lock` is the open file description that holds this mailbox's lock. */
bool mailbox_is_locked_by(const struct maildir *maildir, int lock)
    __attribute__((warn_unused_result));

/* Lists new/ and cur/ by arrival, then name: regular files, each unique name once; foreign ones
 * only when their names state a size. Returns a sealed memfd (mailbox_list.h) and the number of
 * messages, or -1 with errno. */
int mailbox_scan(const struct maildir *maildir, uint32_t *count)
    __attribute__((warn_unused_result));

/* What one request is about: `names`, each with a NUL behind it. The caller sets the first two; the
 * rest tells of the messages that another program has moved, for which both folders are read once a
 * request, and ends with it. */
struct mailbox_request {
    const struct maildir *maildir;
    struct span names;
    bool searched;
    int error; /* of the search: errno */
    struct moved *moved;
    struct arena arena;
};

/* Forgets what was found. */
void mailbox_request_end(struct mailbox_request *request);

/* Opens one of its messages for reading: the descriptor, or -1 when there is none of that name that
 * is a regular file of this process's user. */
int mailbox_open_message(struct mailbox_request *request, struct span name)
    __attribute__((warn_unused_result));

/* Removes all of its messages, and syncs the directories. *gone
 * counts what is not there any more. MAILBOX_OK: all of them; MAILBOX_PARTIAL: some remained, or it
 * is not certain that the removal will last. */
enum mailbox_status mailbox_delete(struct mailbox_request *request, uint32_t *gone)
    __attribute__((warn_unused_result));

#endif
