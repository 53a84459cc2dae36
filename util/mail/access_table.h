/*
 * access_table - the table `access`: who may connect, say which name, send, be sent to.
 *
 * One text, a prefix for each kind of key, then what to do:
 *
 *     client:192.0.2.0/24              REJECT We know you
 *     client:2001:db8::/32             OK
 *     client:.example.net              DEFER
 *     helo:friend                      REJECT
 *     sender:.example.biz              550 5.7.1 Not from there
 *     sender:newsletter@example.com    HOLD
 *     recipient:old@example.org        REJECT Has left
 *
 * The most specific key wins: of a client the longest network, then its verified name, then the
 * parents of that; of an address the address, its domain, the parents, "user@" in any domain. OK
 * ends the search and spares the client the tests of that stage; it never allows relaying. HOLD
 * takes the mail and keeps it in the queue. The compiled value begins with the line of the text,
 * for the log.
 */
#ifndef VEREDUS_MAIL_ACCESS_TABLE_H
#define VEREDUS_MAIL_ACCESS_TABLE_H

#include "util/mail/address.h"
#include "util/sys/net.h"
#include "util/table/table.h"

/* In the order in which a session comes by them. */
enum access_kind { ACCESS_CLIENT, ACCESS_HELO, ACCESS_SENDER, ACCESS_RECIPIENT, ACCESS_KINDS };

enum access_action {
    ACCESS_NONE, /* nothing is said */
    ACCESS_OK,
    ACCESS_HOLD,
    ACCESS_REFUSE /* REJECT, DEFER, or a code of one's own */
};

enum { ACCESS_TEXT_MAX = 400 /* octets; a reply has 512 with all else (RFC 5321 §4.5.3.1.5) */ };

/* What the table says. The spans live as long as the value that was read. */
struct access_entry {
    enum access_action action;
    unsigned line;
    uint16_t code;              /* only of ACCESS_REFUSE, like all below */
    struct span enhanced, text; /* never empty, printable ASCII */
};

/* The word of the prefix: "client", "helo", "sender", "recipient". */
const char *access_kind_name(enum access_kind kind);

/* For table_build_with: keys in one form, and values that access_entry_read takes. */
extern const struct table_rules access_rules;

/* Reads a compiled value. False for one that the rules did not make. */
bool access_entry_read(struct span value, struct access_entry *entry)
    __attribute__((warn_unused_result));

/* What is said of a client; `name` is empty unless it is forward-confirmed. Like its two siblings:
 * TABLE_NOT_FOUND leaves ACCESS_NONE in *entry; its spans live in `arena`. */
enum table_result access_find_client(struct table *table, struct arena *arena,
                                     const union net_address *client, struct span name,
                                     struct access_entry *entry)
    __attribute__((warn_unused_result));

/* What is said of the name in HELO, also of one that is no domain. */
enum table_result access_find_helo(struct table *table, struct arena *arena, struct span name,
                                   struct access_entry *entry) __attribute__((warn_unused_result));

/* What is said of a sender or recipient; NULL: the null reverse-path, whose key is "<>". */
enum table_result access_find_address(struct table *table, struct arena *arena,
                                      enum access_kind kind, const struct address *address,
                                      struct access_entry *entry)
    __attribute__((warn_unused_result));

#endif
