/*
 * loop - the event loop: descriptors, timers, signals, wake-ups from threads.
 *
 * Hides libevent's core. The structs are embedded in their owners and must stay where they are from
 * *_init to *_stop; stopping one from inside any callback is allowed, freeing its owner is not
 * before the callback returned (use loop_later). One loop a process, used by one thread; loop_wake
 * alone may be called from another.
 */
#ifndef VEREDUS_SYS_LOOP_H
#define VEREDUS_SYS_LOOP_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Makes the loop; after fork and exec, before the sandbox. Failure is fatal. */
struct loop *loop_new(void);

/* Ends it; what it watched must have been stopped. NULL is fine. */
void loop_free(struct loop *loop);

/* Serves events until loop_stop. */
void loop_run(struct loop *loop);

/* Lets loop_run return at the end of this turn; before loop_run: at once. */
void loop_stop(struct loop *loop);

/* One turn: waits at most `timeout_ms` (-1: for ever), serves what is ready. For tests and fuzzing.
 */
void loop_turn(struct loop *loop, int timeout_ms);

/* Milliseconds, monotonic, as of the start of this turn: cheap. */
int64_t loop_now(const struct loop *loop);

/* ---- descriptors ---- */

enum { IO_READ = 1, IO_WRITE = 2 };

struct io {
    struct event event;
    struct loop *loop;
    void (*ready)(void *arg, unsigned events); /* events: IO_READ | IO_WRITE, level-triggered */
    void *arg;
    unsigned wanted;
    int fd;
};

/* Prepares to watch `fd`; nothing is watched until io_want. Does not own fd. */
void io_init(struct io *io, struct loop *loop, int fd, void (*ready)(void *, unsigned), void *arg);

/* Watches for exactly `events` from now on (0: for nothing). Free when nothing changes. */
void io_want(struct io *io, unsigned events);

/* Stops for good; call before fd is closed. A zeroed struct io is fine. */
void io_stop(struct io *io);

/* ---- timers ---- */

struct timer {
    struct event event;
    struct loop *loop;
    void (*expired)(void *arg);
    void *arg;
    int64_t due;   /* in terms of loop_now */
    int64_t armed; /* when libevent will tell us: due or earlier */
};

/* Prepares a timer that is not set and calls `expired` in the loop. */
void timer_init(struct timer *timer, struct loop *loop, void (*expired)(void *), void *arg);

/* Fires once, when loop_now has grown by `ms` milliseconds, never earlier; setting it again moves
 * it (later: for free). */
void timer_set(struct timer *timer, int64_t ms);

/* Cancels it, set or not; call before its memory goes. A zeroed struct timer is fine. */
void timer_cancel(struct timer *timer);

/* True from timer_set until it fires or is cancelled; false while `expired` runs. */
bool timer_is_set(const struct timer *timer);

/* ---- the end of a turn ---- */

/* Work to be done once, when all events of this turn were served: how replies, messages and commits
 * are gathered into batches. */
struct turn {
    void (*run)(void *arg);
    void *arg;
    struct turn *next;
    bool queued;
};

/* Queues it; queued already: nothing. Items queued from within a run function run in the same
 * round. A queued item must not be freed before it ran or was dropped with loop_forget. */
void loop_later(struct loop *loop, struct turn *turn);

/* Drops it from the queue; not queued: nothing. */
void loop_forget(struct loop *loop, struct turn *turn);

/* ---- signals, threads ---- */

struct signal_watch {
    struct event event;
    struct loop *loop;
    void (*caught)(int signal, void *arg);
    void *arg;
};

/* From now on `signal` calls `caught` in the loop, where everything is allowed; for as long as the
 * loop lives. */
void loop_on_signal(struct loop *loop, struct signal_watch *watch, int signal,
                    void (*caught)(int signal, void *arg), void *arg);

/* A wake-up that a thread may send (eventfd): `run` is called in the loop, once for any number of
 * wakes before it. */
struct wake {
    struct io io;
    void (*run)(void *arg);
    void *arg;
    int fd;
};

/* Makes the eventfd and watches it; failure is fatal. */
void wake_init(struct wake *wake, struct loop *loop, void (*run)(void *), void *arg);

/* Wakes the loop; from any thread; no malloc, no lock. That it can not be woken is fatal. */
void wake_send(struct wake *wake);

/* Stops and closes; no thread may send any more. Stopped already or zeroed: nothing. */
void wake_stop(struct wake *wake);

#endif
