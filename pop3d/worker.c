/*
 * Why a full worker stops listening instead of refusing: the listening socket is shared, another
 * worker takes the client, and if all are full it waits in the kernel's queue. Full is a worker
 * also when more sessions could exhaust the descriptors: the one that is missing might come with an
 * answer of mailbox, and a packet cut short costs every session its channel.
 */
#include "pop3d/worker.h"

#include <sys/resource.h>
#include <unistd.h>

#include "pop3d/left.h"
#include "pop3d/peers.h"
#include "pop3d/session.h"
#include "util/base/log.h"
#include "util/base/panic.h"
#include "util/base/random.h"

/* What a session may hold, with some to spare: its socket, the lock, the list while it is mapped, a
 * window of messages (fetch.h). */
enum { DESCRIPTORS_A_SESSION = 20 };

/* ---- clients ---- */

/* The one place that decides whether clients are taken; called when any of its reasons changes. */
static void listen_if_room(struct worker *worker)
{
    for (size_t i = 0; i < worker->acceptor_count; i++)
        acceptor_want(&worker->acceptors[i], worker->session_count < worker->slot_count);
}

/* The free places are a stack, so the one that was left last is the next to be taken. A query's
 * number names it, which is why sessions have places at all (peers.h). */
uint16_t worker_enter(struct worker *worker, struct session *session)
{
    uint16_t slot = worker->free_slots[worker->slot_count - ++worker->session_count];
    worker->slots[slot] = session;
    page_add(worker->page, PAGE_CONNECTIONS, 1);
    page_set(worker->page, PAGE_SESSIONS, worker->session_count);
    if (worker->session_count == worker->slot_count)
        listen_if_room(worker);
    return slot;
}

/* Leaving a full worker is what makes it listen again; the last one out of a draining worker ends
 * it, by the timer, because its own memory is still in use up the stack. */
void worker_leave(struct worker *worker, uint16_t slot)
{
    bool was_full = worker->session_count == worker->slot_count;
    worker->slots[slot] = NULL;
    worker->free_slots[worker->slot_count - worker->session_count--] = slot;
    page_set(worker->page, PAGE_SESSIONS, worker->session_count);
    if (was_full)
        listen_if_room(worker);
    if (worker->draining && worker->session_count == 0)
        timer_set(&worker->drain_timer, 0);
}

unsigned worker_connections(const struct worker *worker, uint64_t key)
{
    unsigned count = page_connections(worker->page, key);
    size_t pages = worker->page_count != NULL ? *worker->page_count : 0;
    for (size_t i = 0; i < pages; i++) {
        const struct daemon_page *page = &worker->pages[i];
        /* Our own may be among them, and was counted above. */
        if (page->role == ROLE_POP3D && page->index != worker->index)
            count += page_connections(page->page, key);
    }
    return count;
}

static void on_client(void *arg, int fd, const union net_address *client)
{
    session_new(arg, fd, client);
}

void worker_listen(struct worker *worker, int fd)
{
    const struct acceptor_calls calls = {.connection = on_client, .arg = worker};
    require(worker->acceptor_count < DAEMON_LISTENERS);
    acceptor_open(&worker->acceptors[worker->acceptor_count++], worker->loop, fd, &calls);
}

/* ---- the end ---- */

/* Nothing of theirs is removed: only QUIT does that (RFC 1939 §6). */
static void end_sessions(struct worker *worker)
{
    for (size_t i = 0; i < worker->slot_count; i++)
        if (worker->slots[i] != NULL)
            session_end(worker->slots[i], "shutdown");
}

/* Time is up, or nobody is left; the last session to end calls this again. A client that keeps
 * talking would keep a process of the old settings alive: patience has an end. */
static void on_drain(void *arg)
{
    struct worker *worker = arg;
    if (worker->session_count == 0)
        worker->drained(worker->drained_arg);
    else if (worker->patient)
        worker_drain(worker, false, worker->drained, worker->drained_arg);
    else
        end_sessions(worker);
}

/* Another worker may listen to them now. */
static void stop_listening(struct worker *worker)
{
    for (size_t i = 0; i < worker->acceptor_count; i++)
        acceptor_close(&worker->acceptors[i]);
}

void worker_drain(struct worker *worker, bool patient, void (*drained)(void *arg), void *arg)
{
    worker->drained = drained;
    worker->drained_arg = arg;
    worker->draining = true;
    worker->patient = patient;
    stop_listening(worker);
    for (size_t i = 0; i < worker->slot_count; i++)
        if (worker->slots[i] != NULL && !patient)
            session_drain(worker->slots[i]);
    int64_t ms = patient ? WORKER_PATIENCE_MS : WORKER_DRAIN_MS;
    timer_set(&worker->drain_timer, worker->session_count > 0 ? ms : 0);
}

/* The limit is what master and its own surroundings left us; it does not change any more. */
static size_t most_sessions(const struct conf *conf)
{
    uint64_t most = conf->limits.connections_per_worker;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / DESCRIPTORS_A_SESSION < most)
        most = limit.rlim_cur / DESCRIPTORS_A_SESSION;
    /* Never 0: a worker that listens to nobody would be a riddle. */
    if (most == 0)
        most = 1;
    return most < WORKER_SESSIONS ? (size_t)most : WORKER_SESSIONS;
}

void worker_init(struct worker *worker, struct loop *loop, const struct conf *conf,
                 struct page *page)
{
    *worker = (struct worker){.loop = loop, .conf = conf, .page = page};
    LIST_INIT(&worker->left);
    worker->slot_count = most_sessions(conf);
    worker->slots = mem_array(worker->slot_count, sizeof(*worker->slots));
    worker->free_slots = mem_array(worker->slot_count, sizeof(*worker->free_slots));
    for (size_t i = 0; i < worker->slot_count; i++)
        worker->free_slots[i] = (uint16_t)(worker->slot_count - 1 - i);
    worker->last_session = random_u64();
    worker->input = mem_array(WORKER_INPUT, 1);
    worker->chunk = mem_array(BODY_CHUNK, 1);
    worker->names.limit = MAILBOX_NAMES_MAX;
    timer_init(&worker->drain_timer, loop, on_drain, worker);
}

void worker_close(struct worker *worker)
{
    stop_listening(worker);
    end_sessions(worker);
    timer_cancel(&worker->drain_timer);
    peers_close(worker);
    left_forget(worker, NULL);
    mem_free(worker->slots);
    mem_free(worker->free_slots);
    mem_free(worker->input);
    mem_free(worker->chunk);
    buf_free(&worker->out);
    buf_free(&worker->names);
    worker->slot_count = 0;
}

/* ---- the skeleton ---- */

/* The skeleton's call wants the daemon. */
static void on_unlinked(void *arg, enum role role, unsigned index)
{
    daemon_peer_lost(arg, role, index);
}

/* No path for the sandbox: all that a worker reads comes to it as descriptors. */
static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    struct worker *worker = mem_new(sizeof(*worker));
    (void)sandbox;
    worker_init(worker, daemon->loop, daemon->conf, daemon->page);
    worker->pages = daemon->pages;
    worker->page_count = &daemon->page_count;
    worker->rates = daemon->rates;
    worker->index = daemon->index;
    worker->unlinked = on_unlinked;
    worker->unlinked_arg = daemon;
    daemon->state = worker;
}

/* The listeners came before the start; they are watched from now on. */
static void start(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->listener_count; i++)
        if (daemon->listeners[i].service == SERVICE_POP3)
            worker_listen(daemon->state, daemon->listeners[i].fd);
}

/* At the start and whenever one of them was started anew. */
static void peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    peers_connect(daemon->state, role, index, fd);
}

/* Called from the worker's own timer, as the last thing that it does. */
static void on_drained(void *arg)
{
    struct daemon *daemon = arg;
    struct worker *worker = daemon->state;
    worker_close(worker);
    mem_free(worker);
    daemon->state = NULL;
    daemon_exit(daemon);
}

/* Patient: another generation listens already, and these sessions end as if nothing had happened.
 */
static void drain(struct daemon *daemon)
{
    worker_drain(daemon->state, daemon->patient, on_drained, daemon);
}

const struct daemon_calls pop3d_calls = {
    .role = ROLE_POP3D,
    .prepare = prepare,
    .start = start,
    .peer = peer,
    .drain = drain,
    .drains_again = true,
};
