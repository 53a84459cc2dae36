/*
 * listeners - the listening sockets: bound by master, shared by all workers, kept over reloads.
 *
 * A socket stays open as long as the configuration names its address, so no connection is refused
 * while one generation follows another.
 */
#ifndef VEREDUS_MASTER_LISTENERS_H
#define VEREDUS_MASTER_LISTENERS_H

#include "util/conf/conf.h"
#include "util/daemon/daemon.h"

enum { LISTENER_NAME = 256, LISTENER_BACKLOG = 1024 };

struct listener {
    char name[LISTENER_NAME];
    enum conf_service service;
    enum conf_listen_tls tls;
    bool proxy;
    union net_address address;            /* as configured */
    char path[CONF_SOCKET_PATH_MOST + 1]; /* of a UNIX socket; else empty */
    int fd;
};

/* No address is in it twice, and every fd is open. */
struct listeners {
    struct listener items[DAEMON_LISTENERS];
    size_t count;
};

/* Binds what `wanted` has more, closes what it has no longer. False after a complaint: everything
 * is as it was. */
bool listeners_update(struct listeners *listeners, const struct conf_listens *wanted,
                      conf_complain *complain, void *arg) __attribute__((warn_unused_result));

/* True when the children of `role` are those who speak `service`. */
bool listeners_belong(enum role role, enum conf_service service);

/* True when children of `role` serve the network, with whatever listeners there are. */
bool listeners_are_for(enum role role);

/* True when there is one that children of `role` would serve. */
bool listeners_serve(const struct listeners *listeners, enum role role);

/* Closes all of them; children that have them still serve. */
void listeners_close(struct listeners *listeners);

#endif
