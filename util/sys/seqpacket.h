/*
 * seqpacket - UNIX sockets that keep message boundaries and carry descriptors.
 *
 * Every socket between two processes is one half of a SOCK_SEQPACKET pair that master made. A
 * packet is at most SEQPACKET_MAX octets and SEQPACKET_FDS descriptors; one that was cut short by
 * the kernel (MSG_TRUNC, MSG_CTRUNC) is reported as malformed and its descriptors are closed.
 */
#ifndef VEREDUS_SYS_SEQPACKET_H
#define VEREDUS_SYS_SEQPACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SEQPACKET_MAX = 65536, SEQPACKET_FDS = 64 };

/* Descriptors that came with a packet; the receiver owns them. */
struct fd_list {
    size_t count;
    int fds[SEQPACKET_FDS];
};

/* Takes the next descriptor out of the list (its owner is the caller then); -1 when none is left.
 */
int fd_list_take(struct fd_list *list);

/* Closes what nobody took. */
void fd_list_close(struct fd_list *list);

/* A connected pair, close-on-exec, non-blocking, with send buffers of `buffer` octets; false with
 * errno. */
bool seqpacket_pair(int pair[2], int buffer) __attribute__((warn_unused_result));

/* Sends one packet of 1 to SEQPACKET_MAX octets: 0, or errno (EAGAIN: the queue is full; EPIPE: the
 * peer is gone). The descriptors stay the caller's. */
int seqpacket_send(int fd, const void *data, size_t size, const int *fds, size_t count)
    __attribute__((warn_unused_result));

enum seqpacket_result { SEQPACKET_OK, SEQPACKET_AGAIN, SEQPACKET_CLOSED, SEQPACKET_MALFORMED };

/* Receives one packet into data[SEQPACKET_MAX]; *size is its length; descriptors are close-on-exec.
 */
enum seqpacket_result seqpacket_receive(int fd, void *data, size_t *size, struct fd_list *fds)
    __attribute__((warn_unused_result));

/* Waits at most `timeout_ms` (-1: for ever) until `fd` is readable or at its end; for the processes
 * that block. False also when a signal came in between. */
bool seqpacket_wait(int fd, int timeout_ms);

#endif
