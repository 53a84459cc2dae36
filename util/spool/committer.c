/*
 * Done in the loop, a sync would hold up every session for as long as the disk takes: all of them
 * would move in lockstep. doc/decisions.md has the measurements.
 */
#include "util/spool/committer.h"

#include "util/sys/thread.h"

/* `last` points into the struct, so a queue must not be copied. */
static void queue_init(struct sync_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

/* In the order they were submitted. */
static void queue_append(struct sync_queue *queue, struct sync_job *job)
{
    job->next = NULL;
    *queue->last = job;
    queue->last = &job->next;
}

/* For the batch that sessions wait for: a large message's sync may take longer than all of
 * theirs. */
static void queue_prepend(struct sync_queue *queue, struct sync_job *job)
{
    job->next = queue->first;
    if (queue->first == NULL)
        queue->last = &job->next;
    queue->first = job;
}

/* NULL when it is empty. */
static struct sync_job *queue_take(struct sync_queue *queue)
{
    struct sync_job *job = queue->first;
    if (job == NULL)
        return NULL;
    queue->first = job->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    return job;
}

/* Waits for work; NULL when the thread is to end. Called with the lock held. */
static struct sync_job *next_job(struct committer *committer)
{
    while (!committer->stopping && committer->waiting.first == NULL)
        pthread_cond_wait(&committer->work, &committer->lock);
    return committer->stopping ? NULL : queue_take(&committer->waiting);
}

/* The lock is not held during the sync: submitting never waits for a disk. */
static void *serve(void *arg)
{
    struct committer *committer = arg;
    struct sync_job *job;
    pthread_mutex_lock(&committer->lock);
    while ((job = next_job(committer)) != NULL) {
        pthread_mutex_unlock(&committer->lock);
        job->error = spool_io_sync(committer->io, job->fd);
        pthread_mutex_lock(&committer->lock);
        queue_append(&committer->finished, job);
        wake_send(&committer->wake);
    }
    pthread_mutex_unlock(&committer->lock);
    return NULL;
}

/* One at a time: `finished` may submit the next job, which wants the lock. */
static struct sync_job *take_finished(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    struct sync_job *job = queue_take(&committer->finished);
    pthread_mutex_unlock(&committer->lock);
    return job;
}

/* In the loop; one wake may stand for several jobs. */
static void on_wake(void *arg)
{
    struct committer *committer = arg;
    struct sync_job *job;
    while ((job = take_finished(committer)) != NULL)
        job->finished(job->arg, job->error);
}

void committer_init(struct committer *committer, struct loop *loop, const struct spool_io *io)
{
    committer->io = io;
    committer->running = false;
    committer->stopping = false;
    queue_init(&committer->waiting);
    queue_init(&committer->finished);
    pthread_mutex_init(&committer->lock, NULL);
    pthread_cond_init(&committer->work, NULL);
    wake_init(&committer->wake, loop, on_wake, committer);
}

/* The thread is started here, at first use: behind the sandbox. */
void committer_submit(struct committer *committer, struct sync_job *job, bool urgent)
{
    if (!committer->running)
        thread_start(&committer->thread, serve, committer);
    committer->running = true;
    pthread_mutex_lock(&committer->lock);
    if (urgent)
        queue_prepend(&committer->waiting, job);
    else
        queue_append(&committer->waiting, job);
    pthread_mutex_unlock(&committer->lock);
    pthread_cond_signal(&committer->work); /* unlocked: it need not wait for us once more */
}

/* What waits is dropped: whoever submitted it is being freed. */
void committer_stop(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    committer->stopping = true;
    pthread_cond_signal(&committer->work);
    pthread_mutex_unlock(&committer->lock);
    if (committer->running)
        pthread_join(committer->thread, NULL);
    wake_stop(&committer->wake);
    pthread_cond_destroy(&committer->work);
    pthread_mutex_destroy(&committer->lock);
}
