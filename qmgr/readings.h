/*
 * readings - records of entries that wait, read in the order of the disk, each of them once.
 *
 * A reading is copied out of its entry when the batch is made: what becomes of the entry until the
 * record is there is for its owner to see.
 */
#ifndef VEREDUS_QMGR_READINGS_H
#define VEREDUS_QMGR_READINGS_H

#include "qmgr/qmgr.h"

/* Whose record, and where it lies. */
struct reading {
    uint64_t number; /* of the segment */
    uint64_t offset;
    uint32_t entry; /* of the queue */
    uint16_t recipient;
};

/* READ_ITEMS of them are one task. Zero-initialised is empty. */
struct readings {
    size_t count;
    struct reading items[READ_ITEMS];
};

/* Where the record of an entry lies that is not done. */
struct reading readings_of(const struct qmgr *qmgr, uint32_t entry);

/* Sorts them and posts a task that reads their records; `done` gets a struct task_read. */
void readings_post(struct readings *readings, struct qmgr *qmgr, task_done *done, void *arg);

/* The record of a reading; `*at` is 0 before the first one, and they are asked for in order. */
struct read_item *readings_item(struct task_read *task, size_t *at, const struct reading *reading);

#endif
