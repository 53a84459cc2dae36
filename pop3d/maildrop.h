/*
 * maildrop - the messages of one session: the list, the lock, the marks of DELE (RFC 1939 §5).
 *
 * Messages are numbered from 1 by the client and from 0 here. Numbers, sizes and names are those of
 * the moment of the login, whatever happens to the mailbox meanwhile.
 */
#ifndef VEREDUS_POP3D_MAILDROP_H
#define VEREDUS_POP3D_MAILDROP_H

#include "local/mailbox_list.h"
#include "util/base/buf.h"

struct maildrop {
    struct mailbox_list list;
    int lock;        /* its life is the lock's; -1: none */
    uint8_t *marks;  /* a bit for each message; NULL: none was marked yet */
    uint32_t left;   /* messages without a mark */
    uint64_t octets; /* of those */
    uint32_t last;   /* highest number that RETR was given (RFC 1460) */
};

/* No messages and no lock. */
void maildrop_init(struct maildrop *maildrop);

/* Takes over `lock`, maps `list` and closes it. False when that is no list; the lock is closed
 * then. */
bool maildrop_open(struct maildrop *maildrop, int lock, int list)
    __attribute__((warn_unused_result));

/* Lets other sessions in; fine when not locked. */
void maildrop_unlock(struct maildrop *maildrop);

/* Unmaps, unlocks, forgets; fine when not open. */
void maildrop_close(struct maildrop *maildrop);

/* The message that `number` names; false when there is none or it is marked. */
bool maildrop_find(const struct maildrop *maildrop, struct span number, uint32_t *index)
    __attribute__((warn_unused_result));

/* True when DELE marked the message (RFC 1939 §5). `index` counts from 0, below the count. */
bool maildrop_is_marked(const struct maildrop *maildrop, uint32_t index);

/* Marks a message that is not marked, of so many octets. */
void maildrop_mark(struct maildrop *maildrop, uint32_t index, uint64_t octets);

/* RSET: takes all marks and the memory of `last` back. */
void maildrop_unmark_all(struct maildrop *maildrop);

/* Appends the name of message `index` and a NUL, unless `names` would exceed its limit or the entry
 * is damaged: false. */
bool maildrop_add_name(const struct maildrop *maildrop, uint32_t index, struct buf *names)
    __attribute__((warn_unused_result));

/* Appends the names of marked messages from *index on, as many as the limit of `names` allows, and
 * moves *index behind them. */
void maildrop_add_marked(const struct maildrop *maildrop, uint32_t *index, struct buf *names);

#endif
