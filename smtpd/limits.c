/*
 * Limits are counted where they cost nothing: each worker writes its own page and reads those of
 * the others, so there is no lock and no process to ask. A count may be a moment old; a limit that
 * is off by one hurts nobody.
 */
#include "smtpd/limits.h"

#include "smtpd/answer.h"

enum {
    SHARE_SLACK = 16 /* sessions a worker may have above its share */
};

/* Of the same role, and not ourselves: our own page must never count twice. The two roles do not
 * count for each other: else a worker of port 25 that was broken into could lock out those who
 * submit. */
static bool is_sibling(const struct worker *worker, const struct daemon_page *page)
{
    return page->role == worker->role && page->index != worker->index;
}

/* Our own column and those of the other workers; `key` is a network's or an account's. */
static unsigned connections_of(const struct worker *worker, uint64_t key)
{
    unsigned count = page_connections(worker->page, key);
    for (size_t i = 0; i < *worker->page_count; i++)
        if (is_sibling(worker, &worker->pages[i]))
            count += page_connections(worker->pages[i].page, key);
    return count;
}

/* What the operator allows, or less: who has no descriptor left can not even refuse. */
static uint64_t sessions_most(const struct worker *worker)
{
    uint64_t most = worker->conf->limits.connections_per_worker;
    return worker->descriptors > 0 && worker->descriptors < most ? worker->descriptors : most;
}

/* From nine tenths on, until it is less than eight: at one border alone every client that comes or
 * goes would change the times of all. */
void limits_weigh(struct worker *worker)
{
    uint64_t most = sessions_most(worker), count = worker->session_count;
    bool stressed = count * 10 >= most * (worker->stressed ? 8 : 9);
    if (stressed == worker->stressed)
        return;
    worker->stressed = stressed;
    log_event(LOG_WARN, stressed ? "stress" : "stress-over", LOG_UINT("sessions", count),
              LOG_UINT("most", most));
    struct session *session;
    if (stressed)
        LIST_FOREACH (session, &worker->sessions, entry)
            session_hurry(session);
}

void limits_enter(struct session *session)
{
    page_add(session->worker->page, PAGE_CONNECTIONS, 1);
    page_add(session->worker->page, PAGE_SESSIONS, 1);
}

/* It may change: a proxy says later than the socket whose connection it is. */
void limits_count_network(struct session *session, uint64_t network)
{
    struct page *page = session->worker->page;
    if (session->network != 0)
        page_connections_add(page, session->network, -1);
    session->network = network;
    if (network != 0)
        page_connections_add(page, network, 1);
}

/* Nobody counts the connections of a proxy that has not yet said whose they are. */
static bool is_free(const struct session *session)
{
    return session->trusted || (session->proxy && !session->spoken_for);
}

struct rate_client limits_rate_client(const struct session *session)
{
    struct worker *worker = session->worker;
    return (struct rate_client){.rates = worker->rates,
                                .page = worker->page,
                                .conf = worker->conf,
                                .network = session->network,
                                .trusted = is_free(session),
                                .session = session_id(session),
                                .client = session_client(session),
                                .account = session->user};
}

static struct reply rate_connection(struct session *session)
{
    const struct rate_client client = limits_rate_client(session);
    return rate_limits_connection(&client);
}

struct reply limits_rate_message(struct session *session)
{
    const struct rate_client client = limits_rate_client(session);
    return rate_limits_message(&client);
}

struct reply limits_rate_recipient(struct session *session)
{
    const struct rate_client client = limits_rate_client(session);
    return rate_limits_recipient(&client);
}

struct reply limits_rate_login(struct session *session, struct span login)
{
    const struct rate_client client = limits_rate_client(session);
    return rate_limits_login(&client, login);
}

void limits_login_failed(struct session *session, struct span login)
{
    const struct rate_client client = limits_rate_client(session);
    rate_limits_login_failed(&client, login);
}

/* Of all workers for submission, wherever the sessions come from: who stole a password has many
 * networks. The number of an account lies anywhere in 64 bits, so it meets no network's. */
struct reply limits_enter_account(struct session *session, struct span account)
{
    struct worker *worker = session->worker;
    if (worker->rates == NULL)
        return REPLY_PENDING;
    session->account = rates_account(worker->rates, account);
    page_connections_add(worker->page, session->account, 1);
    if (connections_of(worker, session->account) <= worker->conf->limits.connections_per_account)
        return REPLY_PENDING;
    return answer_by("connections_per_account",
                     answer_close(421, "4.7.0", "Too many connections of this account"));
}

void limits_leave_account(struct session *session)
{
    if (session->account != 0)
        page_connections_add(session->worker->page, session->account, -1);
    session->account = 0;
}

/* Trusted networks are exempt from the limit per network, not from that of the worker. Whom a proxy
 * names only after a reload has begun is served like all who were there before. */
struct reply limits_greeting(struct session *session)
{
    struct worker *worker = session->worker;
    const struct conf_limits *limits = &worker->conf->limits;
    if (worker->draining && !worker->patient)
        return answer_close(421, "4.3.2", "Service is shutting down");
    if (worker->session_count > sessions_most(worker))
        return answer_by("connections_per_worker",
                         answer_close(421, "4.3.2", "Too many connections, try again later"));
    if (!is_free(session) &&
        connections_of(worker, session->network) > limits->connections_per_network)
        return answer_by("connections_per_network",
                         answer_close(421, "4.7.0", "Too many connections from your network"));
    struct reply rate = rate_connection(session);
    return reply_is_pending(rate) ? answer(220, NULL, worker->greeting) : rate;
}

/* Once for each limits_enter: session_drop calls it, and drops a session once. The total of all
 * connections stays as it is, because it only grows. */
void limits_leave(struct session *session)
{
    page_add(session->worker->page, PAGE_SESSIONS, -1);
    limits_count_network(session, 0);
}

/* A client that guesses addresses is slowed down long before it is sent away. */
struct reply limits_after_error(struct session *session)
{
    const struct conf_limits *limits = &session->worker->conf->limits;
    /* The harder sentence first: who has to go is not made to wait for it. */
    if (session->errors >= limits->errors_close)
        return answer_by("errors_close", answer_close(421, "4.7.0", "Too many errors"));
    if (session->errors >= limits->errors_slow)
        session_pause(session);
    return REPLY_PENDING;
}

/* Some junk is normal: probes, keep-alives, RSET between messages. */
void limits_count_junk(struct session *session)
{
    if (++session->junk > session->worker->conf->limits.junk_commands)
        session->errors++;
}

/* Milliseconds that are nobody's to choose; 0: they depend on the settings. */
static const int fixed_waits[SESSION_WAITS] = {
    [WAIT_PROXY] = 5000, /* a proxy says who it is before the client has said anything */
    [WAIT_HANDSHAKE] = 30000, [WAIT_LOOKUP] = 30000,
    [WAIT_SEGMENT] = 5000, /* as long as the writer lets small letters wait for theirs */
    [WAIT_PAUSE] = 1000,      [WAIT_LINGER] = 2000,
};

/* Those who are served quickly keep their place; who is silent makes room. */
static bool is_hurried(const struct worker *worker, enum session_wait wait, uint64_t seconds)
{
    return worker->stressed && wait != WAIT_LOGIN &&
           seconds > worker->conf->limits.idle_under_stress;
}

/* RFC 5321 §4.5.3.2.7: a server waits at least 5 minutes for a command; the data may be as slow as
 * their own limit allows, and auth holds failures back for as long as it is told to. */
int64_t limits_wait_ms(const struct session *session, enum session_wait wait)
{
    const struct worker *worker = session->worker;
    const struct conf_limits *limits = &worker->conf->limits;
    if (fixed_waits[wait] > 0)
        return fixed_waits[wait];
    if (wait == WAIT_GREETING)
        return (int64_t)worker->conf->greet_pause;
    uint64_t seconds = wait == WAIT_LINE ? limits->command_deadline : limits->idle;
    if (is_hurried(worker, wait, seconds))
        seconds = limits->idle_under_stress;
    return (int64_t)seconds * 1000;
}

const char *limits_wait_setting(const struct session *session, enum session_wait wait)
{
    const struct conf_limits *limits = &session->worker->conf->limits;
    bool is_line = wait == WAIT_LINE;
    if (is_hurried(session->worker, wait, is_line ? limits->command_deadline : limits->idle))
        return "idle_under_stress";
    return is_line ? "command_deadline" : "idle";
}

/* Slow is judged only after the time that any command has: a short stall is nobody's fault. */
bool limits_is_slow(const struct session *session, int64_t started, uint64_t octets)
{
    const struct conf_limits *limits = &session->worker->conf->limits;
    /* Milliseconds; the rate is octets a second, over everything so far. */
    int64_t elapsed = loop_now(session->worker->loop) - started;
    return elapsed > (int64_t)limits->command_deadline * 1000 &&
           octets < (uint64_t)elapsed / 1000 * limits->minimum_data_rate;
}

/* Without a qmgr there is no pressure: the segments in hand are the limit then. */
enum page_pressure limits_pressure(const struct worker *worker)
{
    for (size_t i = 0; i < *worker->page_count; i++)
        if (worker->pages[i].role == ROLE_QMGR)
            return (enum page_pressure)page_get(worker->pages[i].page, PAGE_PRESSURE);
    return PRESSURE_NONE;
}

/* Shares need not be even, only not absurd. */
bool limits_above_share(const struct worker *worker)
{
    uint64_t all = worker->session_count, workers = 1;
    for (size_t i = 0; i < *worker->page_count; i++)
        if (is_sibling(worker, &worker->pages[i])) {
            all += page_get(worker->pages[i].page, PAGE_SESSIONS);
            workers++;
        }
    return worker->session_count > all / workers + SHARE_SLACK;
}
