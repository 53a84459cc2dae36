/*
 * stale - the remains of deliveries that nobody goes on with: files in tmp/ of a mailbox.
 */
#ifndef VEREDUS_LOCAL_STALE_H
#define VEREDUS_LOCAL_STALE_H

#include "local/maildir.h"

enum {
    STALE_ROWS = 1024,       /* mailboxes remembered as cleaned today */
    STALE_AGE = 36 * 60 * 60 /* seconds after which a file in tmp/ is nobody's (maildir(5)) */
};

/* Which mailboxes were cleaned; zeroed at first. */
struct cleaned {
    struct {
        uint64_t mailbox; /* hash of its path */
        uint64_t day;
    } rows[STALE_ROWS];
};

/* Removes what is stale in the open mailbox `path`, once a day. A failure is logged. */
void stale_clean(struct cleaned *cleaned, struct span path, const struct maildir *maildir);

#endif
