/*
 * qmgr may be gone at any time, and mail is taken nevertheless: what it missed is told to the next
 * one, which gives and releases nothing before it has heard which segments are still in our hands
 * (`segment_held`). So a message without a socket to qmgr is dropped here, and nothing is lost.
 *
 * The list of those segments is kept here, from what passes by: given, durable so far, sealed.
 * There are a handful, and one more for each large message under way.
 */
#include "smtpd/spool.h"

#include "util/base/arena.h"

#include "util/base/log.h"

enum { FIRST_ROOM = 8 };

/* What can not be sent is said again to the next qmgr. */
static void tell(struct worker *worker, const struct ipc_type *type, const void *message)
{
    if (worker->qmgr != NULL && !channel_send(worker->qmgr, type, message, NULL))
        log_event(LOG_WARN, "qmgr-not-told", LOG_STR("message", type->name));
}

static void on_want(void *arg, unsigned shared, unsigned private)
{
    const struct segment_want want = {.shared = (uint8_t)shared, .private = (uint8_t) private};
    tell(arg, &ipc_segment_want, &want);
}

/* ---- the segments in hand ---- */

/* SPOOL_BLOCK: nothing is in it yet. */
static void hold(struct worker *worker, uint64_t number)
{
    struct held_list *list = &worker->held;
    if (list->count == list->room) {
        list->room = list->room * 2 + FIRST_ROOM;
        list->items = mem_resize(list->items, list->room, sizeof(*list->items));
    }
    list->items[list->count++] =
        (struct segment_held){.number = number, .durable_end = SPOOL_BLOCK};
}

/* The place of a segment in the list; behind its end when it is not in hand. */
static size_t place_of(const struct held_list *list, uint64_t number)
{
    size_t place = 0;
    while (place < list->count && list->items[place].number != number)
        place++;
    return place;
}

static void on_durable(void *arg, uint64_t number, uint64_t end)
{
    struct worker *worker = arg;
    const struct segment_durable durable = {.number = number, .end = end};
    size_t place = place_of(&worker->held, number);
    if (place < worker->held.count)
        worker->held.items[place].durable_end = end;
    tell(worker, &ipc_segment_durable, &durable);
}

static void on_sealed(void *arg, uint64_t number, uint64_t end)
{
    struct worker *worker = arg;
    const struct segment_sealed sealed = {.number = number, .end = end};
    size_t place = place_of(&worker->held, number);
    if (place < worker->held.count)
        worker->held.items[place] = worker->held.items[--worker->held.count];
    tell(worker, &ipc_segment_sealed, &sealed);
}

struct spool_writer_calls spool_calls(struct worker *worker)
{
    return (struct spool_writer_calls){
        .want = on_want, .durable = on_durable, .sealed = on_sealed, .arg = worker};
}

/* ---- qmgr ---- */

/* qmgr gives nothing else; an unknown message is a newer qmgr's, and no harm. */
static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct worker *worker = arg;
    (void)channel;
    if (type != &ipc_segment_give)
        return;
    const struct segment_give *give = message;
    const struct spool_grant grant = {
        .fd = fd_list_take(fds),
        .number = give->number,
        .salt = give->salt,
        .kind = (enum spool_kind)give->kind,
        .size = give->size,
    };
    hold(worker, grant.number);
    spool_writer_give(worker->writer, &grant);
}

static void on_closed(void *arg, struct channel *channel)
{
    struct worker *worker = arg;
    log_event(LOG_WARN, "qmgr-lost", LOG_UINT("sessions", worker->session_count));
    channel_free(channel);
    worker->qmgr = NULL;
}

void spool_connect(struct worker *worker, int fd)
{
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = worker};
    const struct segment_held last = {.last = 1};
    channel_free(worker->qmgr);
    worker->qmgr = channel_new(worker->loop, fd, &calls);
    for (size_t i = 0; i < worker->held.count; i++)
        tell(worker, &ipc_segment_held, &worker->held.items[i]);
    tell(worker, &ipc_segment_held, &last);
    spool_writer_repeat(worker->writer);
}
