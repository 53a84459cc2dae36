/*
 * control - the child's end of its socket to master; for daemon.c alone.
 *
 * Fills in the public struct daemon as master's messages come. Peers that arrive before the daemon
 * serves are kept and handed over by control_hand_over; later ones go to the daemon at once.
 */
#ifndef VEREDUS_DAEMON_CONTROL_H
#define VEREDUS_DAEMON_CONTROL_H

#include "util/daemon/daemon.h"
#include "util/sys/tls_tickets.h"

enum {
    CONTROL_PEERS = 4 * ROLE_INDEXES, /* kept before the daemon serves: of four roles, most */
    CONTROL_ASK_MS = 200, /* most sockets end because a process died: a new one comes by itself */
    CONTROL_BEAT_MS = 1000
};

struct control_waiting {
    enum role role;
    unsigned index;
    int fd;
};

/* What the skeleton knows beside the public struct, which comes first: the one is the other. */
struct control {
    struct daemon daemon;
    struct arena arena; /* names and the key: the life of the process */
    struct io io;
    struct tls_tickets tickets;
    struct signal_watch terminate;
    struct control_waiting peers[CONTROL_PEERS];
    size_t peer_count;
    struct control_unlinked unlinked[CONTROL_PEERS]; /* master is still to be asked for them */
    size_t unlinked_count;
    struct timer ask;
    struct timer beat;
    int fd;
    bool started;    /* master has sent everything */
    bool serving;    /* the daemon takes its peers itself */
    bool drain;      /* master, or a signal, wants the end */
    bool patient;    /* master does, but clients may go on */
    bool terminated; /* by a signal */
    bool lost;       /* master is gone or talks nonsense */
    bool ended;      /* daemon_exit was called */
};

/* Reads what has come, without waiting. */
void control_receive(struct control *control);

/* Waits until master has sent everything. False: it wants the end already, or is gone. */
bool control_gather(struct control *control) __attribute__((warn_unused_result));

/* Gives the daemon the peers that came so far; later ones are given as they come. */
void control_hand_over(struct control *control);

/* Asks master for a new socket to a process, after CONTROL_ASK_MS and unless one has come. */
void control_unlink(struct control *control, enum role role, unsigned index);

/* The timer of control_unlink; `arg` is the control. */
void control_ask(void *arg);

/* Tells master that the daemon serves. */
void control_say_ready(struct control *control);

#endif
