/*
 * access - what the table `access` says of a client at one stage of its session.
 *
 *     CONNECT    ACCESS_ASK_CLIENT, when the name of the client is known (or known not to be)
 *     HELO       ACCESS_ASK_HELO
 *     MAIL       ACCESS_ASK_SENDER
 *     RCPT       ACCESS_ASK_RECIPIENT
 *
 * Several kinds may go into one question, for a server that judges at RCPT alone. An answer is
 * remembered for ACCESS_KNOWN_MS, as long as no table changes (`epoch`, as in known.h); that there
 * is no table at all is remembered for ACCESS_ABSENT_MS, whatever the question.
 *
 * What the verdict asks of the session: ACCESS_REFUSED and ACCESS_TEMPORARY are replied to with
 * `reply` (421 and 521 close); a bit in `ok` spares the client what is tested at that stage (lists
 * in the DNS, the sender's domain, greylisting) and nothing else; a bit in `held` gives every
 * recipient of the transaction the transport "hold".
 */
#ifndef VEREDUS_SMTPD_ACCESS_H
#define VEREDUS_SMTPD_ACCESS_H

#include "smtpd/questions.h"
#include "util/base/arena.h"
#include "util/conf/conf.h"
#include "util/mail/access_table.h"
#include "util/mail/reply.h"

enum { ACCESS_KNOWN_MS = 10000, ACCESS_ABSENT_MS = 1000, ACCESS_KNOWN_SLOTS = 256 };

struct access_known;

/* One a worker: the questions, and what was answered a moment ago. */
struct access_desk {
    struct questions *questions;
    const struct conf *conf;
    struct access_known *known; /* access_known_new */
};

/* Remembers nothing yet; freed with access_known_free (NULL is fine). */
struct access_known *access_known_new(void);
void access_known_free(struct access_known *known);

/* What is asked; kinds is ACCESS_ASK_*, spans of kinds that are not asked for may be empty. They
 * stay valid until the end of the check. */
struct access_facts {
    uint8_t kinds;
    struct span client, name, helo, sender, recipient; /* as in struct access_ask */
};

/* The last word; `reply` is pending for ACCESS_CLEAR. */
struct access_verdict {
    enum access_status status;
    uint8_t ok, held; /* bits: 1 << enum access_kind */
    enum access_kind kind;
    unsigned line; /* of the table; 0: nothing was found */
    struct reply reply;
};

/* One question of one session. Zeroed, or ended by `done` or access_cancel, it can be started. */
struct access_check {
    struct access_desk *desk;
    struct arena *arena; /* for the text of the reply */
    struct span session; /* for the log */
    uint64_t epoch;      /* of the tables, now */
    void (*done)(void *arg);
    void *arg;
    struct access_verdict verdict; /* in `done` and later */
    struct access_ask ask;
    struct question question;
    uint64_t key;
};

/* Begins; the members above `verdict` are set. True: the verdict is there already, and `done` is
 * not called. False: `done` is called once, from the loop. What the table said is logged with its
 * file and line. */
bool access_start(struct access_check *check, const struct access_facts *facts)
    __attribute__((warn_unused_result));

/* `done` will not be called any more; started or not. */
void access_cancel(struct access_check *check);

#endif
