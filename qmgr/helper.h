/*
 * helper - the one thread that waits for the disk, so that the loop never does.
 *
 * Tasks are done in the order they were posted; each comes back to the loop when it is done. A task
 * belongs to the loop until it is posted, to the thread until its `done` is called, then to the
 * loop again: nothing is ever shared. The spool is the thread's alone.
 */
#ifndef VEREDUS_QMGR_HELPER_H
#define VEREDUS_QMGR_HELPER_H

#include "util/spool/store.h"
#include "util/sys/loop.h"

struct helper;

/* Embedded as the first member of a task with its questions and answers. */
struct helper_task {
    /* In the thread; the store is NULL until one was opened (helper_set_store). */
    void (*work)(struct helper *helper, struct helper_task *task);
    /* In the loop; the task is its to free. */
    void (*done)(void *arg, struct helper_task *task);
    void *arg;
    struct helper_task *next;
};

/* Makes the helper without its thread. */
struct helper *helper_new(struct loop *loop);

/* Starts the thread; in the sandbox, which holds for threads that are made in it only. Failure is
 * fatal. */
void helper_start(struct helper *helper);

/* Does what was posted, ends the thread, closes the store. Tasks not given back by then are given
 * back from within this call. */
void helper_free(struct helper *helper);

/* Hands a task to the thread. */
void helper_post(struct helper *helper, struct helper_task *task);

/* The same, and waits for it: for the start alone. `done` is not called. */
void helper_call(struct helper *helper, struct helper_task *task);

/* From within work: gives another task back to the loop, a part of a long answer. */
void helper_return(struct helper *helper, struct helper_task *part);

/* The store, which is the thread's: from within work. NULL until one was opened. */
struct spool_store *helper_store(const struct helper *helper);

/* The store becomes the helper's, which closes it. */
void helper_set_store(struct helper *helper, struct spool_store *store);

#endif
