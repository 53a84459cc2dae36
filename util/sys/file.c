/*
 * Why a file that takes nothing is an error: write(2) returns 0 for no reason that a second try
 * would change, and trying for ever would hang the daemon.
 */
#include "util/sys/file.h"

#include <errno.h>
#include <unistd.h>

bool file_write(int fd, struct span octets)
{
    while (octets.len > 0) {
        ssize_t written = write(fd, octets.data, octets.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written == 0)
            errno = EIO;
        if (written <= 0)
            return false;
        octets = span_skip(octets, (size_t)written);
    }
    return true;
}

/* A second call finds -1: nobody else's descriptor is closed by mistake. */
void file_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}
