/*
 * user - whom a name means, and what the table of passwords holds of him.
 */
#ifndef VEREDUS_AUTH_USER_H
#define VEREDUS_AUTH_USER_H

#include "util/conf/conf.h"
#include "util/mail/address.h"
#include "util/table/credentials.h"
#include "util/table/table.h"

/* One entry. A user that does not exist has no credentials at all. */
struct user {
    struct credentials credentials; /* secret; in the arena of user_find */
    struct span value;              /* the entry as it was read, for user_wipe */
};

/* The name as the table has it: as given, or the local part alone of the first domain. A name that
 * can be no address is kept as it is, cut at the size of `out`: it exists nowhere. */
struct span user_name(const struct conf *conf, struct span given, char out[ADDRESS_TEXT_MAX]);

/* True when `authzid` (RFC 4422 §2) is empty, or means the user whose canonical name is `name`: who
 * wants to act for another is not let. */
bool user_acts_as(const struct conf *conf, struct span name, struct span authzid);

/* Looks a canonical name up. False when the table can not be read; an entry that makes no sense is
 * logged and counts as none. */
bool user_find(struct table *passwords, struct arena *arena, struct span name, struct user *user)
    __attribute__((warn_unused_result));

/* Wipes what user_find has left in the arena. */
void user_wipe(const struct user *user);

#endif
