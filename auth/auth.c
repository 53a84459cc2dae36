/*
 * The process around the attempts: peers come and go, questions in, verdicts and tickets out. A
 * peer that is gone takes its questions with it; a password is in no log line and no error text.
 */
#include "auth/auth.h"

#include <bsd/sys/queue.h>
#include <openssl/crypto.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/attempt.h"
#include "util/base/clock.h"
#include "util/base/panic.h"
#include "util/ipc/ticket.h"

enum { HASH_THREADS = 2, TICKET_SECONDS = 60, DRAIN_MS = 20000, DRAIN_STEP_MS = 50 };

struct auth;

struct peer {
    struct auth *auth;
    struct channel *channel;
    LIST_ENTRY(peer) link;
};

/* All that the process keeps. */
struct auth {
    struct daemon *daemon;
    struct hasher *hasher; /* owned by the attempts */
    struct attempts *attempts;
    LIST_HEAD(, peer) peers;
    struct timer drain_timer;
    int64_t drain_until;
};

/* Opened by the driver at the first lookup: at the start there may be no table yet. */
static struct table *open_passwords(const struct conf *conf)
{
    struct arena arena = {0};
    struct span path = arena_printf(&arena, "%.*s/passwords", SPAN_ARG(conf->table_directory));
    struct table *table = table_open("db", path.data);

    require(table);
    arena_free(&arena);
    return table;
}

/* User and client, never the password; a failure is ordinary, an unreadable table is not. */
static void log_verdict(const struct attempt_answer *answer)
{
    if (answer->status == VERIFY_OK)
        return; /* pop3d logs the login, with what follows from it */
    log_event(answer->status == VERIFY_FAILED ? LOG_INFO : LOG_WARN,
              answer->status == VERIFY_FAILED ? "login-failed" : "login-unverified",
              LOG_SPAN("user", answer->user), LOG_SPAN("client", answer->client),
              LOG_UINT("session", answer->session));
}

/* A ticket lives TICKET_SECONDS: long enough for the mailbox to be opened, too short to be
 * kept. */
static void send_verdict(void *origin, const struct attempt_answer *answer)
{
    struct peer *peer = origin;
    struct daemon *daemon = peer->auth->daemon;
    uint8_t ticket[TICKET_SIZE];
    struct verdict verdict = {.query = answer->query,
                              .status = (uint8_t)answer->status,
                              .user = answer->user,
                              .ticket = SPAN("")};

    if (answer->status == VERIFY_OK) {
        ticket_make(daemon->key, answer->user, answer->session, clock_wall() + TICKET_SECONDS,
                    ticket);
        verdict.ticket = span_of(ticket, sizeof(ticket));
    }
    /* Counted where the verdict is known: pop3d may be gone before it hears. */
    page_add(daemon->page, answer->status == VERIFY_OK ? PAGE_LOGINS : PAGE_LOGIN_FAILURES, 1);
    log_verdict(answer);
    if (!channel_send(peer->channel, &ipc_verdict, &verdict, NULL))
        log_event(LOG_WARN, "verdict-lost", LOG_UINT("session", answer->session));
}

/* ---- peers ---- */

/* The question lies in the channel's packet, where the password would stay until the next one. */
static void verify(struct peer *peer, const struct verify *question)
{
    attempts_begin(peer->auth->attempts, peer, question);
    OPENSSL_cleanse((void *)(uintptr_t)question->password.data, question->password.len);
}

static void peer_message(void *arg, struct channel *channel, const struct ipc_type *type,
                         const void *message, struct fd_list *fds)
{
    struct peer *peer = arg;

    (void)channel;
    (void)fds;
    if (type == &ipc_verify)
        verify(peer, message);
    else
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", type->name));
}

/* Its attempts go on without it: who guesses must not escape the delay by hanging up. */
static void peer_closed(void *arg, struct channel *channel)
{
    struct peer *peer = arg;

    attempts_forget(peer->auth->attempts, peer);
    LIST_REMOVE(peer, link);
    channel_free(channel);
    mem_free(peer);
}

/* Only pop3d has a socket to auth (util/sys/role.c). */
static void connect_peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    struct auth *auth = daemon->state;
    struct peer *peer = mem_new(sizeof(*peer));

    (void)role;
    (void)index;
    peer->auth = auth;
    LIST_INSERT_HEAD(&auth->peers, peer, link);
    peer->channel = channel_new(
        daemon->loop, fd,
        &(struct channel_calls){.message = peer_message, .closed = peer_closed, .arg = peer});
}

/* ---- life ---- */

/* Looks again and again until every answer is out or nobody is left to hear it: logins are short,
 * and a drain is rare. */
static void drain_step(void *arg)
{
    struct auth *auth = arg;
    struct peer *peer;

    if (!LIST_EMPTY(&auth->peers) && attempts_pending(auth->attempts) &&
        loop_now(auth->daemon->loop) < auth->drain_until) {
        timer_set(&auth->drain_timer, DRAIN_STEP_MS);
        return;
    }
    /* What the last turn answered is still queued. */
    LIST_FOREACH (peer, &auth->peers, link)
        channel_flush(peer->channel);
    daemon_exit(auth->daemon);
}

/* OpenSSL and libxcrypt read what they need now, while files can still be opened. */
static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    struct auth *auth = mem_new(sizeof(*auth));
    const struct conf_limits *limits = &daemon->conf->limits;

    auth->daemon = daemon;
    LIST_INIT(&auth->peers);
    ticket_warm_up();
    auth->hasher = hasher_new(daemon->loop);
    auth->attempts = attempts_new(&(struct attempts_parts){
        .loop = daemon->loop,
        .conf = daemon->conf,
        .hasher = auth->hasher,
        .recent = recent_new(),
        .delays = delays_new(limits->auth_delay_first, limits->auth_delay_most),
        .passwords = open_passwords(daemon->conf),
        .answer = send_verdict,
    });
    timer_init(&auth->drain_timer, daemon->loop, drain_step, auth);
    /* The passwords are beneath it, and nothing else that this user may read. */
    sandbox->readable[0] = daemon->conf->table_directory.data;
    daemon->state = auth;
}

/* Threads behind the sandbox, which holds for those that are made in it only. */
static void start(struct daemon *daemon)
{
    /* Without a key every ticket would be refused: better to end here. */
    if (daemon->key.len != TICKET_KEY_SIZE)
        fatal(EX_SOFTWARE, "master gave no key for tickets");
    hasher_start(((struct auth *)daemon->state)->hasher, HASH_THREADS);
}

/* Whoever still waits gets a last chance to be answered; the peers turn to the new process anyway.
 */
static void drain(struct daemon *daemon)
{
    struct auth *auth = daemon->state;

    auth->drain_until = loop_now(daemon->loop) + DRAIN_MS;
    drain_step(auth);
}

/* What Berkeley DB keeps it hides from whoever counts memory at the end: so it is told to end. */
static void run(struct daemon *daemon)
{
    const struct auth *auth = daemon->state;

    loop_run(daemon->loop);
    attempts_free(auth->attempts);
}

const struct daemon_calls auth_calls = {
    .role = ROLE_AUTH,
    .prepare = prepare,
    .start = start,
    .peer = connect_peer,
    .drain = drain,
    .run = run,
};
