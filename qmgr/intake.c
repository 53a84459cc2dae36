/*
 * A segment has one writer, and what counts of it is the writer's word: so far it is durable. Words
 * come faster than the helper scans; so each segment remembers the latest one, one scan is under
 * way at a time, and however many letters came meanwhile are one task.
 *
 * A writer that dies leaves segments whose end nobody knows: the tail is scanned as recovery does,
 * then they are sealed. That its socket is closed does not say that it died: the lock of the
 * segment does, and until it is free the segment is left alone and looked at again.
 */
#include "qmgr/intake_parts.h"

#include <sysexits.h>
#include <unistd.h>

#include "qmgr/agents.h"
#include "qmgr/delivery.h"
#include "qmgr/retry.h"
#include "qmgr/runs.h"
#include "util/base/panic.h"

static const enum spool_kind kind_of[KINDS] = {SPOOL_SHARED, SPOOL_PRIVATE};
static const unsigned stock_of[KINDS] = {INTAKE_STOCK_SHARED, INTAKE_STOCK_PRIVATE};

/* ---- whose a segment is ---- */

/* It goes on the account of whoever had it before no longer. */
static void let_go(struct segment *segment)
{
    if (segment->holder != NULL) {
        segment->holder->held--;
        intake_wake(segment->holder->intake);
    }
    segment->holder = NULL;
}

static void hold(struct segment *segment, struct writer *writer)
{
    let_go(segment);
    segment->writer = segment->holder = writer;
    writer->held++;
}

/* Told once in a writer's life. */
static bool holds_too_many(struct writer *writer)
{
    if (writer->held < INTAKE_HELD_MOST)
        return false;
    if (!writer->told)
        log_event(LOG_ERROR, "writer-holds-too-many", LOG_UINT("segments", writer->held));
    writer->told = true;
    return true;
}

/* ---- scans ---- */

/* Damage is an alarm; what can not be read now the store has told of. */
static void note_damage(const struct intake *intake, const struct task_scan *task)
{
    if (task->known && task->result != SPOOL_SCAN_DAMAGED)
        return;
    log_event(LOG_ERROR, "segment-damaged", LOG_UINT("segment", task->number),
              LOG_STR("reason", task->known ? "a bad record was set aside" : "not there"));
    page_add(intake->qmgr->page, PAGE_CORRUPT, 1);
}

/* Until the timer fires the segment is left alone. The shorter wait wins: locks end soon, and to
 * read once more does no harm. */
static void rest(struct intake *intake, struct segment *segment, const struct task_scan *task)
{
    bool later = task->result == SPOOL_SCAN_LATER;
    segment->resting = !segment->sealed && (later || task->tail || task->seal);
    if (!segment->resting)
        return;
    if (!later)
        timer_set(&intake->rest_timer, INTAKE_TAIL_RETRY_MS);
    else if (!timer_is_set(&intake->rest_timer))
        timer_set(&intake->rest_timer, INTAKE_READ_RETRY_MS);
}

/* The letters of the scan go their way in the order of the record; then, if more came
 * meanwhile, the next scan. */
static void scanned(void *arg, struct helper_task *base)
{
    struct intake *intake = arg;
    struct qmgr *qmgr = intake->qmgr;
    struct task_scan *task = (struct task_scan *)base;
    struct segment *segment = segments_get(&qmgr->segments, task->number);
    note_damage(intake, task);
    segment->scanning = false;
    if (task->result != SPOOL_SCAN_LATER)
        segment->scanned_end = task->end;
    segment->sealed = task->sealed || !task->known;
    if (segment->sealed)
        let_go(segment);
    rest(intake, segment, task);
    for (struct message *message = task->messages, *next; message != NULL; message = next) {
        next = message->next;
        delivery_arrived(qmgr, segment, message);
    }
    /* An index of the new letters, and the space of a segment that is done, at leisure. */
    delivery_flush_within(qmgr, segment->sealed ? STATES_DELAY_MS : DELIVERY_RETRY_MS);
    task_free(base);
    if (!segments_forget_done(&qmgr->segments, segment))
        intake_pump(intake, segment);
}

/* Posts a scan when there is something to scan and none under way. */
void intake_pump(struct intake *intake, struct segment *segment)
{
    bool something =
        segment->wanted_end > segment->scanned_end || segment->tail_wanted || segment->seal_wanted;
    bool busy = segment->scanning || segment->resting;
    if (intake->state != INTAKE_SERVING || busy || segment->sealed || !something)
        return;
    struct task_scan *task = task_scan_new(segment->number, segment->wanted_end, scanned, intake);
    task->tail = segment->tail_wanted;
    task->seal = segment->seal_wanted;
    segment->scanning = true;
    helper_post(intake->qmgr->helper, &task->task);
}

/* Whoever still wrote to a segment that nobody speaks for may have ended meanwhile, and the disk
 * may be well again. */
static void try_again(void *arg)
{
    struct intake *intake = arg;
    struct segment *segment, *next;
    HASH_ITER (hh, intake->qmgr->segments.by_number, segment, next) {
        segment->resting = false;
        intake_pump(intake, segment);
    }
}

/* ---- making and giving ---- */

/* Wants are answered at the end of the turn: then the latest word of each writer is known. */
void intake_wake(struct intake *intake)
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
        struct segment_give message = {made->block.number, made->block.salt,
                                       (uint8_t)made->block.kind, size};
        if (!channel_send(writer->channel, &ipc_segment_give, &message, &made->fd))
            return false;
        (void)close(made->fd);
    }
    hold(segments_get(&intake->qmgr->segments, made->block.number), writer);
    return true;
}

/* Hands out what is in stock; how many have to be made for the rest of what it may have. */
static unsigned give_wanted(struct writer *writer, size_t kind)
{
    struct stock *stock = &writer->intake->stocks[kind];
    while (writer->want[kind] > 0) {
        if (holds_too_many(writer))
            return 0;
        if (stock->count == 0 || !give(writer, &stock->items[stock->count - 1]))
            break;
        stock->count--;
        writer->want[kind]--;
    }
    return writer->want[kind];
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
        segment->salt = task->block.salt;
        segment->sealed = false;
        segment->wanted_end = segment->scanned_end = SPOOL_BLOCK;
        intake_wake(intake);
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
            wanted += give_wanted(writer, kind);
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
void intake_durable(struct writer *writer, uint64_t number, uint64_t end, bool seal)
{
    struct segment *segment = segment_of(writer, number);
    if (segment == NULL)
        return;
    if (end > segment->wanted_end)
        segment->wanted_end = end;
    segment->seal_wanted |= seal;
    if (seal)
        segment->writer = NULL;
    intake_pump(writer->intake, segment);
}

/* The latest word counts, not the sum. */
static void on_want(struct writer *writer, unsigned shared, unsigned private)
{
    writer->want[0] = shared;
    writer->want[1] = private;
    intake_wake(writer->intake);
}

static void on_durable(struct writer *writer, uint64_t number, uint64_t end, bool seal)
{
    if (writer->intake->state == INTAKE_SERVING)
        intake_durable(writer, number, end, seal);
    else
        intake_claim_durable(writer, number, end, seal);
}

/* Nobody can seal a segment under another's letters: who speaks for it must know its salt. Whoever
 * comes late, when its tail is waited for, speaks for his own again. */
void intake_take_up(struct writer *writer, const struct segment_held *said)
{
    struct segment *segment = segments_find(&writer->intake->qmgr->segments, said->number);
    if (segment == NULL || segment->sealed || !spool_salt_equal(&segment->salt, &said->salt)) {
        log_event(LOG_ERROR, "segment-not-proven", LOG_UINT("segment", said->number));
        return;
    }
    if (segment->writer == NULL) {
        hold(segment, writer);
        segment->tail_wanted = segment->resting = false;
    }
    intake_durable(writer, said->number, said->durable_end, false);
}

/* Before recovery is over it is not known which segments there are. */
static void on_held(struct writer *writer, const struct segment_held *held)
{
    if (held->number != 0 && writer->intake->state == INTAKE_SERVING)
        intake_take_up(writer, held);
    else if (held->number != 0)
        intake_claim(writer, held);
    writer->reported |= held->last != 0;
    intake_begin_when_reported(writer->intake);
}

static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct writer *writer = arg;
    (void)fds;
    if (type == &ipc_segment_durable) {
        const struct segment_durable *durable = message;
        on_durable(writer, durable->number, durable->end, false);
    } else if (type == &ipc_segment_want) {
        const struct segment_want *want = message;
        on_want(writer, want->shared, want->private);
    } else if (type == &ipc_segment_sealed) {
        const struct segment_sealed *sealed = message;
        on_durable(writer, sealed->number, sealed->end, true);
    } else if (type == &ipc_segment_held) {
        on_held(writer, message);
    } else if (type == &ipc_queue_run) {
        runs_ask(writer->intake->qmgr->runs, channel, message);
    }
}

/* Its segments have no writer any more. */
static void abandon_segments(struct writer *writer)
{
    struct intake *intake = writer->intake;
    struct segment *segment, *next;
    intake_forget_claims(writer);
    HASH_ITER (hh, intake->qmgr->segments.by_number, segment, next) {
        if (segment->holder == writer)
            let_go(segment);
        if (segment->writer != writer)
            continue;
        segment->writer = NULL;
        segment->tail_wanted = true;
        if (!segments_forget_done(&intake->qmgr->segments, segment))
            intake_pump(intake, segment);
    }
}

/* One writer less to wait for: that may be what recovery waited for. */
static void on_closed(void *arg, struct channel *channel)
{
    struct writer *writer = arg;
    struct intake *intake = writer->intake;
    abandon_segments(writer);
    runs_forget(intake->qmgr->runs, channel);
    LIST_REMOVE(writer, link);
    channel_free(channel);
    mem_free(writer);
    intake_begin_when_reported(intake);
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

/* What is in hand is enough for the bounces that are still to come. */
void intake_drain(struct intake *intake)
{
    intake->draining = true;
}

/* A letter under way keeps the segment open: were it never sealed, the next qmgr would scan its
 * tail. */
bool intake_seal(struct intake *intake)
{
    if (spool_writer_busy(intake->own_writer))
        return false;
    spool_writer_seal(intake->own_writer);
    return true;
}

/* Behind a failure: the disk may have room again. */
static void supply_again(void *arg)
{
    intake_wake(arg);
}

/* qmgr's own writer keeps one segment and no spares: bounces are few. */
struct intake *intake_new(struct qmgr *qmgr)
{
    struct intake *intake = mem_new(sizeof *intake);
    const struct spool_writer_calls calls = {own_want, own_durable, own_sealed, intake};
    intake->qmgr = qmgr;
    intake->turn = (struct turn){.run = supply, .arg = intake};
    timer_init(&intake->make_timer, qmgr->loop, supply_again, intake);
    timer_init(&intake->gather_timer, qmgr->loop, intake_gathered_enough, intake);
    timer_init(&intake->rest_timer, qmgr->loop, try_again, intake);
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
    timer_cancel(&intake->gather_timer);
    timer_cancel(&intake->rest_timer);
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
    mem_free(intake->claims);
    mem_free(intake);
}
