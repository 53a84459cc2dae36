/*
 * A descriptor that arrives with a packet is in our table whether we want it or not, so this file
 * sees to it that each has an owner on every path: the caller's list, or close(2). That holds for
 * packets that were cut short too: their first descriptors did arrive.
 */
#include "util/sys/seqpacket.h"

#include "util/base/panic.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The union gives the octets the alignment of a cmsghdr. */
union control {
    struct cmsghdr align;
    char octets[CMSG_SPACE(sizeof(int) * SEQPACKET_FDS)];
};

/* From the front: descriptors belong to messages in the order they were sent. */
int fd_list_take(struct fd_list *list)
{
    if (list->count == 0)
        return -1;
    int fd = list->fds[0];
    list->count--;
    memmove(&list->fds[0], &list->fds[1], list->count * sizeof(list->fds[0]));
    return fd;
}

void fd_list_close(struct fd_list *list)
{
    while (list->count > 0)
        (void)close(list->fds[--list->count]);
}

/* Packets wait in the sender's buffer: it bounds how far one process may run ahead of another. */
static bool set_send_buffer(int fd, int buffer)
{
    return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)) == 0;
}

/* Both halves get the same buffer: talk goes both ways. */
bool seqpacket_pair(int pair[2], int buffer)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return false;
    if (set_send_buffer(pair[0], buffer) && set_send_buffer(pair[1], buffer))
        return true;

    int saved_errno = errno;
    (void)close(pair[0]);
    (void)close(pair[1]);
    errno = saved_errno;
    return false;
}

/* One control message carries all descriptors of a packet. */
static void attach(struct msghdr *message, union control *control, const int *fds, size_t count)
{
    *control = (union control){0};
    message->msg_control = control->octets;
    message->msg_controllen = CMSG_SPACE(sizeof(int) * count);

    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
}

int seqpacket_send(int fd, const void *data, size_t size, const int *fds, size_t count)
{
    /* An empty packet could not be told from the end. */
    require(size > 0 && size <= SEQPACKET_MAX && count <= SEQPACKET_FDS);

    struct iovec octets = {.iov_base = (void *)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &octets, .msg_iovlen = 1};
    union control control;
    if (count > 0)
        attach(&message, &control, fds, count);

    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

/* The kernel installed these already; from here on the list owns them. */
static void collect(struct msghdr *message, struct fd_list *fds)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    for (; header != NULL; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        require(count <= SEQPACKET_FDS - fds->count);
        memcpy(&fds->fds[fds->count], CMSG_DATA(header), count * sizeof(int));
        fds->count += count;
    }
}

/* Errors other than EAGAIN mean that the socket will never give anything again. */
enum seqpacket_result seqpacket_receive(int fd, void *data, size_t *size, struct fd_list *fds)
{
    union control control;
    struct iovec octets = {.iov_base = data, .iov_len = SEQPACKET_MAX};
    struct msghdr message = {.msg_iov = &octets,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    *size = 0;
    fds->count = 0;

    ssize_t received;
    do {
        received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    if (received < 0)
        return errno == EAGAIN ? SEQPACKET_AGAIN : SEQPACKET_CLOSED;

    collect(&message, fds);
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        fd_list_close(fds);
        return SEQPACKET_MALFORMED;
    }
    if (received == 0) {
        fd_list_close(fds);
        return SEQPACKET_CLOSED;
    }
    *size = (size_t)received;
    return SEQPACKET_OK;
}

/* A hang-up counts as readable: the next receive finds the end. */
bool seqpacket_wait(int fd, int timeout_ms)
{
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    return poll(&watched, 1, timeout_ms) > 0;
}
