/*
 * mailbox - is a field the address of one, and of whom (RFC 5322 §3.4)?
 *
 * For decisions about From and Sender, where a reader that understands the field otherwise than we
 * do is what a forger looks for. So the answer is no for everything that could be read in two ways:
 * lists and groups, a second "<", an "@" in what should be a name, a quote or a comment that does
 * not end. A yes is sure; a no may be an address all the same.
 */
#ifndef VEREDUS_MAIL_MAILBOX_H
#define VEREDUS_MAIL_MAILBOX_H

#include "util/mail/address.h"

/* True when the field's value, folded as it came, is one mailbox and nothing else; it is in
 * `*address` then. Linear in the value. */
bool mailbox_parse_lone(struct span value, struct address *address)
    __attribute__((warn_unused_result));

#endif
