/*
 * The process around the attempts: peers come and go, questions in, verdicts and tickets out. A
 * peer that is gone takes its questions with it; a password is in no log line and no error text.
 */
#include "auth/auth.h"

#include <bsd/sys/queue.h>
#include <openssl/crypto.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/sasl.h"
#include "util/base/clock.h"
#include "util/base/panic.h"
#include "util/ipc/ticket.h"

enum { HASH_THREADS = 2, TICKET_SECONDS = 60, DRAIN_MS = 20000, DRAIN_STEP_MS = 50 };

struct auth;

struct peer {
    struct asker asker; /* first: the attempts answer through it */
    struct auth *auth;
    struct channel *channel;
    enum role role;
    LIST_ENTRY(peer) link;
};

/* All that the process keeps. */
struct auth {
    struct daemon *daemon;
    struct hasher *hasher; /* owned by the attempts */
    struct attempts *attempts;
    struct sasl *sasl;
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

/* User and client, never the password; a failure is ordinary, an unreadable table is not. Who asked
 * logs the login, with what follows from it. */
static void log_verdict(const struct attempt_answer *answer)
{
    static const struct {
        enum log_level level;
        const char *event;
    } rows[] = {
        [VERIFY_FAILED] = {LOG_INFO, "login-failed"},
        [VERIFY_TEMPORARY] = {LOG_WARN, "login-unverified"},
        [VERIFY_MALFORMED] = {LOG_INFO, "login-malformed"},
    };

    if (answer->status == VERIFY_OK)
        return;
    log_event(rows[answer->status].level, rows[answer->status].event,
              LOG_SPAN("user", answer->user), LOG_SPAN("client", answer->client),
              LOG_ID("session", answer->session));
}

/* A ticket lives TICKET_SECONDS: long enough for the mailbox to be opened, too short to be kept;
 * who opens no mailboxes gets none. */
static void send_verdict(void *origin, const struct attempt_answer *answer)
{
    struct peer *peer = origin;
    struct daemon *daemon = peer->auth->daemon;
    uint8_t ticket[TICKET_SIZE];
    struct verdict verdict = {.query = answer->query,
                              .status = (uint8_t)answer->status,
                              .user = answer->user,
                              .ticket = SPAN("")};

    if (answer->status == VERIFY_OK && peer->role == ROLE_POP3D) {
        ticket_make(daemon->key, answer->user, answer->session, clock_wall() + TICKET_SECONDS,
                    ticket);
        verdict.ticket = span_of(ticket, sizeof(ticket));
    }
    /* Counted where the verdict is known: pop3d may be gone before it hears. */
    page_add(daemon->page, answer->status == VERIFY_OK ? PAGE_LOGINS : PAGE_LOGIN_FAILURES, 1);
    log_verdict(answer);
    if (!channel_send(peer->channel, &ipc_verdict, &verdict, NULL))
        log_event(LOG_WARN, "verdict-lost", LOG_ID("session", answer->session));
}

/* One that is lost leaves the exchange to its deadline. */
static void send_challenge(void *origin, const struct sasl_challenge *challenge)
{
    struct peer *peer = origin;

    if (!channel_send(peer->channel, &ipc_sasl_challenge, challenge, NULL))
        log_event(LOG_WARN, "challenge-lost", LOG_UINT("query", challenge->query));
}

/* ---- peers ---- */

/* Messages lie in the channel's packet, where a password would stay until the next one. */
static void wipe(struct span secret)
{
    OPENSSL_cleanse((void *)(uintptr_t)secret.data, secret.len);
}

static void take_verify(struct peer *peer, const void *message)
{
    const struct verify *question = message;

    attempts_begin(peer->auth->attempts, peer, question);
    wipe(question->password);
}

static void take_begin(struct peer *peer, const void *message)
{
    const struct sasl_begin *begin = message;

    sasl_start(peer->auth->sasl, peer, begin);
    wipe(begin->initial);
    wipe(begin->binding);
}

static void take_continue(struct peer *peer, const void *message)
{
    const struct sasl_continue *response = message;

    sasl_respond(peer->auth->sasl, peer, response);
    wipe(response->response);
}

static void take_abort(struct peer *peer, const void *message)
{
    sasl_cancel(peer->auth->sasl, peer, ((const struct sasl_abort *)message)->query);
}

static const struct {
    const struct ipc_type *type;
    void (*take)(struct peer *peer, const void *message);
} takers[] = {
    {&ipc_verify, take_verify},
    {&ipc_sasl_begin, take_begin},
    {&ipc_sasl_continue, take_continue},
    {&ipc_sasl_abort, take_abort},
};

static void peer_message(void *arg, struct channel *channel, const struct ipc_type *type,
                         const void *message, struct fd_list *fds)
{
    (void)channel;
    (void)fds;
    for (size_t i = 0; i < sizeof(takers) / sizeof(takers[0]); i++)
        if (takers[i].type == type) {
            takers[i].take(arg, message);
            return;
        }
    log_event(LOG_WARN, "message-unexpected", LOG_STR("type", type->name));
}

/* Its attempts go on without it: who guesses must not escape the delay by hanging up. Exchanges
 * that wait for a client wait for nobody now. */
static void peer_closed(void *arg, struct channel *channel)
{
    struct peer *peer = arg;

    sasl_forget(peer->auth->sasl, peer);
    attempts_forget(peer->auth->attempts, peer);
    LIST_REMOVE(peer, link);
    channel_free(channel);
    mem_free(peer);
}

/* Who has a socket to auth says util/sys/role.c. */
static void connect_peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    struct auth *auth = daemon->state;
    struct peer *peer = mem_new(sizeof(*peer));

    (void)index;
    peer->asker.answered = send_verdict;
    peer->auth = auth;
    peer->role = role;
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

    bool owed = attempts_pending(auth->attempts) || sasl_pending(auth->sasl);
    if (owed && !LIST_EMPTY(&auth->peers) && loop_now(auth->daemon->loop) < auth->drain_until) {
        timer_set(&auth->drain_timer, DRAIN_STEP_MS);
        return;
    }
    /* What the last turn answered is still queued. */
    LIST_FOREACH (peer, &auth->peers, link)
        channel_flush(peer->channel);
    daemon_exit(auth->daemon);
}

/* OpenSSL, libxcrypt and gsasl read what they need now, while files can still be opened. The salts
 * of unknown users live as long as master's key: longer than this process. */
static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    struct auth *auth = mem_new(sizeof(*auth));
    const struct conf_limits *limits = &daemon->conf->limits;

    auth->daemon = daemon;
    LIST_INIT(&auth->peers);
    ticket_warm_up();
    auth->hasher = hasher_new(daemon->loop);
    struct table *passwords = open_passwords(daemon->conf);
    auth->attempts = attempts_new(&(struct attempts_parts){
        .loop = daemon->loop,
        .conf = daemon->conf,
        .hasher = auth->hasher,
        .recent = recent_new(),
        .delays = delays_new(limits->auth_delay_first, limits->auth_delay_most),
        .passwords = passwords,
        .answer = asker_answer,
    });
    auth->sasl = sasl_new(&(struct sasl_parts){
        .loop = daemon->loop,
        .conf = daemon->conf,
        .attempts = auth->attempts,
        .scram = scram_server_new(daemon->conf, passwords, daemon->key),
        .deadline_ms = SASL_DEADLINE_MS,
        .challenge = send_challenge,
        .verdict = send_verdict,
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
    sasl_free(auth->sasl); /* first: its exchanges are known to the attempts */
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
