/*
 * policy - what the tables `access` and `senders` say: answers for smtpd.
 *
 * An installation from before these tables has neither text nor compiled table: then nothing is
 * said, as by an empty one. A table of which one half is there and the other can not be read is an
 * error, and the client is put off: half an access table is no access table.
 */
#ifndef VEREDUS_LOOKUP_POLICY_H
#define VEREDUS_LOOKUP_POLICY_H

#include "util/conf/conf.h"
#include "util/ipc/messages.h"
#include "util/table/table.h"

/* Where it looks. Made by policy_open, closed by policy_close. */
struct policy {
    struct arena arena; /* of the paths */
    const struct conf *conf;
    struct table *access, *senders;
};

/* Opens nothing yet; `conf` must outlive it. */
void policy_open(struct policy *policy, const struct conf *conf);

/* Closes the tables. */
void policy_close(struct policy *policy);

/* Looks up every kind that is asked for; the spans of the answer live in `arena`. What is no
 * address, or no client, is not in the table. */
struct access_answer policy_access(struct policy *policy, struct arena *arena,
                                   const struct access_ask *question);

/* The same for senders; what is no address is nobody's to use. */
struct sender_answer policy_sender(struct policy *policy, struct arena *arena,
                                   const struct sender_ask *question);

#endif
