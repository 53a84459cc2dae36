/*
 * qmgr may be gone at any time, and mail is taken nevertheless: what it missed is told to the next
 * one, which gives and releases nothing before it has heard which segments are still in our hands
 * (`segment_held`). So a message without a socket to qmgr is dropped here, and nothing is lost. A
 * qmgr that lives and does not read hears it as soon as it does.
 *
 * The list of those segments is kept here, from what passes by: given, durable so far, sealed.
 * There are a handful, and one more for each large message under way.
 */
#include "smtpd/segments.h"

#include "smtpd/data.h"
#include "smtpd/queue_run.h"
#include "util/base/arena.h"
#include "util/base/log.h"

enum { FIRST_ROOM = 8 };

/* False: qmgr lives and does not read, and its word has to be said again: it must never be lost,
 * because a qmgr that goes on asks for nothing. Without a qmgr everything counts as said: the next
 * one hears it in other words. */
static bool say(struct worker *worker, const struct ipc_type *type, const void *message)
{
    bool said = worker->qmgr == NULL || channel_send(worker->qmgr, type, message, NULL);
    if (!said && !worker->backlogged)
        log_event(LOG_WARN, "qmgr-not-told", LOG_STR("message", type->name));
    worker->backlogged = !said;
    return said;
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
    /* A handful of entries: a walk is shorter than any index. */
    while (place < list->count && list->items[place].number != number)
        place++;
    return place;
}

/* ---- what qmgr has to hear ---- */

/* A sealed segment is in the list only for as long as qmgr has not heard of it. */
static bool is_untold(const struct held *held)
{
    return held->sealed || held->told_end != held->durable_end;
}

/* "Sealed" says also what is durable. */
static bool tell_held(struct worker *worker, struct held *held)
{
    const struct segment_durable durable = {.number = held->number, .end = held->durable_end};
    const struct segment_sealed sealed = {.number = held->number, .end = held->durable_end};
    bool said = held->sealed ? say(worker, &ipc_segment_sealed, &sealed)
                             : say(worker, &ipc_segment_durable, &durable);
    if (said)
        held->told_end = held->durable_end;
    return said;
}

/* True when there was something to tell. From the end, so that a sealed segment can make room for
 * the last one of the list. What can not be said now stays as it is. */
static bool tell_segments(struct worker *worker)
{
    struct held_list *list = &worker->held;
    bool told = false;
    for (size_t i = list->count; i-- > 0;) {
        struct held *held = &list->items[i];
        if (!is_untold(held))
            continue;
        told = true;
        if (!tell_held(worker, held))
            break;
        /* The last one takes the place: it was told already, because the walk comes from the
         * end. */
        if (held->sealed)
            *held = list->items[--list->count];
    }
    return told;
}

/* True when there was something to say, even if it has to be said again. */
static bool tell_want(struct worker *worker)
{
    bool untold = worker->want_untold;
    if (untold)
        worker->want_untold = !say(worker, &ipc_segment_want, &worker->want);
    return untold;
}

/* The word is cumulative: under load it is given every few milliseconds, for many letters at once,
 * and qmgr wakes up that much less often. After a pause it is given without delay. The same timer
 * repeats what could not be said. */
static void on_tell(void *arg)
{
    struct worker *worker = arg;
    bool segments = tell_segments(worker);
    bool want = tell_want(worker);
    if (segments || want)
        timer_set(&worker->tell, SEGMENTS_TELL_MS);
}

/* ---- what the writer says ---- */

/* The newest one counts: it says what is lacking in all. */
static void on_want(void *arg, unsigned shared, unsigned private)
{
    struct worker *worker = arg;
    worker->want = (struct segment_want){.shared = (uint8_t)shared, .private = (uint8_t) private};
    worker->want_untold = true;
    if (tell_want(worker) && worker->want_untold)
        timer_set(&worker->tell, SEGMENTS_TELL_MS);
}

/* `end` is an offset in octets that only grows. While the timer runs it says the latest one. */
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

/* Told at once: qmgr waits for it to give the segment's room to others. */
static void on_sealed(void *arg, uint64_t number, uint64_t end)
{
    struct worker *worker = arg;
    size_t place = place_of(&worker->held, number);
    if (place == worker->held.count)
        return;
    worker->held.items[place].durable_end = end;
    worker->held.items[place].sealed = true;
    on_tell(worker);
}

/* The timer is ready before the writer is: its first call may want to set it. */
struct spool_writer_calls segments_calls(struct worker *worker)
{
    timer_init(&worker->tell, worker->loop, on_tell, worker);
    return (struct spool_writer_calls){
        .want = on_want, .durable = on_durable, .sealed = on_sealed, .arg = worker};
}

/* ---- qmgr ---- */

/* qmgr says nothing else; an unknown message is a newer qmgr's, and no harm. */
static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct worker *worker = arg;
    (void)channel;
    if (type == &ipc_queue_run_answer)
        queue_run_answered(worker, message);
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
    /* In the list before the writer has it: what the writer says of a segment is looked up
     * there. */
    hold(worker, &grant);
    spool_writer_give(worker->writer, &grant);
    data_room_came(worker);
}

/* A new qmgr would have come. If the old one lives and closed our socket alone, it waits for us to
 * let go of segments: it looks into one only when nobody writes to it any more. */
static void on_unheard(void *arg)
{
    struct worker *worker = arg;
    spool_writer_rotate(worker->writer);
    timer_set(&worker->unheard, SEGMENTS_UNHEARD_MS);
}

/* Sessions go on with the segments in hand; the next qmgr hears of them all. */
static void lose_qmgr(struct worker *worker)
{
    timer_init(&worker->unheard, worker->loop, on_unheard, worker);
    timer_set(&worker->unheard, SEGMENTS_UNHEARD_MS);
    log_event(LOG_WARN, "qmgr-lost", LOG_UINT("sessions", worker->session_count));
    channel_free(worker->qmgr);
    worker->qmgr = NULL;
    queue_run_lost(worker);
    worker_unlinked(worker, ROLE_QMGR);
}

/* The channel is the worker's own, and is freed there. */
static void on_closed(void *arg, struct channel *channel)
{
    (void)channel;
    lose_qmgr(arg);
}

/* A sealed segment is not in hand any more: a new qmgr finds out by itself how far it goes. */
static void forget_sealed(struct held_list *list)
{
    for (size_t i = list->count; i-- > 0;)
        if (list->items[i].sealed)
            list->items[i] = list->items[--list->count];
}

/* Every segment in hand, then the word that there are no more: qmgr gives nothing before it. */
static bool report(struct worker *worker)
{
    const struct segment_held last = {.last = 1};
    for (size_t i = 0; i < worker->held.count; i++) {
        struct held *held = &worker->held.items[i];
        const struct segment_held message = {
            .number = held->number, .durable_end = held->durable_end, .salt = held->salt};
        held->told_end = held->durable_end;
        if (!say(worker, &ipc_segment_held, &message))
            return false;
    }
    return say(worker, &ipc_segment_held, &last);
}

/* Half a report would be worse than none: qmgr would take what is missing in it for its own. */
void segments_connect(struct worker *worker, int fd)
{
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = worker};
    timer_cancel(&worker->unheard);
    channel_free(worker->qmgr);
    queue_run_lost(worker); /* the old one answers nobody any more */
    worker->qmgr = channel_new(worker->loop, fd, &calls);
    /* What the old one was asked for is void; the writer says again what it lacks, behind the
     * report. */
    worker->want_untold = false;
    forget_sealed(&worker->held);
    if (report(worker))
        spool_writer_repeat(worker->writer);
    else
        lose_qmgr(worker);
}
