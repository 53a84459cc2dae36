/*
 * One sync settles many recipients: at ten thousand a second a batch of 80 ms holds eight hundred.
 * What is in flight is held once; the two lists swap their memory and never shrink.
 */
#include "qmgr/states.h"

#include "util/base/panic.h"

/* Room for `count` more; doubles. */
static void list_room(struct state_list *list, size_t count)
{
    if (list->cap - list->count >= count)
        return;
    size_t cap = list->cap == 0 ? 256 : list->cap * 2;
    if (cap < list->count + count)
        cap = list->count + count;
    list->items = mem_resize(list->items, cap, sizeof *list->items);
    list->cap = cap;
}

/* Copied: the entry may change again before the batch is written. */
void states_add(struct states *states, const struct state_change *change)
{
    list_room(&states->pending, 1);
    states->pending.items[states->pending.count++] = *change;
}

/* The memory of the batch before is used for what comes next. */
struct state_list *states_begin(struct states *states)
{
    if (states->writing)
        return NULL;
    /* Its memory is kept: a list in flight is empty again by now. */
    struct state_list empty = states->flying;
    require(empty.count == 0);
    states->flying = states->pending;
    states->pending = empty;
    states->writing = true;
    return &states->flying;
}

/* What failed goes before what came meanwhile: the later word on a slot must stay the last. */
static void put_back(struct states *states)
{
    struct state_list meanwhile = states->pending;
    states->pending = states->flying;
    list_room(&states->pending, meanwhile.count);
    if (meanwhile.count > 0)
        memcpy(states->pending.items + states->pending.count, meanwhile.items,
               meanwhile.count * sizeof *meanwhile.items);
    states->pending.count += meanwhile.count;
    states->flying = meanwhile;
    states->flying.count = 0;
}

/* Each change is given back in the order it was added; those that failed move up in the list. */
size_t states_end(struct states *states,
                  void (*settled)(void *arg, const struct state_change *change), void *arg)
{
    struct state_list *batch = &states->flying;
    size_t failed = 0;
    require(states->writing);
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->items[i].failed) {
            settled(arg, &batch->items[i]);
            continue;
        }
        batch->items[failed] = batch->items[i];
        batch->items[failed++].failed = false;
    }
    batch->count = failed;
    states->writing = false;
    if (failed > 0)
        put_back(states);
    return failed;
}

/* Both lists; the disk has what it has. */
void states_free(struct states *states)
{
    mem_free(states->pending.items);
    mem_free(states->flying.items);
    *states = (struct states){0};
}
