/*
 * The budget is 48 octets for a recipient that waits, and a million of them after a restart. So
 * entries lie in chunks that never move, are named by number instead of by pointer, and are linked
 * by number; what only an active one needs hangs on its message.
 */
#include "qmgr/queue.h"

#include "util/base/panic.h"

enum { CHUNK = 4096, KEY_MAX = 512 };

_Static_assert(sizeof(struct queue_entry) + sizeof(struct heap_item) <= 48,
               "budget of a recipient");

static const struct queue_line line_empty = {QUEUE_NONE, QUEUE_NONE};

/* Who waits stands in no line: `next` is free for its place in the heap. */
static void placed(void *arg, uint32_t number, size_t at)
{
    queue_entry(arg, number)->next = (uint32_t)at;
}

/* A window never begins above its bound. */
void queue_init(struct queue *queue, uint32_t window_first)
{
    *queue = (struct queue){.free_first = QUEUE_NONE, .heap = {.placed = placed, .arg = queue}};
    queue->window_first = window_first < QUEUE_WINDOW_MOST ? window_first : QUEUE_WINDOW_MOST;
    TAILQ_INIT(&queue->turns);
}

/* By division: chunks never move, so the address stays good until the array of chunks grows. */
struct queue_entry *queue_entry(const struct queue *queue, uint32_t number)
{
    require(number < queue->used);
    return &queue->chunks[number / CHUNK][number % CHUNK];
}

/* The one place where a state changes: the gauges are always true. */
static void move(struct queue *queue, struct queue_entry *entry, enum queue_state state)
{
    queue->counts[entry->state]--;
    queue->counts[state]++;
    entry->state = (uint8_t)state;
}

/* Lets go of the message, if there is one. */
static void cool(struct queue_entry *entry)
{
    if (entry->message != NULL)
        message_release(entry->message);
    entry->message = NULL;
}

/* ---- entries ---- */

/* A freed number first: the working set of a busy server is small and stays warm. */
static uint32_t entry_new(struct queue *queue)
{
    uint32_t number = queue->free_first;
    if (number != QUEUE_NONE) {
        queue->free_first = queue_entry(queue, number)->next;
        return number;
    }
    /* A chunk at a time: the array of their addresses is all that is ever moved. */
    if (queue->used == queue->chunk_count * CHUNK) {
        size_t count = queue->chunk_count + 1;
        queue->chunks = mem_resize(queue->chunks, count, sizeof *queue->chunks);
        queue->chunks[queue->chunk_count] = mem_array(CHUNK, sizeof(struct queue_entry));
        queue->chunk_count = count;
    }
    queue->counts[QUEUE_FREE]++;
    return queue->used++;
}

/* Copied as a whole; then the state is entered by move(), which counts. */
uint32_t queue_add(struct queue *queue, const struct queue_entry *entry)
{
    require(entry->state == QUEUE_READING || entry->state == QUEUE_HELD ||
            entry->state == QUEUE_DEFERRED);
    uint32_t number = entry_new(queue);
    struct queue_entry *own = queue_entry(queue, number);
    *own = *entry;
    /* move() takes it from there, so that the counts stay true. */
    own->state = QUEUE_FREE;
    own->next = QUEUE_NONE;
    move(queue, own, entry->state);
    if (own->message != NULL)
        own->message->users++;
    if (own->state == QUEUE_DEFERRED)
        heap_push(&queue->heap, (struct heap_item){own->time, number});
    return number;
}

/* The heap does not know it: DEFERRED entries are never removed. */
void queue_remove(struct queue *queue, uint32_t number)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_READING || entry->state == QUEUE_SETTLING);
    cool(entry);
    move(queue, entry, QUEUE_FREE);
    entry->next = queue->free_first;
    queue->free_first = number;
}

/* The entry is a user of the message until it is cold again or gone. */
void queue_attach(struct queue *queue, uint32_t number, struct message *message)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_READING && entry->message == NULL);
    entry->message = message;
    message->users++;
}

/* ---- waiting ---- */

/* An entry leaves the heap only here, when it is due. */
uint32_t queue_take_due(struct queue *queue, uint32_t now)
{
    struct heap_item item;
    if (!heap_take_due(&queue->heap, now, &item))
        return QUEUE_NONE;
    move(queue, queue_entry(queue, item.value), QUEUE_READING);
    return item.value;
}

/* UINT32_MAX is a host that has run for 136 years. */
uint32_t queue_next_due(const struct queue *queue)
{
    return queue->heap.count == 0 ? UINT32_MAX : heap_first(&queue->heap).time;
}

/* The flag stays until the attempt is over: it says that this one was extra. */
bool queue_hasten(struct queue *queue, uint32_t number, uint32_t time)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_DEFERRED);
    if (time >= entry->time || (entry->flags & QUEUE_HASTENED) != 0)
        return false;
    entry->time = time;
    entry->flags |= QUEUE_HASTENED;
    heap_hasten(&queue->heap, entry->next, time);
    return true;
}

uint64_t queue_spread(const struct queue_entry *entry)
{
    return ((uint64_t)entry->segment << 32) + entry->place;
}

/* The heap holds exactly the DEFERRED entries. */
void queue_defer(struct queue *queue, uint32_t number, uint32_t time)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_READING || entry->state == QUEUE_SETTLING);
    cool(entry);
    entry->time = time;
    entry->flags &= (uint8_t)~QUEUE_HASTENED;
    move(queue, entry, QUEUE_DEFERRED);
    heap_push(&queue->heap, (struct heap_item){time, number});
}

/* In no heap and in no line: nothing wakes it. */
void queue_hold(struct queue *queue, uint32_t number)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_READING || entry->state == QUEUE_SETTLING);
    cool(entry);
    move(queue, entry, QUEUE_HELD);
}

/* ---- lines ---- */

/* At the end of the line. */
static void line_put(struct queue *queue, struct queue_line *line, uint32_t number)
{
    queue_entry(queue, number)->next = QUEUE_NONE;
    if (line->last == QUEUE_NONE)
        line->first = number;
    else
        queue_entry(queue, line->last)->next = number;
    line->last = number;
}

/* The first in line; the line must not be empty. */
static uint32_t line_take(struct queue *queue, struct queue_line *line)
{
    uint32_t number = line->first;
    line->first = queue_entry(queue, number)->next;
    /* The last one left. */
    if (line->first == QUEUE_NONE)
        line->last = QUEUE_NONE;
    return number;
}

/* `last` may be stale then. */
static bool line_is_empty(const struct queue_line *line)
{
    return line->first == QUEUE_NONE;
}

/* A destination is in `turns` exactly while somebody stands in one of its lines. */
static void update_turn(struct queue *queue, struct destination *destination)
{
    bool waiting = !line_is_empty(&destination->ready) || !line_is_empty(&destination->suspects);
    if (waiting && !destination->waiting)
        TAILQ_INSERT_TAIL(&queue->turns, destination, turn);
    if (!waiting && destination->waiting)
        TAILQ_REMOVE(&queue->turns, destination, turn);
    destination->waiting = waiting;
}

/* ---- destinations ---- */

/* Destinations stay: there are as many as transports with an agent. */
static struct destination *destination_new(struct queue *queue, struct span key)
{
    require(queue->destination_count < QUEUE_DESTINATIONS_MOST);
    struct destination *destination = mem_new(sizeof *destination + key.len);
    destination->ready = destination->suspects = line_empty;
    destination->window = queue->window_first;
    destination->id = queue->destination_count++;
    destination->key_len = (uint16_t)key.len;
    memcpy(destination->key, key.data, key.len);
    queue->destinations =
        mem_resize(queue->destinations, queue->destination_count, sizeof(struct destination *));
    queue->destinations[destination->id] = destination;
    HASH_ADD(hh, queue->by_key, key, key.len, destination);
    return destination;
}

/* The destination of that transport and name; made when it is new. */
static struct destination *destination_of(struct queue *queue, struct span transport,
                                          struct span name)
{
    char key[KEY_MAX];
    size_t len = transport.len + 1 + name.len;
    require(len <= sizeof key);
    /* Transport, NUL, name: no pair of other texts gives the same key. */
    memcpy(key, transport.data, transport.len);
    key[transport.len] = '\0';
    if (name.len > 0)
        memcpy(key + transport.len + 1, name.data, name.len);
    struct destination *destination;
    HASH_FIND(hh, queue->by_key, key, len, destination);
    return destination != NULL ? destination : destination_new(queue, span_of(key, len));
}

/* Valid from READY on. */
static struct destination *destination_at(const struct queue *queue,
                                          const struct queue_entry *entry)
{
    return queue->destinations[entry->destination];
}

/* ---- ready, active ---- */

/* Who survived an agent's death goes into the other line. */
static void stand_in_line(struct queue *queue, uint32_t number)
{
    struct queue_entry *entry = queue_entry(queue, number);
    struct destination *destination = destination_at(queue, entry);
    bool suspect = entry->deaths > 0;
    move(queue, entry, QUEUE_READY);
    if (suspect)
        queue->suspects++;
    line_put(queue, suspect ? &destination->suspects : &destination->ready, number);
    update_turn(queue, destination);
}

/* Its line is that of its destination. */
void queue_ready(struct queue *queue, uint32_t number, struct span transport, struct span name)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_READING && entry->message != NULL);
    entry->destination = destination_of(queue, transport, name)->id;
    stand_in_line(queue, number);
}

/* The walk over destinations ends at the first that may have one more. */
uint32_t queue_take_ready(struct queue *queue, bool suspect)
{
    struct destination *destination;
    TAILQ_FOREACH (destination, &queue->turns, turn) {
        struct queue_line *line = suspect ? &destination->suspects : &destination->ready;
        if (line_is_empty(line) || destination->active >= destination->window)
            continue;
        uint32_t number = line_take(queue, line);
        move(queue, queue_entry(queue, number), QUEUE_ACTIVE);
        destination->active++;
        if (suspect)
            queue->suspects--;
        /* Whoever was served goes to the end of the round. */
        TAILQ_REMOVE(&queue->turns, destination, turn);
        destination->waiting = false;
        update_turn(queue, destination);
        return number;
    }
    return QUEUE_NONE;
}

/* Slow start: every success widens the window by one, a death halves it. */
void queue_answered(struct queue *queue, uint32_t number, bool delivered)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_ACTIVE);
    struct destination *destination = destination_at(queue, entry);
    destination->active--;
    entry->deaths = 0; /* its agent lived to tell */
    if (delivered && destination->window < QUEUE_WINDOW_MOST)
        destination->window++;
    move(queue, entry, QUEUE_SETTLING);
}

/* It keeps its message: the next try needs no read. */
void queue_abandoned(struct queue *queue, uint32_t number)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_ACTIVE);
    struct destination *destination = destination_at(queue, entry);
    destination->active--;
    if (destination->window > 1)
        /* Whoever kills agents gets fewer of them. */
        destination->window /= 2;
    entry->deaths++;
    entry->flags |= QUEUE_SEEN_BEFORE;
    stand_in_line(queue, number);
}

/* Nobody has heard of it: it is as it was before it was taken. */
void queue_not_given(struct queue *queue, uint32_t number)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_ACTIVE);
    destination_at(queue, entry)->active--;
    stand_in_line(queue, number);
}

/* qmgr's own word, without an agent: no window is touched. */
void queue_decided(struct queue *queue, uint32_t number)
{
    struct queue_entry *entry = queue_entry(queue, number);
    require(entry->state == QUEUE_READING);
    move(queue, entry, QUEUE_SETTLING);
}

uint64_t queue_busy(const struct queue *queue)
{
    const uint64_t *counts = queue->counts;
    return counts[QUEUE_READING] + counts[QUEUE_READY] + counts[QUEUE_ACTIVE] +
           counts[QUEUE_SETTLING];
}

/* Messages first, while entries can still be walked. */
void queue_free(struct queue *queue)
{
    for (uint32_t number = 0; number < queue->used; number++)
        cool(queue_entry(queue, number));
    for (size_t i = 0; i < queue->chunk_count; i++)
        mem_free(queue->chunks[i]);
    HASH_CLEAR(hh, queue->by_key);
    for (size_t i = 0; i < queue->destination_count; i++)
        mem_free(queue->destinations[i]);
    mem_free(queue->chunks);
    mem_free(queue->destinations);
    heap_free(&queue->heap);
    *queue = (struct queue){0};
}
