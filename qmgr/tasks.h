/*
 * tasks - what the helper thread is asked to do with the spool: one struct a question, its answers
 * in it.
 *
 * Each *_new makes a task that is ready to be posted; `done` is called in the loop with the struct,
 * which it frees with its *_free when it has taken what it wants. Segments are named by number: a
 * pointer into the store never leaves the thread.
 */
#ifndef VEREDUS_QMGR_TASKS_H
#define VEREDUS_QMGR_TASKS_H

#include "qmgr/helper.h"
#include "qmgr/message.h"
#include "qmgr/states.h"

typedef void task_done(void *arg, struct helper_task *task);

/* ---- opening, recovery ---- */

struct task_open {
    struct helper_task task;
    const char *directory;
    struct arena arena;
    struct span problem; /* in the arena; empty: it is open */
};

void task_open_work(struct helper *helper, struct helper_task *task);

/* An entry of a state file that is not done. */
struct found_entry {
    uint64_t number;
    uint32_t slot;
    struct state_entry entry;
};

enum { FOUND_CHUNK = 4096 };

/* A part of what recovery finds: given back by itself, in order, before the end. */
struct task_found {
    struct helper_task task;
    size_t count;
    struct found_entry entries[FOUND_CHUNK];
};

struct task_recover {
    struct helper_task task;
    struct task_found *part; /* being filled; the thread's */
    task_done *found;        /* for each part: a struct task_found, to be freed with task_free */
    bool ok;
    int error;
    size_t held_count;
    struct spool_held held[];
};

struct task_recover *task_recover_new(size_t held_count, task_done *found, task_done *done,
                                      void *arg);

/* ---- segments ---- */

/* A new segment and its write-only descriptor. */
struct task_make {
    struct helper_task task;
    enum spool_kind kind;
    int fd; /* -1: failed; the receiver's to close */
    int error;
    struct spool_block block;
};

struct task_make *task_make_new(enum spool_kind kind, task_done *done, void *arg);

/* A read-only descriptor of a segment. */
struct task_reader {
    struct helper_task task;
    uint64_t number;
    unsigned long long token; /* the asker's */
    int fd;                   /* -1: failed; the receiver's to close */
    int error;
    struct spool_salt salt;
};

struct task_reader *task_reader_new(uint64_t number, task_done *done, void *arg);

/* Indexes what is new before `end`, or (`tail`) whatever lies in it; then seals it if asked to. */
struct task_scan {
    struct helper_task task;
    uint64_t number, end;
    bool tail, seal;
    bool known;               /* false: no such segment */
    bool ok;                  /* false: a bad record was set aside */
    struct message *messages; /* in order; the receiver's */
    struct message **messages_end;
    struct message *newest;
};

struct task_scan *task_scan_new(uint64_t number, uint64_t end, task_done *done, void *arg);

/* ---- records ---- */

struct read_item {
    uint64_t number, offset;
    enum record_result result;
    struct message *message; /* RECORD_OK: the receiver's */
};

enum { READ_ITEMS = 128 };

struct task_read {
    struct helper_task task;
    size_t count;
    struct read_item items[READ_ITEMS];
};

struct task_read *task_read_new(task_done *done, void *arg);

enum { ORIGINAL_HEADER_MOST = 64 << 10 };

/* A message and the beginning of its letter, for a bounce. */
struct task_original {
    struct helper_task task;
    uint64_t number, offset;
    enum record_result result;
    struct message *message; /* RECORD_OK: the receiver's */
    struct buf octets;       /* up to ORIGINAL_HEADER_MOST */
};

struct task_original *task_original_new(uint64_t number, uint64_t offset, task_done *done,
                                        void *arg);
void task_original_free(struct task_original *task);

/* ---- states, space ---- */

struct task_states {
    struct helper_task task;
    const struct state_list *changes; /* unchanged meanwhile */
    bool ok;
    int error;
    size_t segments;
};

struct task_states *task_states_new(const struct state_list *changes, task_done *done, void *arg);

struct task_measure {
    struct helper_task task;
    unsigned free_percent;
    size_t segments;
};

struct task_measure *task_measure_new(task_done *done, void *arg);

/* Frees a task of any kind but task_original; what it brought is the receiver's. */
void task_free(struct helper_task *task);

#endif
