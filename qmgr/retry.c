/*
 * What was read is a fresh message: nothing of the attempt before is needed but the entry, which is
 * READING meanwhile, so that nobody else touches it and its segment stays.
 */
#include "qmgr/retry.h"

#include "qmgr/delivery.h"
#include "qmgr/domain_hash.h"
#include "qmgr/pressure.h"
#include "qmgr/readings.h"
#include "util/base/clock.h"
#include "util/base/panic.h"

enum { WAIT_MOST_S = 3600, BLOCKED_MS = 50 };

/* One batch at a time. */
struct retries {
    struct qmgr *qmgr;
    struct timer timer;
    struct turn turn;
    bool started, reading;
    struct readings batch; /* under way */
};

/* One question to lookup. */
struct ask {
    struct qmgr *qmgr;
    uint32_t number;
};

bool retry_fate(enum resolve_status status, struct fate *fate)
{
    static const struct fate fates[] = {
        [RESOLVE_UNKNOWN_USER] = {FATE_FAILED, SPAN_INIT("5.1.1"), SPAN_INIT("user unknown"),
                                  false},
        [RESOLVE_RELAY_DENIED] = {FATE_FAILED, SPAN_INIT("5.7.1"), SPAN_INIT("relaying denied"),
                                  false},
        [RESOLVE_LOOP] = {FATE_FAILED, SPAN_INIT("5.4.6"), SPAN_INIT("alias loop"), false},
        [RESOLVE_TOO_MANY] = {FATE_FAILED, SPAN_INIT("5.3.4"), SPAN_INIT("too many recipients"),
                              false},
        [RESOLVE_TEMPORARY] = {FATE_DEFERRED, SPAN_INIT("4.3.0"),
                               SPAN_INIT("the address can not be looked up now"), false},
        [RESOLVE_DENIED] = {FATE_FAILED, SPAN_INIT("5.1.1"), SPAN_INIT("user unknown"), false},
    };
    if (status == RESOLVE_OK)
        return true;
    /* A number that nobody defined is lookup's trouble, not the sender's. */
    *fate = fates[(unsigned)status <= RESOLVE_DENIED ? status : RESOLVE_TEMPORARY];
    return false;
}

/* Lookup said where the recipient goes today: the record's own route counts only when lookup names
 * several targets and none of them is this one. */
static void resolved(void *arg, const struct resolver_answer *answer)
{
    struct ask ask = *(struct ask *)arg;
    mem_free(arg);
    struct queue_entry *entry = queue_entry(&ask.qmgr->queue, ask.number);
    struct fate fate;
    if (!retry_fate(answer->status, &fate)) {
        delivery_settle(ask.qmgr, ask.number, fate);
        return;
    }
    struct message *message = entry->message;
    const struct resolver_target *target =
        resolver_pick(answer, message->recipients[entry->recipient].address);
    if (target != NULL)
        message_route(message, entry->recipient, target->transport, target->nexthop);
    delivery_dispatch(ask.qmgr, ask.number);
}

/* ---- what was read ---- */

/* A record that can not be used: tried again later, or done with (there is a copy for the
 * operator), or, without a copy, held. */
static void unreadable(struct qmgr *qmgr, uint32_t number, const struct read_item *item)
{
    char id[SPOOL_ID_MAX];
    bool io = item->result == RECORD_IO;
    log_event(LOG_ERROR, "record-unreadable",
              LOG_SPAN("id", spool_id_text(spool_id(item->number, item->offset), id)),
              LOG_STR("reason", io ? "input or output error" : "damaged"));
    queue_decided(&qmgr->queue, number);
    if (io) {
        uint32_t delay = fate_delay(&qmgr->conf->limits, 1, item->offset);
        delivery_change(qmgr, number, LETTER_DEFERRED, clock_wall() + delay);
        return;
    }
    page_add(qmgr->page, PAGE_CORRUPT, 1);
    delivery_change(qmgr, number, item->aside ? LETTER_BOUNCED : LETTER_HELD, 0);
}

/* The record is at hand again: ask lookup, then the recipient goes the way of a new one. */
static void take_up(struct qmgr *qmgr, uint32_t number, struct read_item *item)
{
    struct queue_entry *entry = queue_entry(&qmgr->queue, number);
    if (item->message == NULL || entry->recipient >= item->message->recipient_count) {
        if (item->result == RECORD_OK)
            item->result = RECORD_BAD;
        unreadable(qmgr, number, item);
        return;
    }
    queue_attach(&qmgr->queue, number, item->message);
    struct span address = item->message->recipients[entry->recipient].address;
    entry->domain = domain_hash(domain_of_address(address));
    page_add(qmgr->page, PAGE_RETRIED, 1);
    struct ask *ask = mem_new(sizeof *ask);
    *ask = (struct ask){qmgr, number};
    resolver_ask(qmgr->resolver, address, resolved, ask);
}

/* Walks entries and records side by side; several entries may share a record. */
static void records_read(void *arg, struct helper_task *base)
{
    struct retries *retries = arg;
    struct task_read *task = (struct task_read *)base;
    size_t at = 0;
    for (size_t i = 0; i < task->count; i++)
        if (task->items[i].message != NULL)
            task->items[i].message->users++; /* ours, while its recipients take it up */
    for (size_t i = 0; i < retries->batch.count; i++) {
        const struct reading *reading = &retries->batch.items[i];
        take_up(retries->qmgr, reading->entry, readings_item(task, &at, reading));
    }
    for (size_t i = 0; i < task->count; i++)
        if (task->items[i].message != NULL)
            message_release(task->items[i].message);
    task_free(base);
    retries->reading = false;
    retries->batch.count = 0;
    retry_wake(retries);
    pressure_touch(retries->qmgr);
}

/* ---- what is due ---- */

uint32_t retry_now(void)
{
    return (uint32_t)(clock_ms() / 1000);
}

/* fate_delay spreads by a fifth. */
uint32_t retry_due(const struct conf_limits *limits, uint32_t time)
{
    uint32_t now = clock_wall();
    uint64_t wait = time > now ? time - now : 0;
    uint64_t most = limits->retry_most + limits->retry_most / 5 + 1;
    return retry_now() + (uint32_t)(wait < most ? wait : most);
}

/* Takes up who is due; else sleeps until somebody is. */
static void look(void *arg)
{
    struct retries *retries = arg;
    struct queue *queue = &retries->qmgr->queue;
    if (!retries->started || retries->reading || retries->qmgr->daemon->draining)
        return;
    uint32_t now = retry_now();
    bool blocked = queue->counts[QUEUE_READY] + queue->counts[QUEUE_READING] >= RETRY_READY_MOST;
    struct readings *batch = &retries->batch;
    while (!blocked && batch->count < READ_ITEMS) {
        uint32_t number = queue_take_due(queue, now);
        if (number == QUEUE_NONE)
            break;
        batch->items[batch->count++] = readings_of(retries->qmgr, number);
    }
    if (batch->count > 0) {
        retries->reading = true;
        readings_post(batch, retries->qmgr, records_read, retries);
        return;
    }
    uint32_t due = queue_next_due(queue);
    int64_t wait = due > now ? (int64_t)(due - now) : 0;
    timer_set(&retries->timer,
              blocked ? BLOCKED_MS : 1000 * (wait < WAIT_MOST_S ? wait : WAIT_MOST_S));
}

/* Before recovery is over nothing is due: entries still come in. */
void retry_wake(struct retries *retries)
{
    if (retries->started)
        loop_later(retries->qmgr->loop, &retries->turn);
}

/* The first look may find a million entries due: batches keep it in bounds. */
void retry_start(struct retries *retries)
{
    retries->started = true;
    retry_wake(retries);
}

/* The timer and the turn end in the same look(). */
struct retries *retry_new(struct qmgr *qmgr)
{
    struct retries *retries = mem_new(sizeof *retries);
    retries->qmgr = qmgr;
    retries->turn = (struct turn){.run = look, .arg = retries};
    timer_init(&retries->timer, qmgr->loop, look, retries);
    return retries;
}

/* Questions to lookup that are under way end with the resolver. */
void retry_free(struct retries *retries)
{
    timer_cancel(&retries->timer);
    loop_forget(retries->qmgr->loop, &retries->turn);
    mem_free(retries);
}
