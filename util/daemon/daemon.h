/*
 * daemon - the one skeleton of every child: configuration, loop, pages, peers, privileges, sandbox,
 * readiness, graceful stop.
 *
 * Master executes the program with one socket as descriptor DAEMON_CONTROL_FD and sends, in this
 * order: the configuration, the pages, the keys, the listeners, the peers, then start. The skeleton
 * gathers all of it, calls `prepare` (still privileged: open directories, sockets, the log), drops
 * privileges, enters the sandbox, calls `start`, answers ready and runs the loop. Peers that come
 * later (the other process was started anew) are handed to `peer` as they come. A lost master ends
 * the process, as does SIGTERM: it drains.
 */
#ifndef VEREDUS_DAEMON_DAEMON_H
#define VEREDUS_DAEMON_DAEMON_H

#include "util/conf/conf.h"
#include "util/ipc/channel.h"
#include "util/ipc/messages.h"
#include "util/sys/page.h"
#include "util/sys/rates.h"
#include "util/sys/sandbox.h"

enum {
    DAEMON_CONTROL_FD = 3,
    DAEMON_LISTENERS = 32,
    DAEMON_PAGES = ROLE_INDEXES + 3 /* of a worker's siblings, of qmgr, two of lookup */
};

/* A listening socket; it becomes the daemon's. */
struct daemon_listener {
    int fd;
    enum conf_service service;
    enum conf_listen_tls tls;
    bool proxy; /* a header of the PROXY protocol comes first */
    struct span name;
};

/* The page of another process. */
struct daemon_page {
    enum role role;
    unsigned index;
    const struct page *page; /* read-only */
};

/* What a daemon sees of its skeleton; valid until the process ends. */
struct daemon {
    const struct daemon_calls *calls;
    void *state; /* the daemon's own; set by prepare */
    struct loop *loop;
    const struct conf *conf;
    unsigned index; /* of this worker among its role */
    uint32_t generation;
    struct page *page;           /* its own counters */
    struct span key;             /* of logins' tickets; empty but in auth and mailbox */
    struct tls_ratchet *ratchet; /* of TLS sessions' tickets; NULL but in smtpd and pop3d */
    struct rates *rates;         /* NULL but in those who serve the network */
    struct daemon_listener listeners[DAEMON_LISTENERS];
    size_t listener_count;
    struct daemon_page pages[DAEMON_PAGES];
    size_t page_count;
    bool draining;
    bool patient; /* while draining: clients may go on, another generation is there */
};

/* What a daemon brings along; NULL where it has nothing to do, but for prepare and start. */
struct daemon_calls {
    enum role role;
    /* Before privileges are dropped: paths and limits for the sandbox go into *sandbox. */
    void (*prepare)(struct daemon *daemon, struct sandbox *sandbox);
    /* In the sandbox: serve. The peers known at the start came through `peer` before. */
    void (*start)(struct daemon *daemon);
    /* A socket to another process; it becomes the daemon's. */
    void (*peer)(struct daemon *daemon, enum role role, unsigned index, int fd);
    /* Take nothing new, finish, then daemon_exit. */
    void (*drain)(struct daemon *daemon);
    bool drains_again; /* drain is called a second time when patience ends */
    /* The service loop of a process that blocks; NULL: loop_run(daemon->loop). Between two pieces
     * of work it may show with page_beat that it lives; daemon_poll does so, too. */
    void (*run)(struct daemon *daemon);
};

/* The whole life of a child; its main() is one call of this. Returns the exit code. */
int daemon_main(const struct daemon_calls *calls);

/* Ends the loop: the process exits with 0. */
void daemon_exit(struct daemon *daemon);

/* The socket to this process ended. If it lives all the same (a packet was cut for want of
 * descriptors, say), a new socket comes through `peer`, in a moment and when there are descriptors
 * again. Not for a `run` that blocks. */
void daemon_peer_lost(struct daemon *daemon, enum role role, unsigned index);

/* For a `run` that blocks: serves what master sent meanwhile without waiting; its socket, to be
 * polled. False: the process is to end. */
bool daemon_poll(struct daemon *daemon);

/* Stays the skeleton's: it may be polled, not read. */
int daemon_control_fd(const struct daemon *daemon);

#endif
