/*
 * Why any mailbox process will do: requests carry names and the lock, nobody there remembers a
 * session. So one that died or was replaced costs nobody anything: those who were waiting for it
 * ask another one, the newest, because a reload replaces all the others, too.
 */
#include "pop3d/peers.h"

#include <unistd.h>

#include "pop3d/commands.h"
#include "pop3d/left.h"
#include "util/base/log.h"

enum { SLOT_BITS = 16 };

/* What may be said to which question. */
struct answer {
    const struct ipc_type *type;
    enum request_kind kind;
    struct pop3_reply (*take)(struct session *session, const void *message, struct fd_list *fds);
};

static const struct answer answers[] = {
    {&ipc_verdict, REQUEST_VERIFY, login_verdict},
    {&ipc_mailbox_opened, REQUEST_OPEN, login_opened},
    {&ipc_mailbox_refused, REQUEST_OPEN, login_refused},
    {&ipc_mailbox_message, REQUEST_FETCH, fetch_message},
    {&ipc_mailbox_missing, REQUEST_FETCH, fetch_missing},
    {&ipc_mailbox_deleted, REQUEST_DELETE, update_deleted},
};

/* By the address of the type, of which there is one each. */
static const struct answer *answer_of(const struct ipc_type *type)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        if (answers[i].type == type)
            return &answers[i];
    return NULL;
}

/* The session that still waits for this very answer from this very peer, or NULL. */
static struct session *asker(const struct worker *worker, const struct channel *channel,
                             uint32_t query)
{
    uint32_t slot = query & ((1U << SLOT_BITS) - 1);
    struct session *session = slot < worker->slot_count ? worker->slots[slot] : NULL;
    if (session == NULL || session->request.query != query || session->request.channel != channel)
        return NULL;
    return session;
}

/* Every answer begins with the number of its query. */
static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct worker *worker = arg;
    const struct answer *answer = answer_of(type);
    if (answer == NULL) {
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", type->name));
        return;
    }
    struct session *session = asker(worker, channel, *(const uint32_t *)message);
    if (session == NULL && type == &ipc_verdict)
        left_answered(worker, channel, message);
    if (session == NULL || session->request.kind != answer->kind)
        return;
    /* Who is heard may lose a process again: of a window, say, most of which has come. */
    session->request.again = false;
    session_answer(session, answer->take(session, message, fds));
}

/* Its place is empty before the sessions hear of it: they may ask again at once, and must not ask
 * here. A walk through all sessions costs nothing that matters: processes seldom end. */
static void forget_channel(struct worker *worker, struct channel *channel)
{
    left_forget(worker, channel);
    if (worker->auth == channel)
        worker->auth = NULL;
    for (size_t i = 0; i < ROLE_INDEXES; i++)
        if (worker->mailboxes[i] == channel)
            worker->mailboxes[i] = NULL;
    for (size_t i = 0; i < worker->slot_count; i++) {
        struct session *session = worker->slots[i];
        if (session != NULL && session->request.channel == channel)
            session_peer_lost(session);
    }
    channel_free(channel);
}

/* Mostly the process died; if it lives, this is how a new socket to it comes. */
static void report_unlinked(const struct worker *worker, const struct channel *channel)
{
    if (worker->unlinked == NULL)
        return;
    if (worker->auth == channel)
        worker->unlinked(worker->unlinked_arg, ROLE_AUTH, worker->auth_index);
    for (unsigned i = 0; i < ROLE_INDEXES; i++)
        if (worker->mailboxes[i] == channel)
            worker->unlinked(worker->unlinked_arg, ROLE_MAILBOX, i);
}

/* What the process had answered before its end was heard first. */
static void on_closed(void *arg, struct channel *channel)
{
    report_unlinked(arg, channel);
    forget_channel(arg, channel);
}

/* What master hands us for no use is closed: a socket that nobody reads would fill up and hold the
 * other side back. */
void peers_connect(struct worker *worker, enum role role, unsigned index, int fd)
{
    const struct channel_calls calls = {on_message, on_closed, worker};
    struct channel **place = role == ROLE_AUTH ? &worker->auth : NULL;
    if (role == ROLE_MAILBOX && index < ROLE_INDEXES)
        place = &worker->mailboxes[index];
    if (place == NULL) {
        (void)close(fd);
        return;
    }
    struct channel *former = *place;
    *place = channel_new(worker->loop, fd, &calls);
    if (role == ROLE_MAILBOX)
        worker->newest_mailbox = index;
    else
        worker->auth_index = index;
    /* Now, so that those who waited for the former one can ask the new one. */
    if (former != NULL)
        forget_channel(worker, former);
}

/* No session is left to hear of it. */
void peers_close(struct worker *worker)
{
    if (worker->auth != NULL)
        forget_channel(worker, worker->auth);
    for (size_t i = 0; i < ROLE_INDEXES; i++)
        if (worker->mailboxes[i] != NULL)
            forget_channel(worker, worker->mailboxes[i]);
}

/* The mailbox process whose turn it is; NULL: its place is empty. */
static struct channel *next_mailbox(struct worker *worker)
{
    worker->last_mailbox = (worker->last_mailbox + 1) % ROLE_INDEXES;
    return worker->mailboxes[worker->last_mailbox];
}

/* One that is about to end takes nothing any more, before its channel is closed: then the next one
 * is tried. NULL: nobody takes it. */
static struct channel *send_to_mailbox(struct session *session, const struct ipc_type *type,
                                       const void *message, bool again)
{
    struct worker *worker = session->worker;
    struct channel *channel = again ? worker->mailboxes[worker->newest_mailbox] : NULL;
    for (size_t tries = 0; tries <= ROLE_INDEXES; tries++) {
        if (channel != NULL && channel_send(channel, type, message, &session->maildrop.lock))
            return channel;
        channel = next_mailbox(worker);
    }
    return NULL;
}

/* There is one auth; the delays after wrong passwords are counted there. */
static struct channel *send_to_auth(struct session *session, const struct ipc_type *type,
                                    const void *message)
{
    struct channel *auth = session->worker->auth;
    return auth != NULL && channel_send(auth, type, message, NULL) ? auth : NULL;
}

bool peers_ask(struct session *session, enum request_kind kind, const struct ipc_type *type,
               void *message)
{
    uint32_t query = (uint32_t)++session->worker->last_query << SLOT_BITS | session->slot;
    bool again = session->request.again;

    *(uint32_t *)message = query;
    struct channel *channel = kind == REQUEST_VERIFY
                                  ? send_to_auth(session, type, message)
                                  : send_to_mailbox(session, type, message, again);
    session->request = (struct request){0};
    if (channel != NULL)
        session->request = (struct request){kind, query, channel, again};
    return channel != NULL;
}
