/*
 * user_name - the addresses that can be users: plain enough to be the key of a table and the name
 * of a directory.
 */
#ifndef VEREDUS_CTL_USER_NAME_H
#define VEREDUS_CTL_USER_NAME_H

#include "ctl/ctl.h"
#include "util/mail/address.h"

struct user_name {
    char key[ADDRESS_TEXT_MAX + 1]; /* "alice@example.test", NUL-terminated */
    struct span local, domain;      /* of the key; valid while the struct stays where it is */
};

/* Parses `text`. False after a message: no address, or one that can not be a user. */
bool user_name_parse(struct ctl *ctl, struct span text, struct user_name *name)
    __attribute__((warn_unused_result));

#endif
