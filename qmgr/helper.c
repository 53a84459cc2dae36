/*
 * Two queues under one lock, and a wake-up in each direction. The thread takes all tasks that wait
 * at once and the loop takes all results at once: at ten thousand messages a second the lock is
 * taken a few hundred times.
 */
#include "qmgr/helper.h"

#include "util/base/arena.h"
#include "util/sys/thread.h"

/* `end` points to where the next task is linked. */
struct task_list {
    struct helper_task *first, **end;
};

struct helper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t posted;   /* tasks, or `stopping` */
    pthread_cond_t finished; /* of helper_call */
    struct wake wake;
    /* Under the lock. */
    struct task_list tasks, results;
    bool stopping;
    /* The thread's alone. */
    struct spool_store *store;
};

/* What helper_call waits for: a task that marks its own end. */
struct call {
    struct helper_task task;
    struct helper_task *inner;
    bool over;
};

/* Under the lock. */
static void list_put(struct task_list *list, struct helper_task *task)
{
    task->next = NULL;
    *list->end = task;
    list->end = &task->next;
}

/* Empties the list; under the lock, or before there is a thread. */
static struct helper_task *list_take_all(struct task_list *list)
{
    struct helper_task *first = list->first;
    list->first = NULL;
    list->end = &list->first;
    return first;
}

/* One wake for any number of results: the loop takes them all. */
void helper_return(struct helper *helper, struct helper_task *part)
{
    pthread_mutex_lock(&helper->lock);
    /* Only the first result wakes the loop: it takes all that follow. */
    bool was_empty = helper->results.first == NULL;
    list_put(&helper->results, part);
    pthread_mutex_unlock(&helper->lock);
    if (was_empty)
        wake_send(&helper->wake);
}

/* All tasks that wait; waits for one. NULL: the end. */
static struct helper_task *tasks_wait(struct helper *helper)
{
    pthread_mutex_lock(&helper->lock);
    while (helper->tasks.first == NULL && !helper->stopping)
        pthread_cond_wait(&helper->posted, &helper->lock);
    struct helper_task *first = list_take_all(&helper->tasks);
    pthread_mutex_unlock(&helper->lock);
    return first;
}

/* `next` is read before the work: a task that came back belongs to the loop. */
static void *thread_main(void *arg)
{
    struct helper *helper = arg;
    struct helper_task *task;
    while ((task = tasks_wait(helper)) != NULL) {
        while (task != NULL) {
            struct helper_task *next = task->next;
            bool wanted_back = task->done != NULL;
            task->work(helper, task);
            /* One that nobody wants back may be gone by now: helper_call has its own. */
            if (wanted_back)
                helper_return(helper, task);
            task = next;
        }
    }
    return NULL;
}

/* In the loop: gives back what is done. */
static void results_deliver(void *arg)
{
    struct helper *helper = arg;
    pthread_mutex_lock(&helper->lock);
    struct helper_task *task = list_take_all(&helper->results);
    pthread_mutex_unlock(&helper->lock);
    while (task != NULL) {
        struct helper_task *next = task->next;
        task->done(task->arg, task);
        task = next;
    }
}

/* The lists are emptied, which sets their ends. */
struct helper *helper_new(struct loop *loop)
{
    struct helper *helper = mem_new(sizeof *helper);
    pthread_mutex_init(&helper->lock, NULL);
    pthread_cond_init(&helper->posted, NULL);
    pthread_cond_init(&helper->finished, NULL);
    list_take_all(&helper->tasks);
    list_take_all(&helper->results);
    wake_init(&helper->wake, loop, results_deliver, helper);
    return helper;
}

void helper_start(struct helper *helper)
{
    thread_start(&helper->thread, thread_main, helper);
}

/* The thread sleeps only on an empty list, so one signal is enough. */
void helper_post(struct helper *helper, struct helper_task *task)
{
    pthread_mutex_lock(&helper->lock);
    list_put(&helper->tasks, task);
    pthread_cond_signal(&helper->posted);
    pthread_mutex_unlock(&helper->lock);
}

/* Runs in the thread in place of the inner task, and tells the waiting caller. */
static void call_work(struct helper *helper, struct helper_task *task)
{
    struct call *call = (struct call *)task;
    call->inner->work(helper, call->inner);
    pthread_mutex_lock(&helper->lock);
    call->over = true;
    pthread_cond_signal(&helper->finished);
    pthread_mutex_unlock(&helper->lock);
}

/* The task lives on the caller's stack: it returns when the thread is through with it. */
void helper_call(struct helper *helper, struct helper_task *task)
{
    struct call call = {.task = {.work = call_work}, .inner = task};
    helper_post(helper, &call.task);
    pthread_mutex_lock(&helper->lock);
    while (!call.over)
        pthread_cond_wait(&helper->finished, &helper->lock);
    pthread_mutex_unlock(&helper->lock);
}

struct spool_store *helper_store(const struct helper *helper)
{
    return helper->store;
}

void helper_set_store(struct helper *helper, struct spool_store *store)
{
    helper->store = store;
}

/* Tasks that wait are still done: states that were posted reach the disk. */
void helper_free(struct helper *helper)
{
    pthread_mutex_lock(&helper->lock);
    helper->stopping = true;
    pthread_cond_signal(&helper->posted);
    pthread_mutex_unlock(&helper->lock);
    pthread_join(helper->thread, NULL);
    /* By the thread's end all results are in. */
    results_deliver(helper);
    wake_stop(&helper->wake);
    if (helper->store != NULL)
        spool_store_close(helper->store);
    pthread_cond_destroy(&helper->posted);
    pthread_cond_destroy(&helper->finished);
    pthread_mutex_destroy(&helper->lock);
    mem_free(helper);
}
