/*
 * A few segments are written at any time, but a long outage leaves thousands behind with stragglers
 * in them: hence a hash by number for what comes from outside, an array by index for the queue.
 */
#include "qmgr/segments.h"

#include "util/base/panic.h"

/* The first free index; the array grows when there is none. */
static uint32_t free_index(struct segments *segments)
{
    if (segments->in_use < segments->count) {
        for (size_t i = 0; i < segments->count; i++)
            if (segments->items[i] == NULL)
                return (uint32_t)i;
    }
    if (segments->count == segments->cap) {
        segments->cap = segments->cap == 0 ? 64 : segments->cap * 2;
        segments->items = mem_resize(segments->items, segments->cap, sizeof(struct segment *));
    }
    return (uint32_t)segments->count++;
}

/* For numbers that come from outside. */
struct segment *segments_find(const struct segments *segments, uint64_t number)
{
    struct segment *segment;
    HASH_FIND(hh, segments->by_number, &number, sizeof number, segment);
    return segment;
}

/* Sealed until a writer says otherwise: recovery seals all that nobody holds. */
struct segment *segments_get(struct segments *segments, uint64_t number)
{
    struct segment *segment = segments_find(segments, number);
    if (segment != NULL)
        return segment;
    segment = mem_new(sizeof *segment);
    segment->number = number;
    segment->index = free_index(segments);
    segment->sealed = true;
    segments->items[segment->index] = segment;
    segments->in_use++;
    HASH_ADD(hh, segments->by_number, number, sizeof segment->number, segment);
    return segment;
}

/* For the index that an entry holds: it must be in use. */
struct segment *segments_at(const struct segments *segments, uint32_t index)
{
    require(index < segments->count && segments->items[index] != NULL);
    return segments->items[index];
}

/* An index is used again: nothing in the queue may hold it any more, which is what
 * `outstanding` counts. */
bool segments_forget_done(struct segments *segments, struct segment *segment)
{
    if (!segment->sealed || segment->outstanding > 0 || segment->scanning)
        return false;
    HASH_DEL(segments->by_number, segment);
    segments->items[segment->index] = NULL;
    segments->in_use--;
    mem_free(segment);
    return true;
}

void segments_free(struct segments *segments)
{
    HASH_CLEAR(hh, segments->by_number);
    for (size_t i = 0; i < segments->count; i++)
        mem_free(segments->items[i]);
    mem_free(segments->items);
    *segments = (struct segments){0};
}
