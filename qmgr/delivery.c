/*
 * One path for every recipient: found, decided or given to an agent, settled, written. An outcome
 * is logged when it is known and counts when it is synced: between the two a crash repeats the
 * attempt, and never loses it.
 */
#include "qmgr/delivery.h"

#include <inttypes.h>
#include <stdio.h>

#include "qmgr/agents.h"
#include "qmgr/bounce.h"
#include "qmgr/domain_hash.h"
#include "qmgr/pressure.h"
#include "qmgr/retry.h"
#include "util/base/clock.h"
#include "util/base/panic.h"

/* Only for entries that have their message: READING to SETTLING. */
static const struct message_recipient *recipient_of(const struct queue_entry *entry)
{
    return &entry->message->recipients[entry->recipient];
}

/* ---- in ---- */

/* What qmgr decides by itself, without an agent. A letter that came to be held is so until it had
 * its first fate, which is to be held: whoever releases it does not find it held again. */
static bool is_decided(const struct message *message, const struct message_recipient *to,
                       uint8_t tries, struct fate *fate)
{
    if (message->flags & RECORD_FLAG_HOLD && tries == 0) {
        *fate = fate_of_hold();
        return true;
    }
    return fate_of_transport(to->transport, to->nexthop, fate);
}

/* A recipient that needs an agent waits cold, without its message, while too many are before it:
 * the retries take it up again when there is room. One that qmgr decides itself never waits. */
static void arrive(struct qmgr *qmgr, struct segment *segment, struct message *message,
                   uint16_t recipient)
{
    const struct message_recipient *to = &message->recipients[recipient];
    struct fate fate;
    bool cold =
        queue_busy(&qmgr->queue) >= PRESSURE_BUSY_MOST && !is_decided(message, to, 0, &fate);
    struct queue_entry entry = {
        .message = cold ? NULL : message,
        .segment = segment->index,
        .slot = to->slot,
        .place = (uint32_t)(message->offset / SPOOL_ALIGN),
        .recipient = recipient,
        .domain = domain_hash(domain_of_address(to->address)),
        .state = cold ? QUEUE_DEFERRED : QUEUE_READING,
        .time = cold ? retry_now() : 0,
    };
    uint32_t number = queue_add(&qmgr->queue, &entry);
    segment->outstanding++;
    if (cold)
        retry_wake(qmgr->retries);
    else
        delivery_dispatch(qmgr, number);
}

/* Many recipients, one message: it lives until the last of them is settled or cold. */
void delivery_arrived(struct qmgr *qmgr, struct segment *segment, struct message *message)
{
    message->users++; /* ours, while its recipients are looked at */
    for (uint16_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].slot != MESSAGE_NO_SLOT)
            arrive(qmgr, segment, message, i);
    message_release(message);
    pressure_touch(qmgr);
}

/* The record is not read here: a million entries come without a million reads. */
void delivery_recovered(struct qmgr *qmgr, const struct found_entry *found)
{
    struct segment *segment = segments_get(&qmgr->segments, found->number);
    const struct state_entry *entry = &found->entry;
    bool held = entry->state == LETTER_HELD;
    segment->outstanding++;
    queue_add(&qmgr->queue, &(struct queue_entry){
                                .segment = segment->index,
                                .slot = found->slot,
                                .place = entry->place,
                                .recipient = entry->recipient,
                                .time = entry->state == LETTER_DEFERRED
                                            ? retry_due(&qmgr->conf->limits, entry->time)
                                            : 0,
                                .state = held ? QUEUE_HELD : QUEUE_DEFERRED,
                                .tries = entry->tries,
                                .flags = QUEUE_SEEN_BEFORE,
                            });
}

/* Some transports are decided on the spot; only "local" has an agent. */
void delivery_dispatch(struct qmgr *qmgr, uint32_t number)
{
    struct queue_entry *entry = queue_entry(&qmgr->queue, number);
    const struct message_recipient *to = recipient_of(entry);
    struct fate fate;
    if (is_decided(entry->message, to, entry->tries, &fate)) {
        delivery_settle(qmgr, number, fate);
        return;
    }
    queue_ready(&qmgr->queue, number, to->transport, SPAN("")); /* all mailboxes share one window */
    agents_wake(qmgr->agents);
}

/* ---- out ---- */

/* The one line that every attempt of every recipient gets. `delay` is seconds since arrival. */
static void log_fate(const struct queue_entry *entry, uint64_t now_us, const struct fate *fate)
{
    const struct message *message = entry->message;
    const struct message_recipient *to = recipient_of(entry);
    char id[SPOOL_ID_MAX], delay[32];
    uint64_t age_ms = now_us > message->arrival_us ? (now_us - message->arrival_us) / 1000 : 0;
    (void)snprintf(delay, sizeof delay, "%" PRIu64 ".%03u", age_ms / 1000,
                   (unsigned)(age_ms % 1000));
    log_event(LOG_INFO, fate_event(fate->kind),
              LOG_SPAN("id", spool_id_text(spool_id(message->number, message->offset), id)),
              LOG_SPAN("to", to->address), LOG_SPAN("transport", to->transport),
              LOG_STR("delay", delay), LOG_SPAN("status", fate->enhanced),
              LOG_SPAN("text", fate->text));
}

/* The spread is made of the place: recipients of one record share it. */
static struct fate_case case_of(const struct queue_entry *entry, uint64_t now_us)
{
    return (struct fate_case){
        .arrival_us = entry->message->arrival_us,
        .now_us = now_us,
        .spread = queue_spread(entry),
        .tries = entry->tries,
        .notification = message_is_notification(entry->message),
    };
}

/* What failed is told to its sender, or to the postmaster when it has none; a success is told to a
 * sender alone (RFC 3461 §6.1). */
static bool is_told(const struct queue_entry *entry, enum fate_kind kind)
{
    bool has_sender = !message_is_notification(entry->message);
    return fate_is_told(kind, recipient_of(entry)->notify) && (kind == FATE_FAILED || has_sender);
}

/* An attempt that a client asked for makes the wait before the next one no longer, or its asking
 * would do harm. The first one always counts: tries say that the recipient was seen. */
static void count_try(struct queue_entry *entry)
{
    bool extra = (entry->flags & QUEUE_HASTENED) != 0 && entry->tries > 0;
    if (!extra && entry->tries < UINT8_MAX)
        entry->tries++;
}

/* Counted, scheduled, logged, then either told to the sender or written. */
void delivery_settle(struct qmgr *qmgr, uint32_t number, struct fate fate)
{
    struct queue_entry *entry = queue_entry(&qmgr->queue, number);
    uint64_t now_us = clock_wall_us();
    if (entry->state == QUEUE_ACTIVE)
        queue_answered(&qmgr->queue, number, fate.kind == FATE_DELIVERED);
    else
        queue_decided(&qmgr->queue, number);
    count_try(entry);
    struct fate_case facts = case_of(entry, now_us);
    uint32_t due = fate_schedule(&qmgr->conf->limits, &facts, &qmgr->scratch, &fate);
    log_fate(entry, now_us, &fate);
    if (is_told(entry, fate.kind))
        bounce_add(qmgr->bounces, number, &fate);
    else
        delivery_change(qmgr, number, fate_state(fate.kind), due);
    arena_reset(&qmgr->scratch);
}

static void checked(void *arg, struct helper_task *base)
{
    struct qmgr *qmgr = arg;
    const struct task_check *task = (const struct task_check *)base;
    if (task->aside)
        page_add(qmgr->page, PAGE_CORRUPT, 1);
    delivery_settle(qmgr, task->queue_entry, fate_of_damage(task->result, task->aside));
    task_free(base);
}

void delivery_damaged(struct qmgr *qmgr, uint32_t number)
{
    const struct message *message = queue_entry(&qmgr->queue, number)->message;
    struct task_check *task = task_check_new(message->number, message->offset, checked, qmgr);
    task->queue_entry = number;
    helper_post(qmgr->helper, &task->task);
}

/* Of the failed bounce only the delay is known: no attempt is counted. */
void delivery_postpone(struct qmgr *qmgr, uint32_t number)
{
    const struct queue_entry *entry = queue_entry(&qmgr->queue, number);
    uint64_t now_us = clock_wall_us();
    struct fate_case facts = case_of(entry, now_us);
    delivery_change(qmgr, number, LETTER_DEFERRED,
                    (uint32_t)(now_us / 1000000) +
                        fate_delay(&qmgr->conf->limits, facts.tries, facts.spread));
}

/* A full batch goes out at once, a small one waits for others to share its sync. */
void delivery_change(struct qmgr *qmgr, uint32_t number, enum letter_state state, uint32_t time)
{
    struct queue_entry *entry = queue_entry(&qmgr->queue, number);
    require(entry->state == QUEUE_SETTLING);
    entry->time = time;
    states_add(&qmgr->states, &(struct state_change){
                                  .number = segments_at(&qmgr->segments, entry->segment)->number,
                                  .slot = entry->slot,
                                  .queue_entry = number,
                                  .entry = {.place = entry->place,
                                            .recipient = entry->recipient,
                                            .state = (uint8_t)state,
                                            .tries = entry->tries,
                                            .time = time != 0 ? time : clock_wall()},
                              });
    delivery_flush_within(qmgr, qmgr->states.pending.count < STATES_BATCH ? STATES_DELAY_MS : 0);
}

/* ---- written ---- */

/* The last settled recipient of a sealed segment ends what the loop knows of it; the store gave the
 * space back with the sync that brought us here. */
static void entry_done(struct qmgr *qmgr, uint32_t number, enum page_value counter)
{
    struct segment *segment =
        segments_at(&qmgr->segments, queue_entry(&qmgr->queue, number)->segment);
    queue_remove(&qmgr->queue, number);
    page_add(qmgr->page, counter, 1);
    segment->outstanding--;
    if (segment->outstanding == 0 && segment->sealed) {
        agents_forget(qmgr->agents, segment->number);
        (void)segments_forget_done(&qmgr->segments, segment);
    }
}

/* The new state is on the disk: only now does it count. */
static void settled(void *arg, const struct state_change *change)
{
    struct qmgr *qmgr = arg;
    uint32_t number = change->queue_entry;
    switch ((enum letter_state)change->entry.state) {
    case LETTER_DELIVERED:
        entry_done(qmgr, number, PAGE_DELIVERED);
        break;
    case LETTER_BOUNCED:
        entry_done(qmgr, number, PAGE_BOUNCED);
        break;
    case LETTER_HELD:
        queue_hold(&qmgr->queue, number);
        break;
    case LETTER_DEFERRED:
        queue_defer(&qmgr->queue, number, retry_due(&qmgr->conf->limits, change->entry.time));
        retry_wake(qmgr->retries);
        break;
    case LETTER_NONE:
    case LETTER_WAITING:
        panic("a recipient settled as %u", change->entry.state);
    }
}

/* A batch is through. What failed is tried again with all that came meanwhile; nothing of it has
 * settled, so a crash now repeats attempts and loses none. */
static void written(void *arg, struct helper_task *base)
{
    struct qmgr *qmgr = arg;
    struct task_states *task = (struct task_states *)base;
    size_t failed = states_end(&qmgr->states, settled, qmgr);
    if (failed > 0 && failed != qmgr->states_failed)
        log_event(LOG_ERROR, "states-not-written", LOG_ERRNO(task->error),
                  LOG_UINT("changes", failed));
    qmgr->states_failed = failed;
    qmgr->segment_count = task->segments;
    if (qmgr->states.pending.count > failed)
        delivery_flush_within(qmgr, STATES_DELAY_MS);
    else if (!task->ok)
        delivery_flush_within(qmgr, DELIVERY_RETRY_MS);
    task_free(base);
    pressure_touch(qmgr);
}

/* A batch under way posts the next one when it ends. */
static void flush(void *arg)
{
    struct qmgr *qmgr = arg;
    struct state_list *batch = states_begin(&qmgr->states);
    if (batch == NULL)
        return;
    struct task_states *task = task_states_new(batch, written, qmgr);
    helper_post(qmgr->helper, &task->task);
}

/* The nearest deadline wins: a later wish never moves an earlier one. */
void delivery_flush_within(struct qmgr *qmgr, int64_t ms)
{
    int64_t at = loop_now(qmgr->loop) + ms;
    if (!timer_is_set(&qmgr->flush_timer) || at < qmgr->flush_at) {
        timer_set(&qmgr->flush_timer, ms);
        qmgr->flush_at = at;
    }
    pressure_touch(qmgr);
}

/* Cold entries do not count: they are on the disk. The recipients of a bounce are SETTLING from
 * their failure until their state is written: to end before would tell the sender twice. */
bool delivery_is_quiet(const struct qmgr *qmgr)
{
    return qmgr->queue.counts[QUEUE_ACTIVE] == 0 && qmgr->queue.counts[QUEUE_SETTLING] == 0 &&
           !qmgr->states.writing && qmgr->states.pending.count == 0;
}

/* Only prepares: the first change sets the timer. */
void delivery_start(struct qmgr *qmgr)
{
    timer_init(&qmgr->flush_timer, qmgr->loop, flush, qmgr);
}
