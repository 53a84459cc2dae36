/*
 * worker - what all sessions of one pop3d process share: peers, buffers, counters, the listeners.
 *
 * One a process. Its peers come and go; without them logins are refused for the moment.
 */
#ifndef VEREDUS_POP3D_WORKER_H
#define VEREDUS_POP3D_WORKER_H

#include <bsd/sys/queue.h>

#include "util/daemon/acceptor.h"
#include "util/daemon/daemon.h"

enum {
    WORKER_INPUT = 16384,        /* octets read at once */
    WORKER_SESSIONS = 65535,     /* whatever connections_per_worker says */
    WORKER_PATIENCE_MS = 600000, /* for all, when another worker serves */
    WORKER_DRAIN_MS = 20000,     /* for sessions that are logged in */
    WORKER_TROUBLE_MS = 100      /* without a new client, after accept(2) failed */
};

struct session;
struct left_login;
struct worker;

struct worker {
    struct loop *loop;
    const struct conf *conf;
    struct page *page;
    const struct daemon_page *pages; /* of the other workers, too */
    const size_t *page_count;        /* NULL: there are none */
    struct rates *rates;             /* NULL: no rate is limited */
    unsigned index;

    struct channel *auth; /* NULL: not there now */
    unsigned auth_index;
    struct channel *mailboxes[ROLE_INDEXES];
    /* A peer's socket ended while it may live; may be NULL. */
    void (*unlinked)(void *arg, enum role role, unsigned index);
    void *unlinked_arg;
    size_t last_mailbox;
    size_t newest_mailbox; /* the place that was filled last */
    uint16_t last_query;
    LIST_HEAD(left_list, left_login) left; /* whose clients left before auth had answered */
    size_t left_count;

    struct session **slots; /* by number; NULL: free */
    size_t slot_count;
    uint16_t *free_slots; /* the first slot_count - session_count are free */
    size_t session_count;
    uint64_t last_session; /* number of the youngest session */

    char *input;      /* WORKER_INPUT octets for whoever reads now */
    char *chunk;      /* BODY_CHUNK octets of a message */
    struct buf out;   /* gathered replies of whoever is served now */
    struct buf names; /* MAILBOX_NAMES_MAX octets at most, of the request being made */

    struct acceptor acceptors[DAEMON_LISTENERS];
    size_t acceptor_count;

    bool draining;
    bool patient; /* and sessions may go on for a while */
    struct timer drain_timer;
    void (*drained)(void *arg); /* the last session ended */
    void *drained_arg;
};

/* Prepares it; `conf` and `page` must outlive it. */
void worker_init(struct worker *worker, struct loop *loop, const struct conf *conf,
                 struct page *page);

/* Ends every session and frees what worker_init made. The loop must turn once more before it ends.
 */
void worker_close(struct worker *worker);

/* Accepts clients from `fd`, which becomes the worker's. */
void worker_listen(struct worker *worker, int fd);

/* Takes nothing new; with patience sessions go on for WORKER_PATIENCE_MS, then or without it those
 * that are logged in for WORKER_DRAIN_MS; then `drained`. A second call may end the patience. */
void worker_drain(struct worker *worker, bool patient, void (*drained)(void *arg), void *arg);

/* How many connections the network `key` has to all pop3d processes (net_limit_key). A moment old,
 * because nobody is asked: each counts in its own page. */
unsigned worker_connections(const struct worker *worker, uint64_t key);

/* A place in the table for a new session; there is one while it accepts. */
uint16_t worker_enter(struct worker *worker, struct session *session);

/* The session in this place ended. */
void worker_leave(struct worker *worker, uint16_t slot);

/* What main() hands to the daemon skeleton. */
extern const struct daemon_calls pop3d_calls;

#endif
