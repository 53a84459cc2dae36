/*
 * The thread's side of qmgr: short functions that call the store and copy its answers out. They
 * decide nothing. A message is built here, in the thread, because a record's envelope lies in an
 * arena that ends with the call.
 */
#include "qmgr/tasks.h"

#include <errno.h>
#include <unistd.h>

/* All tasks begin with a struct helper_task. */
static void *task_new(size_t size, void (*work)(struct helper *, struct helper_task *),
                      task_done *done, void *arg)
{
    struct helper_task *task = mem_new(size);
    task->work = work;
    task->done = done;
    task->arg = arg;
    return task;
}

/* Fine for every struct that owns nothing but itself. */
void task_free(struct helper_task *task)
{
    mem_free(task);
}

/* ---- opening, recovery ---- */

/* The problem is a sentence: the start ends with it. */
void task_open_work(struct helper *helper, struct helper_task *base)
{
    struct task_open *task = (struct task_open *)base;
    helper_set_store(helper, spool_store_open(task->directory, &task->arena, &task->problem));
    if (helper_store(helper) == NULL && task->problem.len == 0)
        task->problem = SPAN("the spool can not be opened");
}

/* What recovery's visits need. */
struct recovery {
    struct helper *helper;
    struct task_recover *task;
};

/* In the thread: entries are gathered in parts and handed over as the parts fill. */
static void recovered(void *arg, const struct spool_found *found)
{
    const struct recovery *recovery = arg;
    struct task_recover *task = recovery->task;
    if (task->part == NULL)
        task->part = task_new(sizeof *task->part, NULL, task->found, task->task.arg);
    struct task_found *part = task->part;
    part->entries[part->count++] = (struct found_entry){spool_segment_block(found->segment)->number,
                                                        found->slot, found->entry};
    if (part->count < FOUND_CHUNK)
        return;
    task->part = NULL;
    helper_return(recovery->helper, &part->task);
}

/* Sealed ones are done with but for their entries: nobody has to be told. */
static void note_open(void *arg, const struct spool_segment *segment)
{
    struct task_recover *task = arg;
    if (task->open_count == task->open_cap) {
        task->open_cap = task->open_cap == 0 ? 16 : task->open_cap * 2;
        task->open = mem_resize(task->open, task->open_cap, sizeof *task->open);
    }
    task->open[task->open_count++] = *spool_segment_block(segment);
}

/* errno is kept at once: the loop reads it later, in another thread. */
static void recover_work(struct helper *helper, struct helper_task *base)
{
    struct task_recover *task = (struct task_recover *)base;
    struct recovery recovery = {helper, task};
    task->ok = spool_store_recover(helper_store(helper), task->held, task->held_count, recovered,
                                   &recovery);
    task->error = errno;
    spool_store_each_open(helper_store(helper), note_open, task);
    if (task->part != NULL)
        helper_return(helper, &task->part->task);
    task->part = NULL;
}

/* The held segments follow the struct: one allocation. */
struct task_recover *task_recover_new(size_t held_count, task_done *found, task_done *done,
                                      void *arg)
{
    struct task_recover *task =
        task_new(sizeof *task + held_count * sizeof task->held[0], recover_work, done, arg);
    task->held_count = held_count;
    task->found = found;
    return task;
}

void task_recover_free(struct task_recover *task)
{
    mem_free(task->open);
    task_free(&task->task);
}

/* ---- segments ---- */

/* A pair whose writer can not be opened is sealed: it would be counted for ever otherwise. */
static void make_work(struct helper *helper, struct helper_task *base)
{
    struct task_make *task = (struct task_make *)base;
    struct spool_segment *segment = spool_segment_new(helper_store(helper), task->kind);
    if (segment == NULL) {
        task->error = errno;
        return;
    }
    task->block = *spool_segment_block(segment);
    task->fd = spool_segment_open_writer(segment);
    if (task->fd < 0) {
        task->error = errno;
        spool_segment_seal(segment); /* nobody will ever write to it */
    }
}

/* -1 until one was opened, so a failed task closes nothing. */
struct task_make *task_make_new(enum spool_kind kind, task_done *done, void *arg)
{
    struct task_make *task = task_new(sizeof *task, make_work, done, arg);
    task->kind = kind;
    task->fd = -1;
    return task;
}

/* A separate open for each agent: no two processes share an open file description. */
static void reader_work(struct helper *helper, struct helper_task *base)
{
    struct task_reader *task = (struct task_reader *)base;
    struct spool_segment *segment = spool_segment_find(helper_store(helper), task->number);
    if (segment == NULL) {
        task->error = ENOENT;
        return;
    }
    task->salt = spool_segment_block(segment)->salt;
    task->fd = spool_segment_open_reader(segment);
    task->error = errno;
}

/* The same; the token comes back untouched. */
struct task_reader *task_reader_new(uint64_t number, task_done *done, void *arg)
{
    struct task_reader *task = task_new(sizeof *task, reader_work, done, arg);
    task->number = number;
    task->fd = -1;
    return task;
}

/* A recipient of a record just indexed: the record's first one brings the message. */
static void indexed(void *arg, const struct spool_found *found)
{
    struct task_scan *task = arg;
    if (found->record == NULL)
        return;
    uint64_t offset = found->record->header.offset;
    if (task->newest == NULL || task->newest->offset != offset) {
        task->newest = message_new(found->record);
        *task->messages_end = task->newest;
        task->messages_end = &task->newest->next;
    }
    if (found->entry.recipient < task->newest->recipient_count)
        task->newest->recipients[found->entry.recipient].slot = found->slot;
}

/* Sealing comes behind the scan, so that a sealed segment has nothing unknown in it. */
static void scan_work(struct helper *helper, struct helper_task *base)
{
    struct task_scan *task = (struct task_scan *)base;
    struct spool_segment *segment = spool_segment_find(helper_store(helper), task->number);
    task->known = segment != NULL;
    if (!task->known)
        return;
    if (task->tail && !spool_segment_has_writer(segment))
        task->result = spool_segment_scan_tail(segment, indexed, task);
    else
        task->result = spool_segment_scan(segment, task->end, indexed, task);
    /* Whoever says that he is through has closed it: what he keeps open he may still write to. */
    if (task->seal && task->result != SPOOL_SCAN_LATER && !spool_segment_has_writer(segment))
        spool_segment_seal(segment);
    task->sealed = spool_segment_is_sealed(segment);
}

/* An empty list of messages, ready to be appended to. */
struct task_scan *task_scan_new(uint64_t number, uint64_t end, task_done *done, void *arg)
{
    struct task_scan *task = task_new(sizeof *task, scan_work, done, arg);
    task->number = number;
    task->end = end;
    task->messages_end = &task->messages;
    return task;
}

/* ---- records ---- */

/* A segment that is gone counts as a record that is not there. */
static enum record_result read_record(struct helper *helper, uint64_t number, uint64_t offset,
                                      struct arena *arena, struct record *record)
{
    struct spool_segment *segment = spool_segment_find(helper_store(helper), number);
    return segment == NULL ? RECORD_NONE : spool_segment_read(segment, offset, arena, record);
}

/* True when the record is damaged and a copy of it lies in corrupt/. */
static bool set_aside(struct helper *helper, uint64_t number, uint64_t offset,
                      enum record_result result)
{
    struct spool_segment *segment = spool_segment_find(helper_store(helper), number);
    bool damaged = result != RECORD_OK && result != RECORD_IO;
    return damaged && segment != NULL && spool_segment_set_aside(segment, offset);
}

/* One record's trouble is its own: the others are read all the same. */
static void read_work(struct helper *helper, struct helper_task *base)
{
    struct task_read *task = (struct task_read *)base;
    struct arena arena = {0};
    for (size_t i = 0; i < task->count; i++) {
        struct read_item *item = &task->items[i];
        struct record record;
        item->result = read_record(helper, item->number, item->offset, &arena, &record);
        item->aside = set_aside(helper, item->number, item->offset, item->result);
        if (item->result == RECORD_OK)
            item->message = message_new(&record);
        arena_reset(&arena);
    }
    arena_free(&arena);
}

struct task_read *task_read_new(task_done *done, void *arg)
{
    return task_new(sizeof(struct task_read), read_work, done, arg);
}

/* The first octets of the letter, into task->octets. */
static enum record_result read_octets(struct spool_segment *segment, const struct record *record,
                                      struct task_original *task)
{
    uint64_t body = record->header.body_len;
    size_t size = body < ORIGINAL_HEADER_MOST ? (size_t)body : ORIGINAL_HEADER_MOST;
    task->whole = body == size;
    char *room = buf_room(&task->octets, size);
    int fd = spool_segment_open_reader(segment);
    if (room == NULL || fd < 0)
        return RECORD_IO;
    const struct spool_block *block = spool_segment_block(segment);
    struct segment_view view = {fd, block->number, block->salt};
    ssize_t count = record_read_body(&view, record, 0, room, size);
    (void)close(fd);
    if (count < 0)
        return RECORD_IO;
    buf_filled(&task->octets, (size_t)count);
    return RECORD_OK;
}

/* Its header is bounded: a bounce quotes no more than ORIGINAL_HEADER_MOST. */
static void original_work(struct helper *helper, struct helper_task *base)
{
    struct task_original *task = (struct task_original *)base;
    struct arena arena = {0};
    struct record record;
    task->result = read_record(helper, task->number, task->offset, &arena, &record);
    task->aside = set_aside(helper, task->number, task->offset, task->result);
    if (task->result == RECORD_OK && !task->unquoted)
        task->result =
            read_octets(spool_segment_find(helper_store(helper), task->number), &record, task);
    if (task->result == RECORD_OK)
        task->message = message_new(&record);
    arena_free(&arena);
}

struct task_original *task_original_new(uint64_t number, uint64_t offset, task_done *done,
                                        void *arg)
{
    struct task_original *task = task_new(sizeof *task, original_work, done, arg);
    task->number = number;
    task->offset = offset;
    return task;
}

void task_original_free(struct task_original *task)
{
    buf_free(&task->octets);
    task_free(&task->task);
}

/* The checksum of the body is over all of it: a letter of many MiB takes its time. */
static enum record_result check_body(struct spool_segment *segment, const struct record *record)
{
    const struct spool_block *block = spool_segment_block(segment);
    struct segment_view view = {spool_segment_open_reader(segment), block->number, block->salt};
    if (view.fd < 0)
        return RECORD_IO;
    enum record_result result = record_check_body(&view, record);
    (void)close(view.fd);
    return result;
}

/* An agent is not believed: what it can not read may be its own memory's fault. */
static void check_work(struct helper *helper, struct helper_task *base)
{
    struct task_check *task = (struct task_check *)base;
    struct arena arena = {0};
    struct record record;
    task->result = read_record(helper, task->number, task->offset, &arena, &record);
    if (task->result == RECORD_OK)
        task->result = check_body(spool_segment_find(helper_store(helper), task->number), &record);
    task->aside = set_aside(helper, task->number, task->offset, task->result);
    arena_free(&arena);
}

struct task_check *task_check_new(uint64_t number, uint64_t offset, task_done *done, void *arg)
{
    struct task_check *task = task_new(sizeof *task, check_work, done, arg);
    task->number = number;
    task->offset = offset;
    return task;
}

/* ---- states, space ---- */

/* Changes come in runs of one segment: it is looked up once a run. */
static void each_change(struct spool_store *store, struct state_list *changes,
                        void (*visit)(struct spool_segment *segment, struct state_change *change))
{
    struct spool_segment *segment = NULL;
    for (size_t i = 0; i < changes->count; i++) {
        struct state_change *change = &changes->items[i];
        if (i == 0 || changes->items[i - 1].number != change->number)
            segment = spool_segment_find(store, change->number);
        if (segment != NULL)
            visit(segment, change);
    }
}

static void set_state(struct spool_segment *segment, struct state_change *change)
{
    spool_segment_set(segment, change->slot, &change->entry);
}

/* A segment that is gone by now was given back, because all in it was synced. */
static void note_failure(struct spool_segment *segment, struct state_change *change)
{
    change->failed = !spool_segment_is_synced(segment);
}

/* One segment's trouble is its own: the states of all others count. */
static void states_work(struct helper *helper, struct helper_task *base)
{
    struct task_states *task = (struct task_states *)base;
    struct spool_store *store = helper_store(helper);
    each_change(store, task->changes, set_state);
    task->ok = spool_store_sync(store);
    task->error = errno;
    if (!task->ok)
        each_change(store, task->changes, note_failure);
    task->segments = spool_store_segments(store);
}

struct task_states *task_states_new(struct state_list *changes, task_done *done, void *arg)
{
    struct task_states *task = task_new(sizeof *task, states_work, done, arg);
    task->changes = changes;
    return task;
}

/* statvfs(2) may wait, too. */
static void measure_work(struct helper *helper, struct helper_task *base)
{
    struct task_measure *task = (struct task_measure *)base;
    task->free_percent = spool_store_free_percent(helper_store(helper));
    task->segments = spool_store_segments(helper_store(helper));
}

struct task_measure *task_measure_new(task_done *done, void *arg)
{
    return task_new(sizeof(struct task_measure), measure_work, done, arg);
}
