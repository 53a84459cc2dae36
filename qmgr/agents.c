/*
 * Credit is the agent's word about itself; the cap is ours. A job is known by a slot and a serial,
 * so that an answer to a job of yesterday, or one made up, settles nothing.
 */
#include "qmgr/agents.h"

#include <unistd.h>

#include "qmgr/delivery.h"
#include "qmgr/pressure.h"
#include "util/base/panic.h"

enum {
    BATCH = 16,         /* jobs an agent gets before it is the next one's turn */
    FULL_RETRY_MS = 500 /* a channel that took nothing is tried again */
};

/* A job in hand; the serial tells it from earlier ones in the same slot. */
struct agent_slot {
    uint32_t number; /* of the queue entry */
    uint32_t serial;
    bool used;
    bool sent; /* false: its segment is still being opened */
};

/* A segment that the agent has open, or will have. */
struct agent_view {
    uint64_t number;
    uint32_t jobs;
    bool open;
    int64_t used_at;
};

/* A process that delivers. Its slots are what it has in hand, its views what it has open. */
struct agent {
    LIST_ENTRY(agent) link;
    struct agents *agents;
    struct channel *channel;
    unsigned long long id;
    struct agent_slot *slots;
    size_t slot_count, in_hand;
    struct agent_view *views;
    size_t view_count, view_cap;
    uint32_t credit, serial;
    bool suspect; /* has one in hand, and nothing else */
    bool full;    /* its channel took no job when it was last tried */
};

struct agents {
    struct qmgr *qmgr;
    LIST_HEAD(, agent) list;
    struct turn turn;
    struct timer idle_timer, full_timer;
    unsigned long long last_id;
};

/* ---- segments of an agent ---- */

/* NULL when the agent has not been given that segment. Tens of views at most: idle ones are
 * forgotten. */
static struct agent_view *view_find(struct agent *agent, uint64_t number)
{
    for (size_t i = agent->view_count; i > 0; i--) /* the newest is the likeliest */
        if (agent->views[i - 1].number == number)
            return &agent->views[i - 1];
    return NULL;
}

/* The agent closes its descriptor; the last view takes this one's place in the array. */
static void view_drop(struct agent *agent, struct agent_view *view)
{
    struct agent_forget message = {view->number};
    if (view->open && !channel_send(agent->channel, &ipc_agent_forget, &message, NULL))
        log_event(LOG_WARN, "agent-deaf", LOG_UINT("segment", view->number));
    *view = agent->views[--agent->view_count];
}

static void segment_opened(void *arg, struct helper_task *base);

/* The descriptor is a separate open, made by the helper; jobs wait in their slots until it came. */
static struct agent_view *view_new(struct agent *agent, uint64_t number)
{
    if (agent->view_count == agent->view_cap) {
        agent->view_cap = agent->view_cap == 0 ? 8 : agent->view_cap * 2;
        agent->views = mem_resize(agent->views, agent->view_cap, sizeof *agent->views);
    }
    struct agent_view *view = &agent->views[agent->view_count++];
    *view = (struct agent_view){.number = number};
    struct task_reader *task = task_reader_new(number, segment_opened, agent->agents);
    task->token = agent->id;
    helper_post(agent->agents->qmgr->helper, &task->task);
    return view;
}

/* ---- jobs ---- */

/* The queue names segments by index, agents by number. */
static uint64_t segment_number(const struct agents *agents, const struct queue_entry *entry)
{
    return segments_at(&agents->qmgr->segments, entry->segment)->number;
}

/* By an earlier qmgr, to an agent that died, or to one that deferred it: that may have happened
 * behind the rename (a directory that could not be synced). */
static bool was_given_before(const struct queue_entry *entry)
{
    return (entry->flags & QUEUE_SEEN_BEFORE) != 0 || entry->tries > 0;
}

/* The job is out of the agent's hands. */
static void slot_release(struct agent *agent, struct agent_slot *slot)
{
    struct qmgr *qmgr = agent->agents->qmgr;
    struct agent_view *view =
        view_find(agent, segment_number(agent->agents, queue_entry(&qmgr->queue, slot->number)));
    if (view != NULL) {
        view->jobs--;
        view->used_at = loop_now(qmgr->loop);
    }
    slot->used = false;
    agent->in_hand--;
    if (agent->in_hand == 0)
        agent->suspect = false;
}

/* A channel that takes nothing is closed soon, or full: the job is another's, or comes again. */
static void take_back(struct agent *agent, struct agent_slot *slot)
{
    struct agents *agents = agent->agents;
    log_event(LOG_WARN, "agent-deaf", LOG_UINT("jobs", agent->in_hand));
    slot_release(agent, slot);
    agent->credit++;
    agent->full = true;
    queue_not_given(&agents->qmgr->queue, slot->number);
    if (!timer_is_set(&agents->full_timer))
        timer_set(&agents->full_timer, FULL_RETRY_MS);
}

/* All that an agent needs to find the recipient in a segment that it has open. False: it was not
 * told, and the slot is free. */
static bool send_job(struct agent *agent, size_t slot_index)
{
    struct agent_slot *slot = &agent->slots[slot_index];
    const struct queue_entry *entry = queue_entry(&agent->agents->qmgr->queue, slot->number);
    const struct job job = {
        .job = (uint64_t)slot->serial << 16 | slot_index,
        .number = segment_number(agent->agents, entry),
        .offset = (uint64_t)entry->place * SPOOL_ALIGN,
        .recipient = entry->recipient,
        .flags = was_given_before(entry) ? JOB_SEEN_BEFORE : 0,
        .nexthop = entry->message->recipients[entry->recipient].nexthop,
    };
    slot->sent = channel_send(agent->channel, &ipc_job, &job, NULL);
    if (!slot->sent)
        take_back(agent, slot);
    return slot->sent;
}

/* Puts the entry into a free slot; there is one, because in_hand was compared before. False: the
 * agent takes nothing now. */
static bool give(struct agent *agent, uint32_t number)
{
    size_t slot = 0;
    while (agent->slots[slot].used)
        slot++;
    uint64_t segment =
        segment_number(agent->agents, queue_entry(&agent->agents->qmgr->queue, number));
    struct agent_view *view = view_find(agent, segment);
    if (view == NULL)
        view = view_new(agent, segment);
    agent->slots[slot] = (struct agent_slot){number, ++agent->serial, true, false};
    agent->in_hand++;
    agent->credit--;
    view->jobs++;
    return !view->open || send_job(agent, slot);
}

/* Gives up to BATCH jobs; the first agent alone takes the suspects, one at a time. */
static size_t give_batch(struct agent *agent, bool first)
{
    struct queue *queue = &agent->agents->qmgr->queue;
    bool suspects = first && queue->suspects > 0;
    size_t given = 0;
    if (agent->full || agent->suspect || (suspects && agent->in_hand > 0))
        return 0;
    while (given < BATCH && agent->credit > 0 && agent->in_hand < agent->slot_count) {
        uint32_t number = queue_take_ready(queue, suspects);
        if (number == QUEUE_NONE)
            break;
        agent->suspect = suspects;
        if (!give(agent, number))
            break;
        given++;
        if (suspects)
            break;
    }
    return given;
}

/* The end of a turn: batches go round the agents until nobody can or wants to take more. */
static void give_jobs(void *arg)
{
    struct agents *agents = arg;
    size_t given = 0;
    if (agents->qmgr->daemon->draining)
        return;
    do {
        given = 0;
        struct agent *agent;
        LIST_FOREACH (agent, &agents->list, link)
            given += give_batch(agent, agent == LIST_FIRST(&agents->list));
    } while (given > 0);
    pressure_touch(agents->qmgr);
}

/* However often it is called in a turn, jobs are given once, at its end. */
void agents_wake(struct agents *agents)
{
    loop_later(agents->qmgr->loop, &agents->turn);
}

/* Whoever was full may have read meanwhile. */
static void try_full(void *arg)
{
    struct agents *agents = arg;
    struct agent *agent;
    LIST_FOREACH (agent, &agents->list, link)
        agent->full = false;
    agents_wake(agents);
}

/* ---- a segment was opened ---- */

/* NULL when it died since the question was asked. */
static struct agent *agent_by_id(struct agents *agents, unsigned long long id)
{
    struct agent *agent;
    LIST_FOREACH (agent, &agents->list, link)
        if (agent->id == id)
            return agent;
    return NULL;
}

/* The jobs that waited for it are sent, or deferred when it can not be opened. */
static void release_waiting(struct agent *agent, uint64_t number, bool open)
{
    static const struct fate closed = {FATE_DEFERRED, SPAN_INIT("4.3.0"),
                                       SPAN_INIT("the message can not be read now"), false};
    struct qmgr *qmgr = agent->agents->qmgr;
    for (size_t i = 0; i < agent->slot_count; i++) {
        struct agent_slot *slot = &agent->slots[i];
        if (!slot->used || slot->sent ||
            segment_number(agent->agents, queue_entry(&qmgr->queue, slot->number)) != number)
            continue;
        if (open) {
            (void)send_job(agent, i); /* else it is given again */
        } else {
            slot_release(agent, slot);
            agent->credit++; /* it never heard of the job */
            delivery_settle(qmgr, slot->number, closed);
        }
    }
}

/* The view is looked up again afterwards: a settled job may have moved the array. */
static void hand_over(struct agent *agent, const struct task_reader *task)
{
    struct agent_view *view = view_find(agent, task->number);
    if (view == NULL)
        return;
    struct agent_segment message = {task->number, task->salt};
    view->open =
        task->fd >= 0 && channel_send(agent->channel, &ipc_agent_segment, &message, &task->fd);
    bool open = view->open;
    if (!open)
        log_event(LOG_ERROR, "segment-not-opened", LOG_UINT("segment", task->number),
                  LOG_ERRNO(task->error));
    release_waiting(agent, task->number, open);
    view = view_find(agent, task->number);
    if (!open && view != NULL)
        view_drop(agent, view);
}

/* The agent may have died meanwhile: it is known by an id that is never used twice. */
static void segment_opened(void *arg, struct helper_task *base)
{
    struct task_reader *task = (struct task_reader *)base;
    struct agent *agent = agent_by_id(arg, task->token);
    if (agent != NULL)
        hand_over(agent, task);
    if (task->fd >= 0)
        (void)close(task->fd);
    task_free(base);
}

/* ---- what an agent says ---- */

/* The codec bounds `fate`; the check here is for results made by our own tests. */
struct fate agent_fate(const struct job_result *result)
{
    static const enum fate_kind kinds[] = {
        [JOB_DELIVERED] = FATE_DELIVERED,
        [JOB_DEFERRED] = FATE_DEFERRED,
        [JOB_FAILED] = FATE_FAILED,
    };
    enum fate_kind kind = result->fate <= JOB_FAILED ? kinds[result->fate] : FATE_DEFERRED;
    return (struct fate){kind, result->enhanced, result->text, false};
}

/* RFC 3463 codes and texts pass through as the agent gave them; the log and the bounce escape them.
 */
static void on_result(struct agent *agent, const struct job_result *result)
{
    size_t index = result->job & 0xffff;
    struct agent_slot *slot = index < agent->slot_count ? &agent->slots[index] : NULL;
    if (slot == NULL || !slot->used || !slot->sent || slot->serial != result->job >> 16) {
        log_event(LOG_WARN, "job-unknown", LOG_UINT("job", result->job));
        return;
    }
    slot_release(agent, slot);
    if (result->fate == JOB_DAMAGED)
        delivery_damaged(agent->agents->qmgr, slot->number);
    else
        delivery_settle(agent->agents->qmgr, slot->number, agent_fate(result));
    agents_wake(agent->agents);
}

/* Anything else an agent may say is ignored: it delivers, it does not decide. */
static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct agent *agent = arg;
    (void)channel;
    (void)fds;
    if (type == &ipc_job_result) {
        on_result(agent, message);
    } else if (type == &ipc_agent_credit) {
        agent->credit += ((const struct agent_credit *)message)->jobs;
        agents_wake(agent->agents);
    }
}

/* ---- death ---- */

/* Made against a message that kills whoever touches it: in the batch that died everybody is a
 * suspect once; alone, only the guilty one collects two deaths more. */
static void suspect_or_hold(struct qmgr *qmgr, uint32_t number)
{
    const struct queue_entry *entry = queue_entry(&qmgr->queue, number);
    if (entry->deaths + 1 < AGENT_DEATHS_MOST) {
        queue_abandoned(&qmgr->queue, number);
        return;
    }
    char id[SPOOL_ID_MAX];
    const struct message *message = entry->message;
    log_event(LOG_ERROR, "message-poisonous",
              LOG_SPAN("id", spool_id_text(spool_id(message->number, message->offset), id)),
              LOG_SPAN("to", message->recipients[entry->recipient].address),
              LOG_UINT("deaths", AGENT_DEATHS_MOST));
    delivery_settle(
        qmgr, number,
        (struct fate){FATE_HELD, SPAN("4.3.0"), SPAN("its delivery agent died of it"), false});
}

/* Its entries were given back before, or the process ends. */
static void agent_free(struct agent *agent)
{
    LIST_REMOVE(agent, link);
    channel_free(agent->channel);
    mem_free(agent->slots);
    mem_free(agent->views);
    mem_free(agent);
}

/* Its jobs may have been done or not: they are given again, and the file's name tells
 * (util/spool, local). */
static void on_closed(void *arg, struct channel *channel)
{
    struct agent *agent = arg;
    struct agents *agents = agent->agents;
    (void)channel;
    if (agent->in_hand > 0)
        log_event(LOG_WARN, "agent-died", LOG_UINT("jobs", agent->in_hand));
    for (size_t i = 0; i < agent->slot_count; i++)
        if (agent->slots[i].used)
            suspect_or_hold(agents->qmgr, agent->slots[i].number);
    agent_free(agent);
    agents_wake(agents);
}

/* Credit comes with the agent's first message: until then it gets nothing. */
void agents_connect(struct agents *agents, int fd)
{
    const struct conf_limits *limits = &agents->qmgr->conf->limits;
    struct agent *agent = mem_new(sizeof *agent);
    const struct channel_calls calls = {on_message, on_closed, agent};
    agent->agents = agents;
    agent->id = ++agents->last_id;
    agent->slot_count =
        limits->delivery_concurrency <= 0xffff ? limits->delivery_concurrency : 0xffff;
    agent->slots = mem_array(agent->slot_count, sizeof *agent->slots);
    agent->channel = channel_new(agents->qmgr->loop, fd, &calls);
    LIST_INSERT_HEAD(&agents->list, agent, link);
}

/* ---- segments that nobody needs ---- */

/* Descriptors of a settled segment would keep its space. */
void agents_forget(struct agents *agents, uint64_t number)
{
    struct agent *agent;
    LIST_FOREACH (agent, &agents->list, link) {
        struct agent_view *view = view_find(agent, number);
        if (view != NULL)
            view_drop(agent, view);
    }
}

/* A descriptor in an agent keeps the space of a segment that is long gone: none is kept for
 * nothing. */
static void forget_idle(void *arg)
{
    struct agents *agents = arg;
    int64_t since = loop_now(agents->qmgr->loop) - AGENT_IDLE_MS;
    struct agent *agent;
    LIST_FOREACH (agent, &agents->list, link)
        for (size_t i = agent->view_count; i > 0; i--)
            if (agent->views[i - 1].jobs == 0 && agent->views[i - 1].used_at < since)
                view_drop(agent, &agent->views[i - 1]);
    timer_set(&agents->idle_timer, AGENT_IDLE_MS);
}

/* The idle timer runs from the start, whether there are agents or not. */
struct agents *agents_new(struct qmgr *qmgr)
{
    struct agents *agents = mem_new(sizeof *agents);
    agents->qmgr = qmgr;
    LIST_INIT(&agents->list);
    agents->turn = (struct turn){.run = give_jobs, .arg = agents};
    timer_init(&agents->full_timer, qmgr->loop, try_full, agents);
    timer_init(&agents->idle_timer, qmgr->loop, forget_idle, agents);
    timer_set(&agents->idle_timer, AGENT_IDLE_MS);
    return agents;
}

/* Agents see the end of their socket, and end or wait for the next qmgr. */
void agents_free(struct agents *agents)
{
    timer_cancel(&agents->full_timer);
    timer_cancel(&agents->idle_timer);
    loop_forget(agents->qmgr->loop, &agents->turn);
    while (!LIST_EMPTY(&agents->list))
        agent_free(LIST_FIRST(&agents->list));
    mem_free(agents);
}
