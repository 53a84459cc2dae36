/*
 * Why not a channel: it needs the event loop, and a process that waits for disks has none to speak
 * of. Frames that do not fit begin the next packet; a packet that can not be sent stays the end of
 * this peer, since the frames behind it would be about something it never heard.
 */
#include "local/answers.h"

#include "util/base/clock.h"
#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Waits until the socket takes a packet again, at most until `deadline`. */
static bool wait_writable(int fd, int64_t deadline)
{
    int64_t left = deadline - clock_ms();
    struct pollfd watched = {.fd = fd, .events = POLLOUT};
    return left > 0 && (poll(&watched, 1, (int)left) > 0 || errno == EINTR);
}

/* A peer that does not read for ANSWERS_TIMEOUT_MS is given up: this process has others to
 * serve. */
static int send_packet(const struct answers *answers)
{
    struct span octets = buf_span(&answers->packet);
    int64_t deadline = clock_ms() + ANSWERS_TIMEOUT_MS;
    int error;
    do {
        error = seqpacket_send(answers->fd, octets.data, octets.len, answers->fds.fds,
                               answers->fds.count);
    } while (error == EAGAIN && wait_writable(answers->fd, deadline));
    return error;
}

/* Descriptors are closed either way: the receiver has its own, or nobody has. */
bool answers_send(struct answers *answers)
{
    if (buf_len(&answers->packet) > 0 && !answers->failed) {
        int error = send_packet(answers);
        answers->failed = error != 0;
        if (error != 0 && error != EPIPE && error != ECONNRESET)
            log_event(LOG_WARN, "answer-lost", LOG_ERRNO(error));
    }
    buf_reset(&answers->packet);
    fd_list_close(&answers->fds);
    return !answers->failed;
}

/* What does not fit any more goes into the next packet, in order. */
void answers_add(struct answers *answers, const struct ipc_type *type, const void *message,
                 const int *fds)
{
    answers->packet.limit = SEQPACKET_MAX;
    /* A packet is full by its descriptors or by its octets, whichever comes first. */
    bool fits = answers->fds.count + type->fds <= SEQPACKET_FDS &&
                ipc_encode(type, message, &answers->packet);
    if (!fits) {
        if (!answers_send(answers))
            log_event(LOG_DEBUG, "answer-dropped", LOG_STR("type", type->name));
        require(ipc_encode(type, message, &answers->packet));
    }
    for (size_t i = 0; i < type->fds; i++)
        answers->fds.fds[answers->fds.count++] = fds[i];
}

/* What was not sent is dropped. */
void answers_free(struct answers *answers)
{
    fd_list_close(&answers->fds);
    buf_free(&answers->packet);
}
