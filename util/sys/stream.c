/*
 * TLS may have to write before it can read, and the other way round. A daemon that knew would ask
 * that question at every step; so it is answered here, once: each direction remembers which event
 * of the socket it waits for, and an event is handed on as the direction that it lets go on.
 */
#include "util/sys/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the socket does is told as what the owner can do. */
static void on_ready(void *arg, unsigned events)
{
    struct stream *stream = arg;
    unsigned able = 0;
    if ((stream->wanted & IO_READ) && (events & stream->needs_read))
        able |= IO_READ;
    if ((stream->wanted & IO_WRITE) && (events & stream->needs_write))
        able |= IO_WRITE;
    if (able != 0)
        stream->ready(stream->arg, able);
}

void stream_init(struct stream *stream, struct loop *loop, int fd,
                 void (*ready)(void *arg, unsigned events), void *arg)
{
    *stream =
        (struct stream){.ready = ready, .arg = arg, .needs_read = IO_READ, .needs_write = IO_WRITE};
    io_init(&stream->io, loop, fd, on_ready, stream);
}

void stream_secure(struct stream *stream, struct tls_server *server)
{
    stream->tls = tls_accept(server, stream->io.fd);
}

/* The events that the wanted directions wait for. */
static void watch(struct stream *stream)
{
    unsigned events = 0;
    if (stream->wanted & IO_READ)
        events |= stream->needs_read;
    if (stream->wanted & IO_WRITE)
        events |= stream->needs_write;
    io_want(&stream->io, events);
}

void stream_want(struct stream *stream, unsigned events)
{
    stream->wanted = events;
    watch(stream);
}

/* What a direction waits for from now on; most of the time that changes nothing. */
static enum stream_result outcome(struct stream *stream, enum tls_result result, unsigned *needs,
                                  unsigned natural)
{
    unsigned before = *needs;
    *needs = result == TLS_WANT_READ ? IO_READ : result == TLS_WANT_WRITE ? IO_WRITE : natural;
    if (*needs != before)
        watch(stream);
    switch (result) {
    case TLS_OK:
        return STREAM_OK;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return STREAM_AGAIN;
    case TLS_CLOSED:
        return STREAM_END;
    case TLS_ERROR:
        break;
    }
    return STREAM_ERROR;
}

enum stream_result stream_handshake(struct stream *stream)
{
    enum stream_result result =
        outcome(stream, tls_handshake(stream->tls), &stream->needs_read, IO_READ);
    stream->is_secure = result == STREAM_OK;
    return result;
}

/* What recv(2) and send(2) return, in our words; `count` is meant when it was neither 0 nor -1. */
static enum stream_result plain_outcome(ssize_t got, size_t *count)
{
    if (got > 0) {
        *count = (size_t)got;
        return STREAM_OK;
    }
    if (got == 0)
        return STREAM_END;
    return errno == EAGAIN || errno == EWOULDBLOCK ? STREAM_AGAIN : STREAM_ERROR;
}

enum stream_result stream_read(struct stream *stream, void *out, size_t size, size_t *count)
{
    *count = 0;
    if (stream->tls != NULL) {
        enum tls_result result = tls_read(stream->tls, out, size, count);
        stream->is_drained = result != TLS_OK;
        return outcome(stream, result, &stream->needs_read, IO_READ);
    }
    ssize_t got;
    do
        got = recv(stream->io.fd, out, size, 0);
    while (got < 0 && errno == EINTR);
    return plain_outcome(got, count);
}

/* A peer that left is no reason for SIGPIPE: the error says the same. */
enum stream_result stream_write(struct stream *stream, struct span octets, size_t *count)
{
    *count = 0;
    if (stream->tls != NULL)
        return outcome(stream, tls_write(stream->tls, octets, count), &stream->needs_write,
                       IO_WRITE);
    ssize_t sent;
    do
        sent = send(stream->io.fd, octets.data, octets.len, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return plain_outcome(sent, count);
}

/* OpenSSL also counts the first half of a record: behind a read that found nothing to give, the
 * socket is what to wait for. */
bool stream_pending(const struct stream *stream)
{
    return stream->is_secure && !stream->is_drained && tls_pending(stream->tls);
}

/* close_notify is one small record; a socket that does not take it at once is past saving. */
void stream_end_output(struct stream *stream)
{
    if (stream->is_secure)
        (void)tls_shutdown(stream->tls);
    (void)shutdown(stream->io.fd, SHUT_WR);
}

const char *stream_reason(const struct stream *stream)
{
    return stream->tls != NULL ? tls_reason(stream->tls) : "";
}

void stream_close(struct stream *stream)
{
    io_stop(&stream->io);
    /* A session that ended well is told so; one amid its handshake has nothing to say. */
    if (stream->is_secure)
        (void)tls_shutdown(stream->tls);
    tls_free(stream->tls);
    stream->tls = NULL;
    stream->is_secure = false;
    (void)close(stream->io.fd);
}
