/*
 * mailbox_list - the list of a mailbox, handed from local to pop3d in a sealed memfd.
 *
 * One writer (local, mailbox_list_seal) and one reader (pop3d): numbers are in the order of arrival
 * and never change in a session, whatever happens to the mailbox meanwhile. The reader maps the
 * memfd (its seals rule out SIGBUS) and trusts nothing in it: every place is checked. Numbers are
 * in the machine's own form, since the list never leaves the machine.
 *
 *     head:   magic u64, count u32, size of all u32, total octets u64
 *     table:  count times {octets u64, place and length of uidl, place and length of name, u32
 * each} texts:  each name with a NUL behind it; a uidl that is no part of its name
 */
#ifndef VEREDUS_LOCAL_MAILBOX_LIST_H
#define VEREDUS_LOCAL_MAILBOX_LIST_H

#include "util/base/span.h"

struct mailbox_entry {
    uint64_t octets;  /* of the message in wire form, CRLF line ends (RFC 1939 §11) */
    struct span uidl; /* 1 to 70 octets 0x21-0x7E (RFC 1939 §7) */
    struct span name; /* "new/<file>": what mailbox_fetch wants; a NUL follows */
};

struct mailbox_list {
    const char *data; /* the mapping; NULL: not open */
    size_t size;
    uint32_t count;
    uint64_t octets; /* of all messages */
};

/* Puts the entries into a new sealed memfd. Returns the descriptor, or -1 with errno (EFBIG: more
 * than 4 GiB of names). */
int mailbox_list_seal(const struct mailbox_entry *entries, size_t count)
    __attribute__((warn_unused_result));

/* Maps the list; `fd` stays the caller's and may be closed at once. False: not a sealed list. */
bool mailbox_list_open(struct mailbox_list *list, int fd) __attribute__((warn_unused_result));

/* The entry `index` (0 .. count - 1); its spans live until mailbox_list_close. False: no such
 * entry, or it points out of the list. */
bool mailbox_list_entry(const struct mailbox_list *list, uint32_t index,
                        struct mailbox_entry *entry) __attribute__((warn_unused_result));

/* Unmaps; fine on a list that is not open. */
void mailbox_list_close(struct mailbox_list *list);

#endif
