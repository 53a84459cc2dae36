/*
 * The worker is where the skeleton of all daemons meets the sessions: listeners, peers, the end.
 *
 * All workers share the listening sockets. A worker leaves a connection to the others when it
 * clearly has more than its share already, for a moment only (acceptor.h).
 */
#include "smtpd/worker.h"

#include "smtpd/answer.h"
#include "smtpd/authenticate.h"
#include "smtpd/commands.h"
#include "smtpd/known.h"
#include "smtpd/limits.h"
#include "smtpd/login.h"
#include "smtpd/recipients.h"
#include "smtpd/segments.h"
#include "smtpd/session.h"
#include "util/base/panic.h"
#include "util/base/random.h"
#include "util/daemon/acceptor.h"
#include "util/daemon/daemon_dns.h"
#include "util/daemon/daemon_tls.h"

#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    LETTER_SLACK = SPOOL_ENVELOPE_MAX + (1 << 20), /* what is stored besides the message */
    SHARED_SPARES = 1,
    PRIVATE_SPARES = 2,
    RESERVE = 128,        /* descriptors that are no clients */
    PATIENCE_MS = 600000, /* what a client has left when another generation serves */
    DRAIN_MS = 10000,     /* what a transaction has left when the worker is to end */
    GOODBYE_MS = 3000     /* to take the last reply; with DRAIN_MS less than master waits */
};

/* ---- what sessions share ---- */

/* What is the same for every client is written once. */
static void write_texts(struct worker *worker)
{
    const struct conf *conf = worker->conf;
    struct span host = conf->hostname;
    struct arena *arena = &worker->arena;
    worker->greeting = arena_printf(arena, "%.*s ESMTP Veredus", SPAN_ARG(host)).data;
    worker->lmtp_greeting = arena_printf(arena, "%.*s LMTP Veredus", SPAN_ARG(host)).data;
    worker->hello = arena_copy(arena, host).data;
    /* RFC 2920, 1870, 5321, 2034, 6152, 3030, 6531, 3461, 9422 */
    worker->capabilities =
        arena_printf(arena,
                     "%.*s\nPIPELINING\nSIZE %llu\nVRFY\nENHANCEDSTATUSCODES\n8BITMIME"
                     "\nCHUNKING\nBINARYMIME\nSMTPUTF8\nDSN"
                     "\nLIMITS RCPTMAX=%llu MAILMAX=%llu\nHELP",
                     SPAN_ARG(host), (unsigned long long)conf->limits.message_size,
                     (unsigned long long)conf->limits.recipients,
                     (unsigned long long)conf->limits.messages_per_connection)
            .data;
    for (int service = 0; service < SERVICE_COUNT; service++)
        worker->help[service] = help_topics((enum conf_service)service, arena);
    worker->default_domain = conf->domains.count > 0 ? conf->domains.items[0] : host;
}

/* Session numbers begin at random, so that two workers, or two lives of one, seldom log the
 * same. */
void worker_init(struct worker *worker, struct loop *loop, const struct conf *conf,
                 struct page *page)
{
    *worker = (struct worker){.loop = loop, .conf = conf, .page = page};
    worker->last_session = random_u32();
    worker->input = mem_new(WORKER_INPUT);
    worker->known = known_new();
    worker->questions.loop = loop;
    worker->access = (struct access_desk){&worker->questions, conf, access_known_new()};
    LIST_INIT(&worker->sessions);
    LIST_INIT(&worker->left_logins);
    TAILQ_INIT(&worker->starved);
    write_texts(worker);
    struct spool_writer_calls calls = segments_calls(worker);
    worker->writer = spool_writer_new(loop, &calls, SHARED_SPARES, PRIVATE_SPARES);
}

/* Sessions first: those with a letter under way end only when the writer has answered, and that
 * takes turns of the loop. */
void worker_close(struct worker *worker)
{
    struct session *session, *following;
    LIST_FOREACH_SAFE (session, &worker->sessions, entry, following)
        session_drop(session);
    while (!LIST_EMPTY(&worker->sessions))
        loop_turn(worker->loop, -1);
    login_forget_left(worker);
    spool_writer_free(worker->writer);
    timer_cancel(&worker->tell);
    timer_cancel(&worker->unheard);
    channel_free(worker->qmgr);
    channel_free(worker->lookup);
    channel_free(worker->auth);
    tls_server_free(worker->tls);
    dns_free(worker->dns);
    access_known_free(worker->access.known);
    mem_free(worker->held.items);
    mem_free(worker->input);
    known_free(worker->known);
    arena_free(&worker->arena);
}

/* The last session is gone, so nothing is on its way to the disk either. */
static void end_when_drained(struct worker *worker)
{
    if (!worker->draining || worker->session_count > 0)
        return;
    /* Sealed and told: qmgr can read what we leave without waiting for us to be gone. */
    spool_writer_seal(worker->writer);
    if (worker->qmgr != NULL)
        channel_flush(worker->qmgr);
    worker->drained(worker->drained_arg);
}

void worker_unlinked(const struct worker *worker, enum role role)
{
    if (worker->unlinked != NULL)
        worker->unlinked(worker->unlinked_arg, role);
}

uint32_t worker_next_query(struct worker *worker)
{
    do {
        worker->last_query++;
    } while (worker->last_query == 0);
    return worker->last_query;
}

uint64_t worker_epoch(const struct worker *worker)
{
    uint64_t epoch = 0;
    for (size_t i = 0; i < *worker->page_count; i++)
        if (worker->pages[i].role == ROLE_LOOKUP)
            epoch += page_get(worker->pages[i].page, PAGE_TABLES);
    return epoch;
}

/* Called by the session itself, as its last deed: its memory is gone already. */
void worker_session_ended(struct worker *worker)
{
    worker->session_count--;
    limits_weigh(worker);
    end_when_drained(worker);
}

/* With no session at all it is over before the call returns. */
void worker_drain(struct worker *worker, bool patient, void (*drained)(void *arg), void *arg)
{
    worker->draining = true;
    worker->patient = patient;
    worker->drained = drained;
    worker->drained_arg = arg;
    struct session *session;
    /* Each decides for itself in its turn whether it is idle. */
    LIST_FOREACH (session, &worker->sessions, entry)
        session_wake(session);
    end_when_drained(worker);
}

/* RFC 5321 §3.8: a server that must end says 421, also amid a transaction. Letters on their way to
 * the disk are answered first: after 421 the client would send them again. */
void worker_dismiss(struct worker *worker)
{
    struct session *session;
    LIST_FOREACH (session, &worker->sessions, entry) {
        if (session->end != SESSION_OPEN || session->state == SESSION_COMMIT)
            continue;
        /* A pause would hold the last reply back. */
        session->paused = false;
        answer_write(session, SPAN(""), answer_close(421, "4.3.2", "Service is shutting down"));
        session_wake(session);
    }
}

/* Where clients come in. */
struct entrance {
    struct worker *worker;
    const struct daemon_listener *listener;
    struct acceptor acceptor;
};

/* The process: the worker, and what feeds it. */
struct smtpd {
    struct worker worker;
    struct daemon *daemon;
    struct timer deadline;      /* of a drain */
    bool dismissed;             /* all clients were told to go */
    unsigned peers[ROLE_COUNT]; /* the index of the newest of each role */
    struct entrance entrances[DAEMON_LISTENERS];
};

/* ---- the daemon ---- */

/* No file that smtpd writes to grows past a segment, whatever becomes of the process. The kernel
 * counts per process and not per file: the log comes to us as a pipe where it is one
 * (master/relay.h). */
static uint64_t file_size_limit(const struct conf *conf)
{
    uint64_t letter = conf->limits.message_size + LETTER_SLACK;
    return letter > conf->segment_size ? letter : conf->segment_size;
}

/* Mostly it died, and its successor comes by itself. */
static void on_unlinked(void *arg, enum role role)
{
    struct smtpd *smtpd = arg;
    daemon_peer_lost(smtpd->daemon, role, smtpd->peers[role]);
}

/* How many sessions there are descriptors for, with some left for segments, peers and resolvers. */
static uint64_t descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return limit.rlim_cur > 2 * RESERVE ? limit.rlim_cur - RESERVE : RESERVE;
}

/* Before the sandbox, because the spool writer makes its thread and its eventfd. No path is asked
 * for: smtpd opens nothing. Certificates and keys are read while root may still do so. */
static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    sandbox->file_size_limit = file_size_limit(daemon->conf);
    struct smtpd *smtpd = mem_new(sizeof(*smtpd));
    smtpd->daemon = daemon;
    daemon->state = smtpd;
    worker_init(&smtpd->worker, daemon->loop, daemon->conf, daemon->page);
    smtpd->worker.pages = daemon->pages;
    smtpd->worker.page_count = &daemon->page_count;
    smtpd->worker.role = daemon->calls->role;
    smtpd->worker.index = daemon->index;
    smtpd->worker.tls = daemon_tls_new(daemon, SPAN("smtp"));
    smtpd->worker.dns = daemon_dns_new(daemon, sandbox);
    smtpd->worker.rates = daemon->rates;
    smtpd->worker.descriptors = descriptors();
    smtpd->worker.unlinked = on_unlinked;
    smtpd->worker.unlinked_arg = smtpd;
}

static void on_connection(void *arg, int fd, const union net_address *client)
{
    const struct entrance *entrance = arg;
    (void)session_new(entrance->worker, fd, client, entrance->listener);
}

/* The other workers share the socket, and have room. */
static bool yields(void *arg)
{
    const struct entrance *entrance = arg;
    return limits_above_share(entrance->worker);
}

/* Clients are accepted from here on. */
static void start(struct daemon *daemon)
{
    struct smtpd *smtpd = daemon->state;
    for (size_t i = 0; i < daemon->listener_count; i++) {
        struct entrance *entrance = &smtpd->entrances[i];
        const struct acceptor_calls calls = {on_connection, yields, entrance};
        entrance->worker = &smtpd->worker;
        entrance->listener = &daemon->listeners[i];
        acceptor_open(&entrance->acceptor, daemon->loop, daemon->listeners[i].fd, &calls);
    }
}

/* May come at any time, again and again: each new socket takes the place of the one before. */
static void peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    struct smtpd *smtpd = daemon->state;
    smtpd->peers[role] = index;
    if (role == ROLE_QMGR)
        segments_connect(&smtpd->worker, fd);
    else if (role == ROLE_LOOKUP)
        recipients_connect(&smtpd->worker, fd);
    else if (role == ROLE_AUTH && smtpd->worker.role == ROLE_SUBMISSION)
        authenticate_connect(&smtpd->worker, fd);
    else
        fatal(EX_SOFTWARE, "a socket to %s is of no use here", role_info(role)->name);
}

/* Every letter is answered and every segment sealed. */
static void on_drained(void *arg)
{
    struct smtpd *smtpd = arg;
    daemon_exit(smtpd->daemon);
}

/* Clients had their time: those between two messages are sent away. Then transactions had theirs:
 * they are told. Who does not take even that is dropped; what is on its way to the disk is waited
 * for. */
static void on_deadline(void *arg)
{
    struct smtpd *smtpd = arg;
    struct session *session, *following;
    if (smtpd->worker.patient) {
        timer_set(&smtpd->deadline, DRAIN_MS);
        worker_drain(&smtpd->worker, false, on_drained, smtpd);
        return;
    }
    if (!smtpd->dismissed) {
        smtpd->dismissed = true;
        timer_set(&smtpd->deadline, GOODBYE_MS);
        worker_dismiss(&smtpd->worker);
        return;
    }
    LIST_FOREACH_SAFE (session, &smtpd->worker.sessions, entry, following)
        session_drop(session);
}

/* Another generation may serve the listeners now. */
static void drain(struct daemon *daemon)
{
    struct smtpd *smtpd = daemon->state;
    for (size_t i = 0; i < daemon->listener_count; i++)
        acceptor_close(&smtpd->entrances[i].acceptor);
    timer_cancel(&smtpd->deadline);
    timer_init(&smtpd->deadline, daemon->loop, on_deadline, smtpd);
    timer_set(&smtpd->deadline, daemon->patient ? PATIENCE_MS : DRAIN_MS);
    worker_drain(&smtpd->worker, daemon->patient, on_drained, smtpd);
}

const struct daemon_calls smtpd_calls = {
    .role = ROLE_SMTPD,
    .prepare = prepare,
    .start = start,
    .peer = peer,
    .drain = drain,
    .drains_again = true,
};

const struct daemon_calls submission_calls = {
    .role = ROLE_SUBMISSION,
    .prepare = prepare,
    .start = start,
    .peer = peer,
    .drain = drain,
    .drains_again = true,
};
