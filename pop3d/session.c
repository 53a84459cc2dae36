/*
 * Why one place reads, serves, writes: pipelined commands are served in a row and their replies
 * leave in one send(2), whatever they are (RFC 2449 §6.6). The order of a turn is always the same:
 * what is owed to the client goes out first, then the body in hand is continued, then the next line
 * is served. Nothing is read while something is owed: that is all the back-pressure there is.
 *
 * A pending command leaves its input where it is and goes on at the end of the turn in which its
 * answer came, so that many answers in one packet make one send(2), too.
 */
#include "pop3d/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pop3d/left.h"
#include "pop3d/verbs.h"
#include "util/base/log.h"
#include "util/base/panic.h"

enum {
    OUTPUT_MARK = BODY_CHUNK, /* gathered replies are sent at the latest then */
    SENDS_A_TURN = 4,         /* then the other sessions have their turn */
    SWALLOW_MOST = 8192       /* octets of a line that is too long, before we hang up */
};

/* A text that does not fit is our mistake, not the client's: it is made of literals, numbers and at
 * most a uidl. */
struct span session_text(struct session *session, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(session->text, sizeof(session->text), format, arguments);
    va_end(arguments);
    require(len >= 0 && (size_t)len < sizeof(session->text));
    return span_of(session->text, (size_t)len);
}

/* ---- the end ---- */

/* What is said before the login may be a password: it is wiped where it was received, because the
 * worker's buffer outlives the session and serves everybody. explicit_bzero(3), because a compiler
 * may drop a memset(3) that nobody reads. */
static void wipe(struct span octets)
{
    if (octets.len > 0)
        explicit_bzero((void *)(uintptr_t)octets.data, octets.len);
}

/* At the end of the turn: whoever ended the session may be using it, up the stack. */
static void release(void *arg)
{
    struct session *session = arg;
    buf_free(&session->in);
    buf_free(&session->out);
    arena_free(&session->arena);
    mem_free(session);
}

/* One line a session, with all that an operator asks for when a client complains. */
static void log_end(const struct session *session, const char *reason)
{
    log_event(LOG_INFO, "session-end", LOG_ID("session", session->id),
              LOG_STR("client", session->client), LOG_SPAN("user", session->user),
              LOG_UINT("retrieved", session->retrieved),
              LOG_UINT("octets", session->retrieved_octets), LOG_UINT("deleted", session->deleted),
              LOG_STR("reason", reason));
}

void session_end(struct session *session, const char *reason)
{
    if (session->ended)
        return;
    session->ended = true;
    log_end(session, reason);
    timer_cancel(&session->timer);
    io_stop(&session->io);
    (void)close(session->io.fd);
    fetch_close(&session->fetch);
    maildrop_close(&session->maildrop);
    page_connections_add(session->worker->page, session->network, -1);
    worker_leave(session->worker, session->slot);
    loop_forget(session->worker->loop, &session->turn);
    session->turn.run = release;
    loop_later(session->worker->loop, &session->turn);
}

/* ---- time ---- */

/* RFC 1939 §3: an autologout removes nothing and says nothing. */
static void on_timeout(void *arg)
{
    session_end(arg, "timeout");
}

/* Something happened: the client may be idle for the whole time again. */
static void touch(struct session *session)
{
    const struct worker *worker = session->worker;
    int64_t ms = (int64_t)worker->conf->limits.pop3_idle * 1000;
    int64_t login_ms = session->login_until - loop_now(worker->loop);
    if (session->state == SESSION_AUTHORIZATION && login_ms < ms)
        ms = login_ms;
    timer_set(&session->timer, ms);
}

/* ---- writing ---- */

/* Sends what it can of `octets`; the rest. */
static struct span send_some(struct session *session, struct span octets)
{
    ssize_t sent = send(session->io.fd, octets.data, octets.len, MSG_NOSIGNAL);
    if (sent >= 0)
        return span_skip(octets, (size_t)sent);
    if (errno != EAGAIN && errno != EINTR)
        session_end(session, "lost");
    return octets;
}

/* Sends what was gathered; the session keeps what the client does not take now. */
static void flush(struct session *session)
{
    struct buf *gathered = &session->worker->out;
    if (!session->ended && buf_len(gathered) > 0) {
        struct span rest = buf_span(gathered);
        if (buf_len(&session->out) == 0)
            rest = send_some(session, rest);
        if (!session->ended && rest.len > 0)
            buf_add(&session->out, rest);
    }
    buf_reset(gathered);
}

/* Sends what the session has kept. */
static void flush_kept(struct session *session)
{
    struct span kept = buf_span(&session->out);
    struct span rest = send_some(session, kept);
    if (session->ended || rest.len == kept.len)
        return;
    touch(session);
    buf_consume(&session->out, kept.len - rest.len);
    if (rest.len == 0)
        buf_free(&session->out);
}

/* Commands that are none are counted; one too many is the last. */
static struct pop3_reply count_bad(struct session *session, struct pop3_reply reply)
{
    if (!reply.bad || ++session->bad_commands < session->worker->conf->limits.pop3_bad_commands)
        return reply;
    return pop3_and_close(pop3_bad("too many bad commands"));
}

/* The one place where replies are written (RFC 1939 §3, RFC 2449 §8). */
static void write_reply(struct session *session, struct pop3_reply reply)
{
    struct buf *out = &session->worker->out;
    session->pending = reply.status == POP3_PENDING;
    if (session->pending)
        return;
    reply = count_bad(session, reply);
    buf_add(out, reply.status == POP3_OK ? SPAN("+OK") : SPAN("-ERR"));
    if (reply.code.len > 0) {
        buf_add(out, SPAN(" "));
        buf_add(out, reply.code);
    }
    if (reply.text.len > 0) {
        buf_add(out, SPAN(" "));
        buf_add(out, reply.text);
    }
    buf_add(out, SPAN("\r\n"));
    session->closing = session->closing || reply.close;
    if (reply.body != BODY_NONE)
        session->body.kind = reply.body;
}

/* ---- serving ---- */

/* A line of which so many octets came in one piece is too long, or goes on being so. */
static bool is_too_long(const struct session *session, size_t size)
{
    return session->swallowed + size > SESSION_COMMAND_MOST;
}

/* Drops (a piece of) a line that is too long. */
static void swallow(struct session *session, size_t size, bool complete)
{
    session->swallowed += (uint32_t)size;
    if (session->swallowed > SWALLOW_MOST)
        write_reply(session, pop3_and_close(pop3_bad("the line does not end")));
    else if (complete)
        write_reply(session, pop3_bad("the line is too long"));
    if (complete)
        session->swallowed = 0;
}

/* Serves the first line of `input`. A lone LF ends it, too. False: there is no whole line. */
static bool serve_line(struct session *session, struct span *input)
{
    if (input->len == 0)
        return false;
    size_t end = span_find(*input, '\n');
    bool complete = end < input->len;
    size_t size = complete ? end + 1 : end;
    struct span line = span_first(*input, end);

    if (is_too_long(session, size)) {
        *input = span_skip(*input, size);
        swallow(session, size, complete);
        return true;
    }
    if (!complete)
        return false;
    *input = span_skip(*input, size);
    if (span_has_suffix(line, SPAN("\r")))
        line.len--;
    write_reply(session, verb_serve(session, line));
    return true;
}

/* Nothing is owed to the client and nothing is waited for. */
static bool is_free(const struct session *session)
{
    return !session->ended && !session->closing && !session->pending && buf_len(&session->out) == 0;
}

/* Serves what can be served, and sends it. False: there may be more, but others wait, too. */
static bool serve(struct session *session, struct span *input)
{
    unsigned sends = 0;
    while (is_free(session) && sends < SENDS_A_TURN) {
        if (session->body.kind != BODY_NONE) {
            if (!body_write(session))
                session_end(session, "unreadable");
        } else if (!serve_line(session, input)) {
            break;
        }
        if (buf_len(&session->worker->out) >= OUTPUT_MARK) {
            flush(session);
            sends++;
        }
    }
    flush(session);
    return sends < SENDS_A_TURN;
}

/* What is to be watched for. A pending session goes on listening, because nearly always its answer
 * comes before the client says more: that saves two system calls. */
static unsigned events_for(const struct session *session, bool served)
{
    if (buf_len(&session->out) > 0)
        return IO_WRITE;
    if (session->pending)
        return session->io.wanted & IO_READ;
    return served ? IO_READ : IO_WRITE;
}

/* The last thing a turn does with a session: it ends here, or says what it waits for. */
static void settle(struct session *session, bool served)
{
    if (session->ended)
        return;
    if (session->closing && buf_len(&session->out) == 0) {
        session_end(session, "closed");
        return;
    }
    io_want(&session->io, events_for(session, served));
    if (buf_len(&session->in) == 0)
        buf_free(&session->in);
}

/* Goes on with what the session kept. */
static void go_on(struct session *session)
{
    struct span input = buf_span(&session->in);
    size_t before = input.len;
    bool served = serve(session, &input);
    buf_consume(&session->in, before - input.len);
    settle(session, served);
}

/* ---- reading ---- */

static void serve_new(struct session *session, struct span input)
{
    if (buf_len(&session->in) > 0) {
        buf_add(&session->in, input);
        go_on(session);
        return;
    }
    bool served = serve(session, &input);
    if (input.len > 0 && !session->ended)
        buf_add(&session->in, input);
    settle(session, served);
}

/* One recv(2) a turn: level-triggered, the rest brings us back here. */
static void receive(struct session *session)
{
    char *input = session->worker->input;
    bool secret = session->state == SESSION_AUTHORIZATION;
    ssize_t got = recv(session->io.fd, input, WORKER_INPUT, 0);
    if (got > 0) {
        touch(session);
        serve_new(session, span_of(input, (size_t)got));
        if (secret)
            wipe(span_of(input, (size_t)got));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        session_end(session, "lost");
    }
}

/* A failed login is answered late: a client that leaves meanwhile is to be noticed, so its octets
 * are kept, as many as a command has. */
static bool listens_for_the_end(const struct session *session)
{
    return session->pending && session->request.kind == REQUEST_VERIFY &&
           buf_len(&session->in) < SESSION_COMMAND_MOST;
}

/* They may be another password. That a client left does not take its failure back. */
static void keep(struct session *session)
{
    char *input = session->worker->input;
    ssize_t got = recv(session->io.fd, input, SESSION_COMMAND_MOST, 0);
    if (got > 0) {
        buf_add(&session->in, span_of(input, (size_t)got));
        wipe(span_of(input, (size_t)got));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        left_note(session);
        session_end(session, "lost");
    }
}

/* Output first: nothing is read while something is owed. A pending session that hears more stops
 * listening, and the octets wait in the kernel. */
static void on_ready(void *arg, unsigned events)
{
    struct session *session = arg;
    if ((events & IO_WRITE) != 0) {
        if (buf_len(&session->out) > 0)
            flush_kept(session);
        if (!session->ended)
            go_on(session);
    } else if (listens_for_the_end(session)) {
        keep(session);
    } else if (session->pending) {
        io_want(&session->io, 0);
    } else {
        receive(session);
    }
}

/* ---- answers from elsewhere ---- */

/* The answer came at some point of this turn; its text was made to last until now. */
static void on_turn(void *arg)
{
    struct session *session = arg;
    struct pop3_reply reply = session->answer;
    session->answer = pop3_pending();
    write_reply(session, reply);
    touch(session);
    go_on(session);
}

void session_answer(struct session *session, struct pop3_reply reply)
{
    if (reply.status == POP3_PENDING || !session->pending)
        return;
    session->answer = reply;
    loop_later(session->worker->loop, &session->turn);
}

/* All that mailbox does may be done twice: what was removed stays so, and the lock of an answer
 * that nobody heard went with its socket. A password is not kept, so auth is not asked again. */
static struct pop3_reply ask_again(struct session *session, enum request_kind kind)
{
    switch (kind) {
    case REQUEST_OPEN:
        return login_again(session);
    case REQUEST_FETCH:
        return fetch_again(session);
    case REQUEST_DELETE:
        return update_again(session);
    case REQUEST_NONE:
    case REQUEST_VERIFY:
        break;
    }
    return pop3_error(POP3_SYS_TEMP, "nobody to ask");
}

/* Once, because a request that kills whom it reaches must not go through all of them. */
void session_peer_lost(struct session *session)
{
    struct request lost = session->request;
    bool waits = session->pending && session->answer.status == POP3_PENDING;
    session->request = (struct request){.again = waits};
    fetch_lost(&session->fetch);
    if (waits && (lost.again || ask_again(session, lost.kind).status != POP3_PENDING))
        session_answer(session, pop3_and_close(pop3_error(POP3_SYS_TEMP,
                                                          "an internal error, try again later")));
}

void session_drain(struct session *session)
{
    if (session->state != SESSION_AUTHORIZATION || session->ended || session->closing)
        return;
    write_reply(session, pop3_and_close(pop3_error(POP3_SYS_TEMP, "the server is going down")));
    flush(session);
    settle(session, true);
}

/* ---- the start ---- */

/* Judged once, by the address alone: nothing that a client says changes it. */
static bool may_log_in(const struct conf *conf, const union net_address *client)
{
    return conf->plaintext_auth == PLAINTEXT_ALWAYS ||
           (conf->plaintext_auth == PLAINTEXT_LOOPBACK && net_is_loopback(client));
}

struct rate_client session_rate_client(const struct session *session)
{
    const struct worker *worker = session->worker;
    return (struct rate_client){.rates = worker->rates,
                                .page = worker->page,
                                .conf = worker->conf,
                                .network = session->network,
                                .trusted = session->trusted,
                                .session = span_cstr(session->number),
                                .client = span_cstr(session->client)};
}

/* Trusted networks are exempt: a webmail server speaks for all its users. */
static struct pop3_reply greet(const struct session *session)
{
    const struct worker *worker = session->worker;
    const struct rate_client client = session_rate_client(session);
    bool crowd = !session->trusted && worker_connections(worker, session->network) >
                                          worker->conf->limits.connections_per_network;
    if (crowd || !reply_is_pending(rate_limits_connection(&client)))
        return pop3_and_close(
            pop3_error(POP3_SYS_TEMP, "too many connections from your network, try again later"));
    return pop3_ok(SPAN("POP3 server ready"), BODY_NONE);
}

void session_new(struct worker *worker, int fd, const union net_address *client)
{
    struct session *session = mem_new(sizeof(*session));
    session->worker = worker;
    session->id = ++worker->last_session;
    (void)base32_u64(session->id, session->number);
    session->slot = worker_enter(worker, session);
    session->may_log_in = may_log_in(worker->conf, client);
    session->trusted = conf_trusts(worker->conf, client);
    session->network = net_limit_key(client);
    page_connections_add(worker->page, session->network, 1);
    session->login_until = loop_now(worker->loop) + (int64_t)worker->conf->limits.pop3_login * 1000;
    session->turn = (struct turn){.run = on_turn, .arg = session};
    session->in.secret = true; /* a password may be in it */
    (void)net_text(client, session->client);
    maildrop_init(&session->maildrop);
    io_init(&session->io, worker->loop, fd, on_ready, session);
    timer_init(&session->timer, worker->loop, on_timeout, session);
    touch(session);
    write_reply(session, greet(session));
    flush(session);
    settle(session, true);
}
