/*
 * committer - a thread that does nothing but fdatasync(2), so that the loop never waits for a disk.
 *
 * Embedded in its owner. A job belongs to whoever submitted it and must stay where it is until its
 * `finished` was called, in the loop. The thread neither allocates nor logs.
 */
#ifndef VEREDUS_SPOOL_COMMITTER_H
#define VEREDUS_SPOOL_COMMITTER_H

#include <pthread.h>

#include "util/spool/io.h"
#include "util/sys/loop.h"

struct sync_job {
    int fd;
    void (*finished)(void *arg, int error); /* error: 0, or the errno */
    void *arg;
    /* The committer's own. */
    int error;
    struct sync_job *next;
};

struct sync_queue {
    struct sync_job *first;
    struct sync_job **last;
};

struct committer {
    const struct spool_io *io;
    struct wake wake;
    pthread_t thread;
    bool running;         /* the thread was started; the loop's */
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t work;
    struct sync_queue waiting;
    struct sync_queue finished;
    bool stopping;
};

/* Makes it. The thread starts with the first job: by then the process is in its sandbox, which
 * holds for threads that are made in it only. One that can not be had is fatal. */
void committer_init(struct committer *committer, struct loop *loop, const struct spool_io *io);

/* Submits a job: the urgent one goes before all that wait. */
void committer_submit(struct committer *committer, struct sync_job *job, bool urgent);

/* Waits for the sync under way, ends the thread. Nothing is finished after that. */
void committer_stop(struct committer *committer);

#endif
