/*
 * Why frames wait for the end of the turn: a system call costs more than a message. A loop turn
 * that answers forty recipients sends one packet, and the receiver wakes up once. Packets are cut
 * when they are sent, not when the message is queued: the frames carry their own lengths, so the
 * queue is one buffer of frames and one list of descriptors, and a packet that met EAGAIN may grow.
 *
 * The end of a channel is always found by its reading side, so that what the other process said
 * before it died is heard first, and so that `closed` never comes out of channel_send.
 */
#include "util/ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/base/arena.h"
#include "util/base/log.h"
#include "util/ipc/messages.h"
#include "util/ipc/packet.h"

enum {
    PACKETS_A_TURN = 16,      /* received before the loop serves somebody else */
    DESCRIPTORS_WAITING = 512 /* duplicated, not sent yet */
};

/* Owned by whoever made it; freed by itself only after channel_free. */
struct channel {
    struct loop *loop;
    struct channel_calls calls;
    struct io io;
    struct turn turn;
    struct buf frames; /* queued, whole frames only */
    int *fds;          /* queued with them, in their order */
    size_t fd_count, fd_room;
    int fd;
    bool deaf;   /* the other side takes nothing any more */
    bool closed; /* announced, or about to be */
    bool busy;   /* its callbacks are on the stack */
    bool freed;  /* channel_free came from one of them */
};

/* One comparison, unless somebody debugs; secrets stay out (ipc_trace). */
static void trace(const char *event, const struct ipc_type *type, const void *message)
{
    struct buf text = {0};
    if (!log_enabled(LOG_DEBUG))
        return;
    ipc_trace(type, message, &text);
    log_event(LOG_DEBUG, event, LOG_SPAN("message", buf_span(&text)));
    buf_free(&text);
}

/* ---- the end ---- */

/* Descriptors that were queued and never sent are closed with it. */
static void release(struct channel *channel)
{
    for (size_t i = 0; i < channel->fd_count; i++)
        (void)close(channel->fds[i]);
    (void)close(channel->fd);
    buf_free(&channel->frames);
    mem_free(channel->fds);
    mem_free(channel);
}

/* From here on nothing is sent, received or called. */
static void stop(struct channel *channel)
{
    channel->closed = true;
    io_stop(&channel->io);
    loop_forget(channel->loop, &channel->turn);
}

/* From within its own callback the memory waits for leave(): the frames below us still use it. */
void channel_free(struct channel *channel)
{
    if (channel == NULL)
        return;
    stop(channel);
    channel->freed = true;
    if (!channel->busy)
        release(channel);
}

/* At the end of the turn no event of this channel can be pending any more. */
static void release_later(void *arg)
{
    release(arg);
}

/* Behind a callback that may have ended the channel: its memory stays until the loop is through
 * with the event that brought us here. */
static void leave(struct channel *channel)
{
    channel->busy = false;
    if (!channel->freed)
        return;
    channel->turn.run = release_later;
    loop_later(channel->loop, &channel->turn);
}

/* Once, and never from within channel_send: its callers need not fear to be freed under their
 * own feet. */
static void announce_end(struct channel *channel)
{
    if (channel->closed)
        return;
    stop(channel);
    channel->calls.closed(channel->calls.arg, channel);
}

/* ---- sending ---- */

/* The octets at the front of the queue that fit into one packet, and their descriptors. */
static size_t next_packet(const struct channel *channel, size_t *descriptors)
{
    struct span queued = buf_span(&channel->frames);
    struct ipc_cursor cursor = {.rest = queued};
    struct span body;
    size_t size = 0;

    *descriptors = 0;
    for (;;) {
        const struct ipc_type *type = ipc_next(&cursor, &body);
        size_t end = queued.len - cursor.rest.len;
        if (type == NULL || end > SEQPACKET_MAX || *descriptors + type->fds > SEQPACKET_FDS)
            return size;
        size = end;
        *descriptors += type->fds;
    }
}

/* The kernel has its own references now; ours are closed. */
static void drop_sent(struct channel *channel, size_t size, size_t descriptors)
{
    for (size_t i = 0; i < descriptors; i++)
        (void)close(channel->fds[i]);
    channel->fd_count -= descriptors;
    if (channel->fd_count > 0)
        memmove(channel->fds, channel->fds + descriptors, channel->fd_count * sizeof(int));
    buf_consume(&channel->frames, size);
}

/* Nothing more goes out. Shutting our half of a broken socket down makes the reading side find its
 * end; EPIPE has it there already. */
static void give_up_sending(struct channel *channel, int error)
{
    channel->deaf = true;
    drop_sent(channel, buf_len(&channel->frames), channel->fd_count);
    if (error == EPIPE || error == ECONNRESET)
        return;
    log_event(LOG_WARN, "channel-broken", LOG_ERRNO(error));
    (void)shutdown(channel->fd, SHUT_RDWR);
}

/* Stops at EAGAIN and goes on when the socket can be written again; what waits keeps its order. */
void channel_flush(struct channel *channel)
{
    int error = 0;

    while (!channel->closed && !channel->deaf && buf_len(&channel->frames) > 0 && error == 0) {
        size_t descriptors;
        size_t size = next_packet(channel, &descriptors);
        error = seqpacket_send(channel->fd, buf_span(&channel->frames).data, size, channel->fds,
                               descriptors);
        if (error == 0)
            drop_sent(channel, size, descriptors);
        else if (error != EAGAIN)
            give_up_sending(channel, error);
    }
    if (!channel->closed)
        io_want(&channel->io, error == EAGAIN ? IO_READ | IO_WRITE : IO_READ);
}

/* One flush for all that the turn has queued. */
static void end_of_turn(void *arg)
{
    channel_flush(arg);
}

/* Takes the youngest `count` back. */
static void unqueue_descriptors(struct channel *channel, size_t count)
{
    while (count-- > 0)
        (void)close(channel->fds[--channel->fd_count]);
}

/* Duplicates `fds` to the end of the queue, all or none. */
static bool queue_descriptors(struct channel *channel, const int *fds, size_t count)
{
    if (channel->fd_count + count > channel->fd_room) {
        channel->fd_room = channel->fd_count + count + SEQPACKET_FDS;
        channel->fds = mem_resize(channel->fds, channel->fd_room, sizeof(int));
    }
    for (size_t i = 0; i < count; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            unqueue_descriptors(channel, i);
            return false;
        }
        channel->fds[channel->fd_count++] = copy;
    }
    return true;
}

/* The descriptors first: a frame without its descriptors must never be queued. */
bool channel_send(struct channel *channel, const struct ipc_type *type, const void *message,
                  const int *fds)
{
    if (channel->closed || channel->deaf || channel->fd_count + type->fds > DESCRIPTORS_WAITING)
        return false;
    if (!queue_descriptors(channel, fds, type->fds))
        return false;
    /* From the first secret on: a password must not outlive its way to auth. */
    channel->frames.secret = channel->frames.secret || ipc_is_secret(type);
    if (!ipc_encode(type, message, &channel->frames)) {
        unqueue_descriptors(channel, type->fds);
        return false;
    }
    trace("message-sent", type, message);
    loop_later(channel->loop, &channel->turn);
    return true;
}

/* ---- receiving ---- */

/* packet_message: passes it on; stops when the callee ended the channel. */
static bool pass_on(void *arg, const struct ipc_type *type, const void *message,
                    struct fd_list *fds)
{
    struct channel *channel = arg;

    trace("message-received", type, message);
    channel->calls.message(channel->calls.arg, channel, type, message, fds);
    return !channel->closed;
}

/* One packet. False: nothing more to read now, or ever. Senders gather a turn's messages, so behind
 * a packet that is not full there is seldom another one: asking would cost a call for each. */
static bool receive_one(struct channel *channel)
{
    char packet[SEQPACKET_MAX];
    struct fd_list fds;
    size_t size;

    enum seqpacket_result result = seqpacket_receive(channel->fd, packet, &size, &fds);
    if (result == SEQPACKET_AGAIN)
        return false;
    if (result == SEQPACKET_OK && packet_deliver(span_of(packet, size), &fds, pass_on, channel))
        return !channel->closed && size > SEQPACKET_MAX / 2;
    if (result != SEQPACKET_CLOSED)
        log_event(LOG_WARN, "message-malformed", LOG_STR("reason", "packet refused"));
    announce_end(channel);
    return false;
}

/* Reading is bounded, so that one busy neighbour does not starve the others; level-triggered
 * events bring the rest. */
static void ready(void *arg, unsigned events)
{
    struct channel *channel = arg;
    bool more = (events & IO_READ) != 0;

    channel->busy = true;
    for (int i = 0; more && i < PACKETS_A_TURN; i++)
        more = receive_one(channel);
    if ((events & IO_WRITE) != 0)
        channel_flush(channel);
    leave(channel);
}

/* Reads at once, writes only when there is something: an idle channel costs no wake-up. */
struct channel *channel_new(struct loop *loop, int fd, const struct channel_calls *calls)
{
    struct channel *channel = mem_new(sizeof(*channel));

    channel->loop = loop;
    channel->fd = fd;
    channel->calls = *calls;
    channel->frames.limit = CHANNEL_BACKLOG;
    channel->turn = (struct turn){.run = end_of_turn, .arg = channel};
    io_init(&channel->io, loop, fd, ready, channel);
    io_want(&channel->io, IO_READ);
    return channel;
}
