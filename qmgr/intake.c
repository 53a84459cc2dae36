/*
 * A segment has one writer, and what counts of it is the writer's word: so far it is durable. Words
 * come faster than the helper scans; so each segment remembers the latest one, one scan is under
 * way at a time, and however many letters came meanwhile are one task.
 *
 * A writer that dies leaves segments whose end nobody knows: the tail is scanned as recovery does,
 * then they are sealed.
 */
#include "qmgr/intake.h"

#include <sysexits.h>
#include <unistd.h>

#include "qmgr/agents.h"
#include "qmgr/retry.h"
#include "util/base/panic.h"

enum { KINDS = 2, STOCK_MOST = 4, PRIVATE_EXTRA = SPOOL_ENVELOPE_MAX + (64 << 10) };

/* A segment that was made and not given yet. */
struct made {
    int fd;
    struct spool_block block;
};

/* Segments made ahead, so that a writer never waits for a directory's sync. */
struct stock {
    struct made items[STOCK_MOST];
    size_t count;
    unsigned making; /* tasks under way */
};

/* Somebody who writes letters. */
struct writer {
    LIST_ENTRY(writer) link;
    struct intake *intake;
    struct channel *channel; /* NULL: qmgr's own */
    unsigned want[KINDS];
    bool reported;
};

/* What the loop knows of all writers; segments themselves are in qmgr->segments. */
struct intake {
    struct qmgr *qmgr;
    struct spool_writer *own_writer;
    struct writer own;
    LIST_HEAD(, writer) writers;
    struct stock stocks[KINDS];
    struct turn turn;
    struct timer make_timer;
    enum { INTAKE_GATHERING, INTAKE_RECOVERING, INTAKE_SERVING } state;
    bool started, draining;
};

static const enum spool_kind kind_of[KINDS] = {SPOOL_SHARED, SPOOL_PRIVATE};
static const unsigned stock_of[KINDS] = {INTAKE_STOCK_SHARED, INTAKE_STOCK_PRIVATE};

/* ---- scans ---- */

static void pump(struct intake *intake, struct segment *segment);

/* The letters of the scan go their way in the order of the record; then, if more came
 * meanwhile, the next scan. */
static void scanned(void *arg, struct helper_task *base)
{
    struct intake *intake = arg;
    struct qmgr *qmgr = intake->qmgr;
    struct task_scan *task = (struct task_scan *)base;
    struct segment *segment = segments_get(&qmgr->segments, task->number);
    if (!task->known || !task->ok) {
        log_event(LOG_ERROR, "segment-damaged", LOG_UINT("segment", task->number),
                  LOG_STR("reason", task->known ? "a bad record was set aside" : "not there"));
        page_add(qmgr->page, PAGE_CORRUPT, 1);
    }
    segment->scanning = false;
    segment->scanned_end = task->end;
    segment->sealed = task->seal || !task->known;
    for (struct message *message = task->messages, *next; message != NULL; message = next) {
        next = message->next;
        delivery_arrived(qmgr, segment, message);
    }
    /* An index of the new letters, and the space of a segment that is done, at leisure. */
    delivery_flush_within(qmgr, segment->sealed ? STATES_DELAY_MS : QMGR_SYNC_RETRY_MS);
    task_free(base);
    if (!segments_forget_done(&qmgr->segments, segment))
        pump(intake, segment);
}

/* Posts a scan when there is something to scan and none under way. */
static void pump(struct intake *intake, struct segment *segment)
{
    bool something =
        segment->wanted_end > segment->scanned_end || segment->tail_wanted || segment->seal_wanted;
    if (intake->state != INTAKE_SERVING || segment->scanning || segment->sealed || !something)
        return;
    struct task_scan *task = task_scan_new(segment->number, segment->wanted_end, scanned, intake);
    task->tail = segment->tail_wanted;
    task->seal = segment->tail_wanted || segment->seal_wanted;
    segment->scanning = true;
    helper_post(intake->qmgr->helper, &task->task);
}

/* ---- making and giving ---- */

/* Wants are answered at the end of the turn: then the latest word of each writer is known. */
static void wake(struct intake *intake)
{
    loop_later(intake->qmgr->loop, &intake->turn);
}

/* A private segment holds one message of the greatest size with its envelope. */
static uint64_t size_of(const struct intake *intake, enum spool_kind kind)
{
    const struct conf *conf = intake->qmgr->conf;
    return kind == SPOOL_SHARED ? conf->segment_size : conf->limits.message_size + PRIVATE_EXTRA;
}

/* False when the writer's channel does not take it: the segment stays in stock. */
static bool give(struct writer *writer, const struct made *made)
{
    struct intake *intake = writer->intake;
    uint64_t size = size_of(intake, made->block.kind);
    if (writer->channel == NULL) {
        spool_writer_give(intake->own_writer,
                          &(struct spool_grant){made->fd, made->block.number, made->block.salt,
                                                made->block.kind, size});
    } else {
        struct segment_give words = {made->block.number, made->block.salt,
                                     (uint8_t)made->block.kind, size};
        if (!channel_send(writer->channel, &ipc_segment_give, &words, &made->fd))
            return false;
        (void)close(made->fd);
    }
    segments_get(&intake->qmgr->segments, made->block.number)->writer = writer;
    return true;
}

/* Hands out what is in stock; the rest waits for segments to be made. */
static void give_wanted(struct writer *writer, size_t kind)
{
    struct stock *stock = &writer->intake->stocks[kind];
    while (writer->want[kind] > 0 && stock->count > 0) {
        if (!give(writer, &stock->items[stock->count - 1]))
            return;
        stock->count--;
        writer->want[kind]--;
    }
}

/* A new pair is on the disk, its directory entry too. Without one, mail is refused by smtpd (452)
 * once its own are used up, so this is tried again and again. */
static void made(void *arg, struct helper_task *base)
{
    struct intake *intake = arg;
    struct task_make *task = (struct task_make *)base;
    size_t kind = task->kind == SPOOL_SHARED ? 0 : 1;
    struct stock *stock = &intake->stocks[kind];
    stock->making--;
    if (task->fd < 0) {
        log_event(LOG_ERROR, "segment-not-made", LOG_ERRNO(task->error));
        timer_set(&intake->make_timer, INTAKE_MAKE_RETRY_MS);
    } else {
        require(stock->count < STOCK_MOST);
        stock->items[stock->count++] = (struct made){task->fd, task->block};
        struct segment *segment = segments_get(&intake->qmgr->segments, task->block.number);
        segment->sealed = false;
        segment->wanted_end = segment->scanned_end = SPOOL_BLOCK;
        wake(intake);
    }
    task_free(base);
}

/* As many as are wanted, and the stock; no more than it can hold at a time. */
static void make_ahead(struct intake *intake, size_t kind, unsigned wanted)
{
    struct stock *stock = &intake->stocks[kind];
    unsigned most = wanted + stock_of[kind];
    if (most > STOCK_MOST)
        most = STOCK_MOST;
    while (stock->count + stock->making < most) {
        stock->making++;
        helper_post(intake->qmgr->helper, &task_make_new(kind_of[kind], made, intake)->task);
    }
}

/* Nothing before recovery: until then nobody knows which numbers and files are in use. */
static void supply(void *arg)
{
    struct intake *intake = arg;
    if (intake->state != INTAKE_SERVING || intake->draining || timer_is_set(&intake->make_timer))
        return;
    for (size_t kind = 0; kind < KINDS; kind++) {
        unsigned wanted = 0;
        struct writer *writer;
        LIST_FOREACH (writer, &intake->writers, link) {
            give_wanted(writer, kind);
            wanted += writer->want[kind];
        }
        make_ahead(intake, kind, wanted);
    }
}

/* ---- what a writer says ---- */

/* The segment when it is this writer's to speak of; else NULL, logged. */
static struct segment *segment_of(const struct writer *writer, uint64_t number)
{
    struct segment *segment = segments_find(&writer->intake->qmgr->segments, number);
    if (segment != NULL && segment->writer == writer)
        return segment;
    log_event(LOG_ERROR, "segment-not-held", LOG_UINT("segment", number));
    return NULL;
}

/* Cumulative and idempotent: an end that was heard before changes nothing. */
static void on_durable(struct writer *writer, uint64_t number, uint64_t end, bool seal)
{
    struct segment *segment = segment_of(writer, number);
    if (segment == NULL)
        return;
    if (end > segment->wanted_end)
        segment->wanted_end = end;
    segment->seal_wanted |= seal;
    if (seal)
        segment->writer = NULL;
    pump(writer->intake, segment);
}

/* The latest word counts, not the sum. */
static void on_want(struct writer *writer, unsigned shared, unsigned private)
{
    writer->want[0] = shared;
    writer->want[1] = private;
    wake(writer->intake);
}

static void begin_when_reported(struct intake *intake);

/* A segment in hand: before recovery new to us; after it, ours, unless its writer was taken for
 * dead. */
static void on_held(struct writer *writer, const struct segment_held *words)
{
    struct intake *intake = writer->intake;
    struct segments *segments = &intake->qmgr->segments;
    if (words->number != 0 && intake->state == INTAKE_GATHERING) {
        struct segment *segment = segments_get(segments, words->number);
        segment->writer = writer;
        segment->sealed = false;
        segment->wanted_end = segment->scanned_end = words->durable_end;
    } else if (words->number != 0) {
        struct segment *segment = segments_find(segments, words->number);
        if (segment != NULL && segment->writer == NULL && !segment->sealed)
            segment->writer = writer;
        on_durable(writer, words->number, words->durable_end, false);
    }
    writer->reported |= words->last != 0;
    begin_when_reported(intake);
}

static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct writer *writer = arg;
    (void)channel;
    (void)fds;
    if (type == &ipc_segment_durable) {
        const struct segment_durable *words = message;
        on_durable(writer, words->number, words->end, false);
    } else if (type == &ipc_segment_want) {
        const struct segment_want *words = message;
        on_want(writer, words->shared, words->private);
    } else if (type == &ipc_segment_sealed) {
        const struct segment_sealed *words = message;
        on_durable(writer, words->number, words->end, true);
    } else if (type == &ipc_segment_held) {
        on_held(writer, message);
    }
}

/* Its segments have no writer any more. One that recovery has not seen yet is left to it. */
static void abandon_segments(struct writer *writer)
{
    struct intake *intake = writer->intake;
    struct segment *segment, *next;
    HASH_ITER (hh, intake->qmgr->segments.by_number, segment, next) {
        if (segment->writer != writer)
            continue;
        segment->writer = NULL;
        segment->tail_wanted = true;
        segment->sealed = intake->state == INTAKE_GATHERING;
        if (!segments_forget_done(&intake->qmgr->segments, segment))
            pump(intake, segment);
    }
}

/* One writer less to wait for: that may be what recovery waited for. */
static void on_closed(void *arg, struct channel *channel)
{
    struct writer *writer = arg;
    struct intake *intake = writer->intake;
    abandon_segments(writer);
    LIST_REMOVE(writer, link);
    channel_free(channel);
    mem_free(writer);
    begin_when_reported(intake);
}

/* At the head: order does not matter, and removing is cheap. */
void intake_connect(struct intake *intake, int fd)
{
    struct writer *writer = mem_new(sizeof *writer);
    const struct channel_calls calls = {on_message, on_closed, writer};
    writer->intake = intake;
    writer->channel = channel_new(intake->qmgr->loop, fd, &calls);
    LIST_INSERT_HEAD(&intake->writers, writer, link);
}

/* ---- recovery ---- */

/* A million entries come in parts of a few thousand, so the loop serves others in between. */
static void found(void *arg, struct helper_task *base)
{
    const struct intake *intake = arg;
    const struct task_found *part = (const struct task_found *)base;
    for (size_t i = 0; i < part->count; i++)
        delivery_recovered(intake->qmgr, &part->entries[i]);
    task_free(base);
}

/* From here on segments are given and released, jobs and retries begin. */
static void recovered(void *arg, struct helper_task *base)
{
    struct intake *intake = arg;
    struct qmgr *qmgr = intake->qmgr;
    const struct task_recover *task = (const struct task_recover *)base;
    if (!task->ok)
        fatal(EX_IOERR, "the spool can not be recovered: %s", log_errno_text(task->error));
    task_free(base);
    log_event(LOG_INFO, "spool-recovered", LOG_UINT("deferred", qmgr->queue.counts[QUEUE_DEFERRED]),
              LOG_UINT("held", qmgr->queue.counts[QUEUE_HELD]));
    intake->state = INTAKE_SERVING;
    struct segment *segment, *next;
    HASH_ITER (hh, qmgr->segments.by_number, segment, next) {
        pump(intake, segment);
    }
    wake(intake);
    retry_start(qmgr->retries);
    timer_set(&qmgr->measure_timer, 0);
    pressure_touch(qmgr);
}

/* All that the writers reported is read up to their durable end; everything else is sealed. */
static void recover(struct intake *intake)
{
    struct segments *segments = &intake->qmgr->segments;
    struct task_recover *task = task_recover_new(segments->in_use, found, recovered, intake);
    size_t count = 0;
    for (struct segment *segment = segments->by_number; segment != NULL; segment = segment->hh.next)
        task->held[count++] = (struct spool_held){segment->number, segment->wanted_end};
    intake->state = INTAKE_RECOVERING;
    helper_post(intake->qmgr->helper, &task->task);
}

/* A writer that is gone has nothing to report; one that hangs holds recovery back, and master's
 * watchdog ends it. */
static void begin_when_reported(struct intake *intake)
{
    const struct writer *writer;
    if (!intake->started || intake->state != INTAKE_GATHERING)
        return;
    LIST_FOREACH (writer, &intake->writers, link)
        if (!writer->reported)
            return;
    recover(intake);
}

/* Nothing to wait for when no smtpd is there. */
void intake_start(struct intake *intake)
{
    intake->started = true;
    begin_when_reported(intake);
}

/* ---- qmgr's own writer ---- */

/* The same words as an smtpd's, said without a socket. */
static void own_want(void *arg, unsigned shared, unsigned private)
{
    struct intake *intake = arg;
    on_want(&intake->own, shared, private);
}

/* As an smtpd would say it. */
static void own_durable(void *arg, uint64_t number, uint64_t end)
{
    struct intake *intake = arg;
    on_durable(&intake->own, number, end, false);
}

static void own_sealed(void *arg, uint64_t number, uint64_t end)
{
    struct intake *intake = arg;
    on_durable(&intake->own, number, end, true);
}

struct spool_writer *intake_writer(struct intake *intake)
{
    return intake->own_writer;
}

/* A bounce under way keeps the segment open: the next qmgr scans its tail. */
void intake_drain(struct intake *intake)
{
    intake->draining = true;
    if (!spool_writer_busy(intake->own_writer))
        spool_writer_seal(intake->own_writer);
}

/* Behind a failure: the disk may have room again. */
static void supply_again(void *arg)
{
    wake(arg);
}

/* qmgr's own writer keeps one segment and no spares: bounces are few. */
struct intake *intake_new(struct qmgr *qmgr)
{
    struct intake *intake = mem_new(sizeof *intake);
    const struct spool_writer_calls calls = {own_want, own_durable, own_sealed, intake};
    intake->qmgr = qmgr;
    intake->turn = (struct turn){.run = supply, .arg = intake};
    timer_init(&intake->make_timer, qmgr->loop, supply_again, intake);
    LIST_INIT(&intake->writers);
    intake->own = (struct writer){.intake = intake, .reported = true};
    LIST_INSERT_HEAD(&intake->writers, &intake->own, link);
    intake->own_writer = spool_writer_new(qmgr->loop, &calls, 0, 0);
    return intake;
}

void intake_free(struct intake *intake)
{
    intake->state = INTAKE_GATHERING; /* the last words of our own writer post no task */
    timer_cancel(&intake->make_timer);
    loop_forget(intake->qmgr->loop, &intake->turn);
    spool_writer_free(intake->own_writer);
    struct writer *writer, *next;
    LIST_FOREACH_SAFE (writer, &intake->writers, link, next) {
        if (writer == &intake->own)
            continue;
        channel_free(writer->channel);
        mem_free(writer);
    }
    for (size_t kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < intake->stocks[kind].count; i++)
            (void)close(intake->stocks[kind].items[i].fd);
    mem_free(intake);
}
