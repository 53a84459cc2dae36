/*
 * unix_socket - a listening socket with a name in the file system, for clients of this host.
 *
 * The name is there with its owner and mode as long as the socket is open; what a server left that
 * died is removed, what a living one has is not touched.
 */
#ifndef VEREDUS_MASTER_UNIX_SOCKET_H
#define VEREDUS_MASTER_UNIX_SOCKET_H

#include "util/conf/conf.h"

/* Makes the socket of `listen`, which has a path; -1 with errno. */
int unix_socket_listen(const struct conf_listen *listen, int backlog)
    __attribute__((warn_unused_result));

/* Gives the name of a socket that is open already the owner and mode of `listen`; false with errno.
 */
bool unix_socket_settle(const struct conf_listen *listen) __attribute__((warn_unused_result));

/* Removes the name, if it is that of a socket. */
void unix_socket_remove(const char *path);

#endif
