/*
 * senders_table - the table `senders`: the addresses that a login may send from besides its own.
 *
 *     alice@example.test    sales@example.test, @lists.example.test
 *     gateway@example.test  *
 *
 * An item is an address, "@domain" for all addresses of a domain (not of its subdomains), or "*"
 * for any. A login's own address needs no entry; one with a tag (alice+shop@...) is another
 * address, as it is to delivery. Letters are compared without case.
 */
#ifndef VEREDUS_MAIL_SENDERS_TABLE_H
#define VEREDUS_MAIL_SENDERS_TABLE_H

#include "util/mail/address.h"
#include "util/table/table.h"

enum senders_verdict {
    SENDERS_OWN,     /* the login's own address */
    SENDERS_LISTED,  /* by the line that comes with it */
    SENDERS_REFUSED, /* 553 5.7.1; the line is that of the login's entry, 0 without one */
    SENDERS_ERROR    /* 451 4.3.0: the table can not be read */
};

/* For table_build_with. */
extern const struct table_rules senders_rules;

/* May `login` ("alice@example.test", as auth gave it) send from `address`? */
enum senders_verdict senders_find(struct table *table, struct arena *arena, struct span login,
                                  const struct address *address, unsigned *line)
    __attribute__((warn_unused_result));

#endif
