/*
 * Recipients of one record come due together (fate.c spreads by record), and entries that were
 * recovered lie side by side: a batch is sorted by place, and each record in it is read once.
 */
#include "qmgr/readings.h"

#include <stdlib.h>

struct reading readings_of(const struct qmgr *qmgr, uint32_t entry)
{
    const struct queue_entry *own = queue_entry(&qmgr->queue, entry);
    return (struct reading){.number = segments_at(&qmgr->segments, own->segment)->number,
                            .offset = (uint64_t)own->place * SPOOL_ALIGN,
                            .entry = entry,
                            .recipient = own->recipient};
}

/* Segment, record, recipient: the order in which the disk is read. */
static int by_place(const void *left, const void *right)
{
    const struct reading *a = left, *b = right;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return a->recipient - b->recipient;
}

/* One read a record, however many of its recipients are meant. */
void readings_post(struct readings *readings, struct qmgr *qmgr, task_done *done, void *arg)
{
    qsort(readings->items, readings->count, sizeof readings->items[0], by_place);
    struct task_read *task = task_read_new(done, arg);
    for (size_t i = 0; i < readings->count; i++) {
        const struct reading *reading = &readings->items[i];
        const struct read_item *last = task->count > 0 ? &task->items[task->count - 1] : NULL;
        if (last == NULL || last->number != reading->number || last->offset != reading->offset)
            task->items[task->count++] =
                (struct read_item){.number = reading->number, .offset = reading->offset};
    }
    helper_post(qmgr->helper, &task->task);
}

/* Both are in the same order. */
struct read_item *readings_item(struct task_read *task, size_t *at, const struct reading *reading)
{
    while (task->items[*at].number != reading->number || task->items[*at].offset != reading->offset)
        (*at)++;
    return &task->items[*at];
}
