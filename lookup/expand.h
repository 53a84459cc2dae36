/*
 * expand - from an address to its final recipients: aliases, mailboxes, routes.
 *
 * Aliases are tried by full address, then by local part; they lead to addresses and local parts, up
 * to alias_depth steps and alias_expansion recipients. An alias that leads to itself means the
 * mailbox of that name. A member that exists nowhere becomes a recipient of the transport "error",
 * so that the others get their mail and the sender is told; an alias of which no member exists is
 * itself an unknown user. Commands, files and includes are refused.
 */
#ifndef VEREDUS_LOOKUP_EXPAND_H
#define VEREDUS_LOOKUP_EXPAND_H

#include "util/conf/conf.h"
#include "util/ipc/messages.h"
#include "util/mail/address.h"
#include "util/table/table.h"

/* Where an expansion looks. All are borrowed, and must outlive it. */
struct expand_tables {
    const struct conf *conf;
    struct table *users;   /* "user@domain" -> mailbox beneath the mail root; empty: domain/user */
    struct table *aliases; /* "name" or "user@domain" -> members, separated by commas */
};

/* One mailbox or one place elsewhere: no alias leads on from here. */
struct final_recipient {
    struct span address; /* as address_text gives it */
    struct span transport, nexthop;
};

/* All final recipients of one address, each of them once, or why there are none. */
struct expansion {
    enum resolve_status status;
    struct final_recipient *recipients; /* in the arena; only with RESOLVE_OK */
    size_t count;
};

/* Expands the address; `trusted` allows domains that are neither ours nor relayed. Everything in
 * the expansion lives in `arena` or in the configuration. */
struct expansion expand_address(const struct expand_tables *tables, struct arena *arena,
                                const struct address *address, bool trusted);

/* Where the mailbox of `user` ("alice@example.test") lies: RESOLVE_OK with *path,
 * RESOLVE_UNKNOWN_USER or RESOLVE_TEMPORARY. */
enum resolve_status expand_mailbox(const struct expand_tables *tables, struct arena *arena,
                                   struct span user, struct span *path)
    __attribute__((warn_unused_result));

#endif
