/*
 * worker - what all sessions of one smtpd process share: configuration, spool, lookup, counters.
 *
 * One a process. Its peers come and go: without lookup, questions wait; without qmgr, mail is
 * accepted as long as there are segments in hand; without auth, nobody can log in.
 */
#ifndef VEREDUS_SMTPD_WORKER_H
#define VEREDUS_SMTPD_WORKER_H

#include <bsd/sys/queue.h>

#include "smtpd/access.h"
#include "util/conf/conf.h"
#include "util/daemon/daemon.h"
#include "util/ipc/messages.h"
#include "util/spool/writer.h"

enum { WORKER_INPUT = 65536 /* octets read at once */ };

struct dns;
struct session;
struct recipient;
struct known;
struct authentication;
struct login;
struct inquiry;
struct queue_run_wait;

/* The segments in hand, as a new qmgr has to hear of them. */
struct held {
    uint64_t number;
    uint64_t durable_end;
    uint64_t told_end; /* what qmgr heard of */
    bool sealed;       /* closed already; in the list until qmgr was told */
    struct spool_salt salt;
};

/* In no order: an entry that leaves is replaced by the last one. */
struct held_list {
    struct held *items;
    size_t count, room;
};

/* All of one process that sessions share. */
struct worker {
    struct loop *loop;
    const struct conf *conf;
    struct page *page;               /* its own */
    const struct daemon_page *pages; /* of other processes */
    const size_t *page_count;        /* grows: more come when workers start later */
    enum role role;                  /* ROLE_SMTPD or ROLE_SUBMISSION */
    unsigned index;                  /* of those of its role */

    struct arena arena;
    const char *greeting, *lmtp_greeting, *hello, *capabilities; /* to a client, HELO, EHLO */
    const char *help[SERVICE_COUNT];
    struct span default_domain; /* of addresses without one */

    struct spool_writer *writer;
    struct timer tell;    /* set: qmgr heard something a moment ago */
    struct timer unheard; /* set while there is no qmgr */
    struct held_list held;
    struct segment_want want; /* the last one */
    bool want_untold;
    bool backlogged;               /* qmgr reads so slowly that words have to be repeated */
    struct channel *qmgr, *lookup; /* NULL: not there now */
    struct recipient *queries;     /* what lookup was asked, by number */
    uint32_t last_query;
    struct inquiry *inquiries;         /* of VRFY and EXPN, by number as well */
    struct queue_run_wait *queue_runs; /* of ETRN, what qmgr was asked, by number as well */
    struct known *known;               /* recipients of a moment ago */
    struct questions questions;        /* of another kind, to lookup as well */
    struct access_desk access;

    struct dns *dns;     /* NULL: no name is asked for */
    struct rates *rates; /* NULL: no rate is limited */

    struct tls_server *tls;                 /* NULL: there is no certificate */
    struct channel *auth;                   /* NULL: not there now; in ROLE_SMTPD, ever */
    struct authentication *authentications; /* under way, by number */
    uint32_t last_authentication;
    LIST_HEAD(login_list, login) left_logins; /* whose clients left before auth had answered */
    size_t left_login_count;

    LIST_HEAD(session_list, session) sessions;
    size_t session_count;
    uint64_t descriptors; /* sessions that there are descriptors for; 0: enough */
    bool stressed;        /* there are nearly as many sessions as there may be: limits.c */
    TAILQ_HEAD(starved_list, session)
    starved; /* of these, in the order in which they came to wait */
    uint64_t last_session;
    uint64_t buffered; /* octets of messages held by all sessions */
    char *input;       /* WORKER_INPUT octets for whoever reads now */

    /* A peer's socket ended while it may live; may be NULL. */
    void (*unlinked)(void *arg, enum role role);
    void *unlinked_arg;

    bool draining;
    bool patient;               /* and clients may go on for a while: it is a reload */
    void (*drained)(void *arg); /* the last session ended; may be NULL */
    void *drained_arg;
};

/* Prepares it, with a spool writer and its thread; the peers come later; role, TLS, DNS and rates
 * are the caller's to set. `pages`, `conf` and `rates` must outlive it; `tls` and `dns` become its
 * own. */
void worker_init(struct worker *worker, struct loop *loop, const struct conf *conf,
                 struct page *page);

/* Drops every session and frees what worker_init made. */
void worker_close(struct worker *worker);

/* Takes nothing new; sessions end with their transactions, or, with patience, when their clients
 * leave; then `drained` is called. A second call may end the patience. */
void worker_drain(struct worker *worker, bool patient, void (*drained)(void *arg), void *arg);

/* Says 421 to every client, but to those whose letter is on its way to the disk: they hear of it
 * first. */
void worker_dismiss(struct worker *worker);

/* The socket to qmgr, lookup or auth ended; another one may come. */
void worker_unlinked(const struct worker *worker, enum role role);

/* The number of the next question to lookup about an address, of RCPT, VRFY or EXPN alike, or to
 * qmgr; never 0, which says that nothing is asked. */
uint32_t worker_next_query(struct worker *worker);

/* Grows with every change of any table: what was answered before may be wrong since. */
uint64_t worker_epoch(const struct worker *worker);

/* A session ended. */
void worker_session_ended(struct worker *worker);

/* How the skeleton of all daemons drives smtpd, and its workers for submission (RFC 6409). */
extern const struct daemon_calls smtpd_calls, submission_calls;

#endif
