/*
 * libevent gives us a portable epoll, a heap of timers and signals; what a mail server needs beyond
 * that is an end of the turn. Replies, messages to other processes and commits are gathered while
 * events are served and go out together when all were, so the loop is driven turn by turn
 * (EVLOOP_ONCE) instead of being handed over.
 *
 * Of the flags libevent offers, the changelist is not used, although it would save calls: it puts
 * epoll_ctl off until the next wait, and a descriptor that was passed on to another process and
 * closed here meanwhile would be reported for ever.
 */
#include "util/sys/loop.h"

#include "util/base/arena.h"
#include "util/base/clock.h"
#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

enum { WAKE_TRIES = 8 };

struct loop {
    struct event_base *base;
    struct event alarm; /* ends the wait of loop_turn */
    struct turn *first; /* what is to be done at the end of this turn */
    struct turn **last; /* where the next item is appended */
    int64_t now;
    bool serving; /* `now` is the time of this turn */
    bool stopped;
};

/* The time is taken when the first event of a turn is served: that is just behind the wait. */
static void begin_serving(struct loop *loop)
{
    if (loop->serving)
        return;
    loop->serving = true;
    loop->now = clock_ms();
}

/* `after` is NULL for what is not a timer. An event that can not be watched would never come:
 * better a new process than a deaf one. */
static void watch(struct event *event, const struct timeval *after)
{
    if (event_add(event, after) != 0)
        fatal(EX_OSERR, "cannot watch descriptor %d: %s", (int)event_get_fd(event),
              log_errno_text(errno));
}

/* Nothing to do: that the wait ended is all that is wanted of it. */
static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

/* No lock, since one thread has the loop; no environment, since variables such as EVENT_NOEPOLL
 * would change the program from outside. */
static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_new(sizeof(*loop));
    loop->base = new_base();
    if (loop->base == NULL)
        fatal(EX_OSERR, "cannot make an event loop: %s", log_errno_text(errno));
    (void)event_assign(&loop->alarm, loop->base, -1, 0, on_alarm, NULL);
    loop->last = &loop->first;
    loop->now = clock_ms();
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    event_base_free(loop->base);
    mem_free(loop);
}

/* Items are taken off before they run, so an item may queue itself again, or others, and all of
 * it still runs in this turn. */
static void end_turn(struct loop *loop)
{
    begin_serving(loop);
    while (loop->first != NULL) {
        struct turn *turn = loop->first;
        loop->first = turn->next;
        if (loop->first == NULL)
            loop->last = &loop->first;
        turn->queued = false;
        turn->run(turn->arg);
    }
    loop->serving = false;
}

/* `ms` is never negative here. */
static struct timeval timeval_of(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

void loop_turn(struct loop *loop, int timeout_ms)
{
    /* What was queued between two turns must not wait for an event. */
    bool at_once = timeout_ms == 0 || loop->first != NULL;
    int flags = EVLOOP_NO_EXIT_ON_EMPTY | (at_once ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
    bool limited = timeout_ms > 0 && !at_once;

    if (limited) {
        struct timeval after = timeval_of(timeout_ms);
        watch(&loop->alarm, &after);
    }
    loop->now = clock_ms();
    if (event_base_loop(loop->base, flags) < 0)
        fatal(EX_OSERR, "cannot wait for events: %s", log_errno_text(errno));
    if (limited)
        (void)event_del(&loop->alarm);
    end_turn(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped)
        loop_turn(loop, -1);
    loop->stopped = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now;
}

/* ---- descriptors ---- */

/* libevent's bits become ours: no caller sees its header's names. */
static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;
    (void)fd;
    begin_serving(io->loop);
    io->ready(io->arg, ((what & EV_READ) ? IO_READ : 0) | ((what & EV_WRITE) ? IO_WRITE : 0));
}

void io_init(struct io *io, struct loop *loop, int fd, void (*ready)(void *, unsigned), void *arg)
{
    *io = (struct io){.loop = loop, .ready = ready, .arg = arg, .fd = fd};
}

/* libevent can not change an event that is added, so it is taken out and put in again; that
 * costs two system calls, and is saved when nothing changes. */
void io_want(struct io *io, unsigned events)
{
    if (io->wanted == events)
        return;
    if (io->wanted != 0)
        (void)event_del(&io->event);
    io->wanted = events;
    if (events == 0)
        return;

    short what = (short)(EV_PERSIST | ((events & IO_READ) ? EV_READ : 0) |
                         ((events & IO_WRITE) ? EV_WRITE : 0));
    (void)event_assign(&io->event, io->loop->base, io->fd, what, on_io, io);
    watch(&io->event, NULL);
}

void io_stop(struct io *io)
{
    io_want(io, 0);
}

/* ---- timers ---- */

/* What libevent is told may be earlier than `due`, never later. */
static void arm(struct timer *timer, int64_t ms)
{
    struct timeval after = timeval_of(ms > 0 ? ms : 0);
    timer->armed = timer->due;
    watch(&timer->event, &after);
}

/*
 * libevent's alarm may be early: a timer that was moved later left it where it was, and libevent
 * reads the coarse clock, which lags behind ours by up to a tick.
 */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *timer = arg;
    (void)fd, (void)what;
    begin_serving(timer->loop);
    int64_t left = timer->due - timer->loop->now;
    if (left > 0)
        arm(timer, left);
    else
        timer->expired(timer->arg);
}

void timer_init(struct timer *timer, struct loop *loop, void (*expired)(void *), void *arg)
{
    *timer = (struct timer){.loop = loop, .expired = expired, .arg = arg};
    (void)event_assign(&timer->event, loop->base, -1, 0, on_timer, timer);
}

/* Most timers are idle limits, moved with every command and hardly ever let run out: moving one
 * later is a store. */
void timer_set(struct timer *timer, int64_t ms)
{
    timer->due = timer->loop->now + ms;
    if (!timer_is_set(timer) || timer->due < timer->armed)
        arm(timer, ms);
}

/* Deleting an event that is not pending is nothing to libevent. */
void timer_cancel(struct timer *timer)
{
    if (timer->loop != NULL)
        (void)event_del(&timer->event);
}

bool timer_is_set(const struct timer *timer)
{
    return timer->loop != NULL && evtimer_pending(&timer->event, NULL) != 0;
}

/* ---- the end of a turn ---- */

void loop_later(struct loop *loop, struct turn *turn)
{
    if (turn->queued)
        return;
    turn->queued = true;
    turn->next = NULL;
    *loop->last = turn;
    loop->last = &turn->next;
}

/* A walk through the queue: it is short, and forgetting is rare. */
void loop_forget(struct loop *loop, struct turn *turn)
{
    if (!turn->queued)
        return;
    struct turn **link = &loop->first;
    while (*link != turn)
        link = &(*link)->next;
    *link = turn->next;
    if (loop->last == &turn->next)
        loop->last = link;
    turn->queued = false;
}

/* ---- signals, threads ---- */

/* libevent caught the signal and woke the loop; here it is an ordinary event. */
static void on_signal(evutil_socket_t signal, short what, void *arg)
{
    struct signal_watch *signal_watch = arg;
    (void)what;
    begin_serving(signal_watch->loop);
    signal_watch->caught(signal, signal_watch->arg);
}

/* Never removed: signals are watched for as long as the process lives. */
void loop_on_signal(struct loop *loop, struct signal_watch *signal_watch, int signal,
                    void (*caught)(int signal, void *arg), void *arg)
{
    *signal_watch = (struct signal_watch){.loop = loop, .caught = caught, .arg = arg};
    (void)event_assign(&signal_watch->event, loop->base, signal, EV_SIGNAL | EV_PERSIST, on_signal,
                       signal_watch);
    watch(&signal_watch->event, NULL);
}

/* One read takes all wakes that came so far; a counter that is empty already means that they
 * were served. */
static void on_wake(void *arg, unsigned events)
{
    struct wake *wake = arg;
    uint64_t count;
    (void)events;
    if (read(wake->fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
        wake->run(wake->arg);
}

void wake_init(struct wake *wake, struct loop *loop, void (*run)(void *), void *arg)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        fatal(EX_OSERR, "cannot make an eventfd: %s", log_errno_text(errno));
    *wake = (struct wake){.run = run, .arg = arg, .fd = fd};
    io_init(&wake->io, loop, fd, on_wake, wake);
    io_want(&wake->io, IO_READ);
}

/* A counter that is full means that the loop is awake already. Any other failure is nothing that an
 * eventfd does by itself (a filter, a tracer); a wake that got lost would be waited for for ever,
 * so it is sent again, and the process ends when that does not help. */
void wake_send(struct wake *wake)
{
    const uint64_t one = 1;
    for (int tries = 1; write(wake->fd, &one, sizeof(one)) < 0 && errno != EAGAIN; tries++)
        if (tries == WAKE_TRIES)
            fatal(EX_OSERR, "cannot wake the loop: %s", log_errno_text(errno));
}

/* `run` tells whether it was made at all, so that stopping twice, or what never began, is
 * harmless. */
void wake_stop(struct wake *wake)
{
    if (wake->run == NULL)
        return;
    io_stop(&wake->io);
    (void)close(wake->fd);
    wake->run = NULL;
}
