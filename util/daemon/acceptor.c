/*
 * Why a rest: the loop is level-triggered, so a socket whose connection is not taken would wake us
 * without end. And why a rest ends by itself, also behind a connection that was left to others: a
 * listener that nobody serves would be a black hole if the others hang.
 */
#include "util/daemon/acceptor.h"

#include <errno.h>
#include <unistd.h>

#include "util/base/log.h"

/* The one place that decides whether the socket is watched. */
static void watch(struct acceptor *acceptor)
{
    bool watched = acceptor->wanted && !timer_is_set(&acceptor->rest);
    io_want(&acceptor->io, watched ? IO_READ : 0);
}

static void rest(struct acceptor *acceptor, int64_t ms)
{
    timer_set(&acceptor->rest, ms);
    watch(acceptor);
}

/* Its timer is not set any more. */
static void on_rested(void *arg)
{
    watch(arg);
}

/* Left alone once only: if the connection is still there afterwards, nobody else wanted it. */
static bool yield(struct acceptor *acceptor)
{
    const struct acceptor_calls *calls = &acceptor->calls;
    acceptor->yielded = !acceptor->yielded && calls->yields != NULL && calls->yields(calls->arg);
    return acceptor->yielded;
}

/* The callee may close the acceptor: nothing is touched after that. */
static void on_connection(void *arg, unsigned events)
{
    struct acceptor *acceptor = arg;
    union net_address client;
    (void)events;
    if (yield(acceptor)) {
        rest(acceptor, ACCEPTOR_YIELD_MS);
        return;
    }
    int fd = net_accept(acceptor->fd, &client);
    if (fd >= 0) {
        acceptor->calls.connection(acceptor->calls.arg, fd, &client);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log_event(LOG_ERROR, "accept-failed", LOG_ERRNO(errno));
        rest(acceptor, ACCEPTOR_TROUBLE_MS);
    }
}

void acceptor_open(struct acceptor *acceptor, struct loop *loop, int fd,
                   const struct acceptor_calls *calls)
{
    *acceptor = (struct acceptor){.calls = *calls, .fd = fd, .wanted = true};
    timer_init(&acceptor->rest, loop, on_rested, acceptor);
    io_init(&acceptor->io, loop, fd, on_connection, acceptor);
    watch(acceptor);
}

void acceptor_want(struct acceptor *acceptor, bool wanted)
{
    acceptor->wanted = wanted;
    if (acceptor->fd >= 0)
        watch(acceptor);
}

void acceptor_close(struct acceptor *acceptor)
{
    if (acceptor->fd < 0)
        return;
    timer_cancel(&acceptor->rest);
    io_stop(&acceptor->io);
    (void)close(acceptor->fd);
    acceptor->fd = -1;
}
