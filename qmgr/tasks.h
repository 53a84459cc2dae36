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

/* Opening, which the start waits for. */
struct task_open {
    struct helper_task task;
    const char *directory;
    struct arena arena;
    struct span problem; /* in the arena; empty: it is open */
};

/* In the thread: opens the spool and gives it to the helper; for helper_call. */
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

/* Recovery: parts while it runs, `ok` at its end. */
struct task_recover {
    struct helper_task task;
    struct task_found *part; /* being filled; the thread's */
    task_done *found;        /* for each part: a struct task_found, to be freed with task_free */
    bool ok;
    int error;
    struct spool_block *open; /* segments that stay open, because their writers live, or because
                                 they could not be read to their end */
    size_t open_count, open_cap;
    size_t held_count;
    struct spool_held held[];
};

/* `held` has `held_count` items, to be filled in before it is posted. */
struct task_recover *task_recover_new(size_t held_count, task_done *found, task_done *done,
                                      void *arg);
void task_recover_free(struct task_recover *task);

/* ---- segments ---- */

/* A new segment and its write-only descriptor. */
struct task_make {
    struct helper_task task;
    enum spool_kind kind;
    int fd; /* -1: failed; the receiver's to close */
    int error;
    struct spool_block block;
};

/* The descriptor that comes back is the receiver's to close. */
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

/* As with task_make, the descriptor is the receiver's; `token` is to be filled in. */
struct task_reader *task_reader_new(uint64_t number, task_done *done, void *arg);

/* Indexes what is new before `end`, then seals the segment if asked to. `tail`: its writer is said
 * to be gone; if that is so, whatever lies in it is indexed and it is sealed. */
struct task_scan {
    struct helper_task task;
    uint64_t number, end;
    bool tail, seal;
    bool sealed;              /* it is now */
    bool known;               /* false: no such segment */
    enum spool_scan result;   /* SPOOL_SCAN_LATER: nothing was sealed, ask again */
    struct message *messages; /* in order; the receiver's */
    struct message **messages_end;
    struct message *newest;
};

/* Scans up to `end`; `tail` and `seal` are to be filled in where they are wanted. */
struct task_scan *task_scan_new(uint64_t number, uint64_t end, task_done *done, void *arg);

/* ---- records ---- */

/* A record to be read, and what came of it. One that is damaged is set aside by whoever finds it
 * out. */
struct read_item {
    uint64_t number, offset;
    enum record_result result;
    bool aside;              /* damaged, and there is a copy for the operator */
    struct message *message; /* RECORD_OK: the receiver's */
};

enum { READ_ITEMS = 128 };

/* Some records, read one after the other. */
struct task_read {
    struct helper_task task;
    size_t count;
    struct read_item items[READ_ITEMS];
};

/* `items` is to be filled in, in the order the disk is to be read. */
struct task_read *task_read_new(task_done *done, void *arg);

enum { ORIGINAL_HEADER_MOST = 64 << 10 };

/* A message and the beginning of its letter, for a bounce. */
struct task_original {
    struct helper_task task;
    uint64_t number, offset;
    bool unquoted; /* no octets are wanted */
    enum record_result result;
    bool aside;
    struct message *message; /* RECORD_OK: the receiver's */
    struct buf octets;       /* up to ORIGINAL_HEADER_MOST */
    bool whole;              /* and these are all there are */
};

/* Reads the record at that place; freed with task_original_free. */
struct task_original *task_original_new(uint64_t number, uint64_t offset, task_done *done,
                                        void *arg);

/* Also frees the octets, unless the receiver took them (and left an empty buffer). */
void task_original_free(struct task_original *task);

/* Is this letter, which an agent says is damaged, damaged? The whole of it is read. */
struct task_check {
    struct helper_task task;
    uint64_t number, offset;
    uint32_t queue_entry; /* the asker's */
    enum record_result result;
    bool aside;
};

/* Not started yet. `done` finds the result, and in `aside` whether the letter was set aside. */
struct task_check *task_check_new(uint64_t number, uint64_t offset, task_done *done, void *arg);

/* ---- states, space ---- */

/* A batch of states, written and synced. */
struct task_states {
    struct helper_task task;
    struct state_list *changes; /* the thread's meanwhile; it marks what failed */
    bool ok;                    /* false: the state file of some segment failed */
    int error;
    size_t segments;
};

/* The list stays its owner's, who does not touch it until `done`. */
struct task_states *task_states_new(struct state_list *changes, task_done *done, void *arg);

/* Free space and segments, as the disk has them. */
struct task_measure {
    struct helper_task task;
    unsigned free_percent;
    size_t segments;
};

/* Asks for free space and the number of segments. */
struct task_measure *task_measure_new(task_done *done, void *arg);

/* Frees a task of any kind but task_original and task_recover; what it brought is the receiver's.
 */
void task_free(struct helper_task *task);

#endif
