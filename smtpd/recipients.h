/*
 * recipients - the questions to lookup, and what came of them.
 *
 * Every RCPT of a transaction becomes a recipient that waits for its reply. Questions go out at
 * once, however many there are; the replies go to the client in the order of the commands. All of
 * it lives in the transaction's arena.
 */
#ifndef VEREDUS_SMTPD_RECIPIENTS_H
#define VEREDUS_SMTPD_RECIPIENTS_H

#include "smtpd/parameters.h"
#include "smtpd/session.h"
#include "util/base/hash.h"
#include "util/ipc/messages.h"
#include "util/mail/address.h"

struct recipient_checks; /* recipient_checks.c */

/* One RCPT; answered, it is kept for those that name the same address again. */
struct recipient {
    struct session *session;
    struct recipient *next;
    struct address address;
    struct span given;            /* as text */
    uint64_t hash;                /* of the address */
    struct recipient *before;     /* the one that was asked about before; NULL: the first */
    const struct recipient *like; /* an earlier one of the same address, whose reply is ours */
    struct span orcpt;            /* RFC 3461 §4.2; may be empty */
    uint8_t notify;               /* ENVELOPE_NOTIFY_... */
    uint64_t epoch;               /* of the tables when it was asked: the answer may be as old */
    uint32_t query;               /* 0: lookup is not asked */
    struct reply reply;           /* of lookup, or why it was not asked; pending: not known yet */
    struct recipient_checks *checks; /* NULL: lookup was not asked */
    struct envelope_recipient *finals;
    size_t final_count, final_room;
    UT_hash_handle hh; /* in worker->queries */
};

/* What lookup's word on an address becomes; RESOLVE_OK: 250. */
struct reply recipients_reply(enum resolve_status status);

/* True when those that wait for an answer may fill the transaction: no more are asked about now. */
bool recipients_may_suffice(const struct session *session);

/* Takes one more recipient, and what was said with it; its reply comes when lookup has answered. */
void recipients_ask(struct session *session, const struct address *address,
                    const struct rcpt_parameters *parameters);

/* Refuses one in its turn: behind those that were asked for before it. */
void recipients_refuse(struct session *session, struct span subject, struct reply reply);

/* Answers those that can be answered now: something that they wait for has come. Without a
 * transaction there is nobody. */
void recipients_settle(struct session *session);

/* Lookup took too long: everything that waits is answered 451. */
void recipients_give_up(struct session *session);

/* The transaction ends: nothing is waited for any more. */
void recipients_forget(struct session *session);

/* A socket to a lookup process, the first or a new one: what waits is asked there. Takes `fd`. */
void recipients_connect(struct worker *worker, int fd);

#endif
