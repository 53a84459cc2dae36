/*
 * qmgr may be gone at any time, and mail is taken nevertheless: what it missed is told to the next
 * one, which asks for nothing before it has heard which segments are still in our hands
 * (`segment_held`), so a message without a socket to qmgr is dropped here and nothing is lost.
 */
#include "smtpd/spool.h"

#include "util/base/log.h"

static void tell(struct worker *worker, const struct ipc_type *type, const void *message)
{
    if (worker->qmgr != NULL && !channel_send(worker->qmgr, type, message, NULL))
        log_event(LOG_WARN, "qmgr-not-told", LOG_STR("message", type->name));
}

static void on_want(void *arg, unsigned shared, unsigned private)
{
    const struct segment_want want = {.shared = (uint8_t)shared, .private = (uint8_t) private};
    tell(arg, &ipc_segment_want, &want);
}

static void on_durable(void *arg, uint64_t number, uint64_t end)
{
    const struct segment_durable durable = {.number = number, .end = end};
    tell(arg, &ipc_segment_durable, &durable);
}

static void on_sealed(void *arg, uint64_t number, uint64_t end)
{
    const struct segment_sealed sealed = {.number = number, .end = end};
    tell(arg, &ipc_segment_sealed, &sealed);
}

static void on_held(void *arg, uint64_t number, uint64_t durable_end)
{
    const struct segment_held held = {.number = number, .durable_end = durable_end};
    tell(arg, &ipc_segment_held, &held);
}

struct spool_writer_calls spool_calls(struct worker *worker)
{
    return (struct spool_writer_calls){
        .want = on_want, .durable = on_durable, .sealed = on_sealed, .arg = worker};
}

static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct worker *worker = arg;
    (void)channel;
    if (type != &ipc_segment_give)
        return;
    const struct segment_give *give = message;
    const struct spool_grant grant = {
        .fd = fd_list_take(fds),
        .number = give->number,
        .salt = give->salt,
        .kind = (enum spool_kind)give->kind,
        .size = give->size,
    };
    spool_writer_give(worker->writer, &grant);
}

static void on_closed(void *arg, struct channel *channel)
{
    struct worker *worker = arg;
    log_event(LOG_WARN, "qmgr-lost", LOG_UINT("sessions", worker->session_count));
    channel_free(channel);
    worker->qmgr = NULL;
}

void spool_connect(struct worker *worker, int fd)
{
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = worker};
    const struct segment_held last = {.last = 1};
    channel_free(worker->qmgr);
    worker->qmgr = channel_new(worker->loop, fd, &calls);
    spool_writer_report(worker->writer, on_held, worker);
    tell(worker, &ipc_segment_held, &last);
}
