/*
 * local_address - where a socket of a test is bound: the system chose its port.
 */
#ifndef VEREDUS_TESTS_LOCAL_ADDRESS_H
#define VEREDUS_TESTS_LOCAL_ADDRESS_H

#include "util/sys/net.h"

#include <sys/socket.h>

/* False with errno. */
static inline bool local_address(int fd, union net_address *address)
{
    socklen_t size = sizeof(*address);
    *address = (union net_address){0};
    return getsockname(fd, &address->any, &size) == 0;
}

#endif
