/*
 * A million deferred recipients are pushed at a restart, in any order: a push costs less than two
 * moves on average, and the array costs half of what a tree's pointers would.
 */
#include "qmgr/heap.h"

#include "util/base/arena.h"
#include "util/base/panic.h"

enum { HEAP_FIRST = 256 };

/* By half: a heap of a million items is 8 MB, and doubling it would show. */
static void grow(struct heap *heap)
{
    size_t cap = heap->cap == 0 ? HEAP_FIRST : heap->cap + heap->cap / 2;
    heap->items = mem_resize(heap->items, cap, sizeof *heap->items);
    heap->cap = cap;
}

/* The one place where an item gets its place. */
static void put(struct heap *heap, size_t at, struct heap_item item)
{
    heap->items[at] = item;
    if (heap->placed != NULL)
        heap->placed(heap->arg, item.value, at);
}

/* The hole at `at` moves up instead of the item: one store for each level. */
static void sift_up(struct heap *heap, size_t at, struct heap_item item)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (heap->items[parent].time <= item.time)
            break;
        put(heap, at, heap->items[parent]);
        at = parent;
    }
    put(heap, at, item);
}

/* It begins at the end, as the latest of all. */
void heap_push(struct heap *heap, struct heap_item item)
{
    if (heap->count == heap->cap)
        grow(heap);
    sift_up(heap, heap->count++, item);
}

/* Earlier than before is never later than its children. */
void heap_hasten(struct heap *heap, size_t at, uint32_t time)
{
    require(at < heap->count && time <= heap->items[at].time);
    sift_up(heap, at, (struct heap_item){time, heap->items[at].value});
}

/* A look; nothing moves. */
struct heap_item heap_first(const struct heap *heap)
{
    require(heap->count > 0);
    return heap->items[0];
}

/* Puts `item` where the first one was taken out. */
static void sift_down(struct heap *heap, struct heap_item item)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        /* The earlier of the two children moves up. */
        if (child + 1 < heap->count && heap->items[child + 1].time < heap->items[child].time)
            child++;
        if (item.time <= heap->items[child].time)
            break;
        put(heap, at, heap->items[child]);
        at = child;
    }
    put(heap, at, item);
}

/* The last item fills the hole at the top and sinks to its place. */
bool heap_take_due(struct heap *heap, uint32_t now, struct heap_item *item)
{
    if (heap->count == 0 || heap->items[0].time > now)
        return false;
    *item = heap->items[0];
    heap->count--;
    if (heap->count > 0)
        sift_down(heap, heap->items[heap->count]);
    return true;
}

void heap_free(struct heap *heap)
{
    mem_free(heap->items);
    *heap = (struct heap){.placed = heap->placed, .arg = heap->arg};
}
