/*
 * daemon_rig - a daemon as master sees it: a child that runs daemon_main in its real sandbox, a
 * control socket, a peer's socket.
 *
 * The answers of the daemon are gathered one message at a time; their spans live until the next
 * call of daemon_rig_receive.
 */
#ifndef VEREDUS_TESTS_DAEMON_RIG_H
#define VEREDUS_TESTS_DAEMON_RIG_H

#include <sys/types.h>

#include "util/daemon/daemon.h"

enum { DAEMON_RIG_DEADLINE_MS = 30000 };

#define DAEMON_RIG_KEY SPAN("0123456789abcdef0123456789abcdef")

struct daemon_rig {
    pid_t pid;
    int control;
    struct page *page; /* the daemon's own */
    char packet[SEQPACKET_MAX];
    struct ipc_cursor cursor; /* over what is left of the packet */
};

/* Starts `calls` with the configuration `text` and the key, and waits until it says ready. */
void daemon_rig_begin(struct daemon_rig *rig, const struct daemon_calls *calls, const char *text);

/* Kills what still runs. */
void daemon_rig_end(struct daemon_rig *rig);

/* A socket to the daemon, as a process of `role` has one; the caller closes it. */
int daemon_rig_peer(struct daemon_rig *rig, enum role role);

void daemon_rig_send(int peer, const struct ipc_type *type, const void *message);

/* Waits for the next message and decodes it into `message`: it must be of `type`. */
void daemon_rig_receive(struct daemon_rig *rig, int peer, const struct ipc_type *type,
                        void *message);

/* True when the daemon closed its end, after what it still had to say was read. */
bool daemon_rig_is_hung_up(int peer);

/* Tells it to drain; its exit code, or 128 + signal. */
int daemon_rig_drain(struct daemon_rig *rig);

#endif
