/*
 * qmgr may be gone at any time, and mail is taken nevertheless: what it missed is told to the next
 * one, which gives and releases nothing before it has heard which segments are still in our hands
 * (`segment_held`). So a message without a socket to qmgr is dropped here, and nothing is lost.
 *
 * The list of those segments is kept here, from what passes by: given, durable so far, sealed.
 * There are a handful, and one more for each large message under way.
 */
#include "smtpd/spool.h"

#include "smtpd/data.h"
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
static void hold(struct worker *worker, const struct spool_grant *grant)
{
    struct held_list *list = &worker->held;
    if (list->count == list->room) {
        list->room = list->room * 2 + FIRST_ROOM;
        list->items = mem_resize(list->items, list->room, sizeof(*list->items));
    }
    list->items[list->count++] = (struct held){.number = grant->number,
                                               .durable_end = SPOOL_BLOCK,
                                               .told_end = SPOOL_BLOCK,
                                               .salt = grant->salt};
}

/* The place of a segment in the list; behind its end when it is not in hand. */
static size_t place_of(const struct held_list *list, uint64_t number)
{
    size_t place = 0;
    while (place < list->count && list->items[place].number != number)
        place++;
    return place;
}

/* Tells qmgr what it has not heard; false: there was nothing. */
static bool tell_durable(struct worker *worker)
{
    bool told = false;
    for (size_t i = 0; i < worker->held.count; i++) {
        struct held *held = &worker->held.items[i];
        const struct segment_durable durable = {.number = held->number, .end = held->durable_end};
        if (held->told_end == held->durable_end)
            continue;
        tell(worker, &ipc_segment_durable, &durable);
        held->told_end = held->durable_end;
        told = true;
    }
    return told;
}

/* The word is cumulative: under load it is given every few milliseconds, for many letters at once,
 * and qmgr wakes up that much less often. After a pause it is given without delay. */
static void on_tell(void *arg)
{
    struct worker *worker = arg;
    if (tell_durable(worker))
        timer_set(&worker->tell, SPOOL_TELL_MS);
}

static void on_durable(void *arg, uint64_t number, uint64_t end)
{
    struct worker *worker = arg;
    size_t place = place_of(&worker->held, number);
    if (place == worker->held.count)
        return;
    worker->held.items[place].durable_end = end;
    if (!timer_is_set(&worker->tell))
        on_tell(worker);
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
    timer_init(&worker->tell, worker->loop, on_tell, worker);
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
    hold(worker, &grant);
    spool_writer_give(worker->writer, &grant);
    data_segment_came(worker);
}

/* A new qmgr would have come. If the old one lives and closed our socket alone, it waits for us to
 * let go of segments: it looks into one only when nobody writes to it any more. */
static void on_unheard(void *arg)
{
    struct worker *worker = arg;
    spool_writer_rotate(worker->writer);
    timer_set(&worker->unheard, SPOOL_UNHEARD_MS);
}

static void on_closed(void *arg, struct channel *channel)
{
    struct worker *worker = arg;
    timer_init(&worker->unheard, worker->loop, on_unheard, worker);
    timer_set(&worker->unheard, SPOOL_UNHEARD_MS);
    log_event(LOG_WARN, "qmgr-lost", LOG_UINT("sessions", worker->session_count));
    channel_free(channel);
    worker->qmgr = NULL;
}

static void report(struct worker *worker, struct held *held)
{
    const struct segment_held message = {
        .number = held->number, .durable_end = held->durable_end, .salt = held->salt};
    held->told_end = held->durable_end;
    tell(worker, &ipc_segment_held, &message);
}

void spool_connect(struct worker *worker, int fd)
{
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = worker};
    const struct segment_held last = {.last = 1};
    timer_cancel(&worker->unheard);
    channel_free(worker->qmgr);
    worker->qmgr = channel_new(worker->loop, fd, &calls);
    for (size_t i = 0; i < worker->held.count; i++)
        report(worker, &worker->held.items[i]);
    tell(worker, &ipc_segment_held, &last);
    spool_writer_repeat(worker->writer);
}
