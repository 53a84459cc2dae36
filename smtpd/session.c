/*
 * A session is driven from five sides: its socket, its timer, lookup, the disk, and the worker that
 * wants to stop. All but the socket only note what happened and ask for a turn; so there is one
 * place (on_turn) where a session goes on, and one where it may disappear.
 *
 * Interest in the socket is left as it is while the session can not read: most answers are there
 * before the client says more, and two calls of epoll_ctl(2) a command are saved. Only when input
 * comes meanwhile is it switched off.
 */
#include "smtpd/session.h"

#include "smtpd/answer.h"
#include "smtpd/client_checks.h"
#include "smtpd/data.h"
#include "smtpd/entry.h"
#include "smtpd/inquiry.h"
#include "smtpd/limits.h"
#include "smtpd/login.h"
#include "smtpd/queue_run.h"
#include "smtpd/reader.h"
#include "smtpd/recipients.h"
#include "smtpd/secure.h"
#include "smtpd/sender_checks.h"

enum { OUTPUT_MOST = 16384 /* octets of replies, behind which no command is served */ };

/* A client that sends faster than it listens would fill our memory with replies. */
bool session_serves(const struct session *session)
{
    bool listens = session->channel == CHANNEL_CLEAR || session->channel == CHANNEL_SECURE;
    return session->end == SESSION_OPEN && listens && !session->paused && !session->starved &&
           !login_is_asked(session) && !sender_checks_are_asked(session) &&
           !inquiry_is_asked(session) && !queue_run_is_asked(session) &&
           session->state != SESSION_COMMIT && buf_len(&session->out) < OUTPUT_MOST;
}

/* What came behind AUTH is kept and not served; of more than a command the rest waits. */
static bool listens_for_the_end(const struct session *session)
{
    return session->end == SESSION_OPEN && login_is_asked(session) &&
           buf_len(&session->in) < session->worker->conf->limits.command_line;
}

/* Nothing is read while the client has replies to take or lookup has questions to answer: TCP tells
 * the client to wait, and that costs us nothing. */
static bool wants_input(const struct session *session)
{
    if (session->end == SESSION_LINGERING)
        return true;
    bool asked = session->transaction != NULL && session->transaction->waiting != NULL;
    return session_serves(session) && !asked && buf_len(&session->out) == 0;
}

/* However often it is woken in a turn, it goes on once. */
void session_wake(struct session *session)
{
    loop_later(session->worker->loop, &session->turn);
}

/* The questions and the letter first: both point into the arena that is emptied behind them. */
void session_reset(struct session *session)
{
    if (session->transaction == NULL)
        return;
    sender_checks_forget(session);
    recipients_forget(session);
    client_checks_forget(session);
    data_forget(session);
    arena_reset(&session->transaction_arena);
    session->transaction = NULL;
    session->state = SESSION_READY;
}

/* Never more time than it had. */
void session_hurry(struct session *session)
{
    int64_t most = limits_wait_ms(session, session->wait);
    if (timer_is_set(&session->timer) &&
        session->timer.due > loop_now(session->worker->loop) + most)
        timer_set(&session->timer, most);
}

/* The timer that ends it is set with the next settle: WAIT_PAUSE. */
void session_pause(struct session *session)
{
    session->paused = true;
}

/* A letter on its way to the disk is not called back: it still needs the transaction. */
void session_drop(struct session *session)
{
    if (session->end == SESSION_GONE)
        return;
    /* From here on nothing reads or writes; the memory stays until the turn, for whoever is on the
     * stack with it. */
    session->end = SESSION_GONE;
    stream_close(&session->stream);
    timer_cancel(&session->timer);
    limits_leave(session);
    login_forget(session);
    inquiry_forget(session);
    queue_run_forget(session);
    if (session->state != SESSION_COMMIT)
        session_reset(session);
    session_wake(session);
}

/* Only from on_turn, when no callback of the session is on the stack. */
static void session_free(struct session *session)
{
    struct worker *worker = session->worker;
    if (log_enabled(LOG_DEBUG))
        log_event(LOG_DEBUG, "disconnected", LOG_SPAN("session", session_id(session)));
    client_checks_end(session);
    buf_free(&session->in);
    buf_free(&session->out);
    arena_free(&session->arena);
    arena_free(&session->transaction_arena);
    /* Off the list before the worker hears of it: with the last session gone the worker may end. */
    LIST_REMOVE(session, entry);
    mem_free(session);
    worker_session_ended(worker);
}

/* ---- what it waits for ---- */

/* Of a client that we listen to: the next command, the rest of one, or octets of a message. */
static enum session_wait waits_for_input(const struct session *session)
{
    if (session->starved)
        return WAIT_SEGMENT;
    if (session->state == SESSION_DATA || session->chunk.open)
        return WAIT_DATA;
    return buf_len(&session->in) > 0 || session->swallowed > 0 ? WAIT_LINE : WAIT_COMMAND;
}

/* What is waited for before the dialogue and behind it; WAIT_NOTHING: it is under way. */
static enum session_wait waits_around(const struct session *session)
{
    if (session->end == SESSION_LINGERING)
        return WAIT_LINGER;
    switch (session->channel) {
    case CHANNEL_PROXY:
        return WAIT_PROXY;
    case CHANNEL_SILENT:
        return WAIT_GREETING;
    case CHANNEL_HANDSHAKE:
        return WAIT_HANDSHAKE;
    case CHANNEL_CLEAR:
    case CHANNEL_TURNING:
    case CHANNEL_SECURE:
        break;
    }
    return WAIT_NOTHING;
}

/* The first reason counts: a reply that can not be sent stops everything behind it. */
static enum session_wait waits_for(const struct session *session)
{
    enum session_wait around = waits_around(session);
    if (around != WAIT_NOTHING)
        return around;
    if (session->paused)
        return WAIT_PAUSE;
    if (buf_len(&session->out) > 0)
        return WAIT_OUTPUT;
    if (session->state == SESSION_COMMIT)
        return WAIT_NOTHING;
    if (sender_checks_are_asked(session) || inquiry_is_asked(session) ||
        queue_run_is_asked(session) ||
        (session->transaction != NULL && session->transaction->waiting != NULL))
        return WAIT_LOOKUP;
    return login_is_asked(session) ? WAIT_LOGIN : waits_for_input(session);
}

/* The timer runs on while the client makes no progress, however many octets it sends. */
static void arm_timer(struct session *session)
{
    enum session_wait wait = waits_for(session);
    if (wait != session->wait || session->progress) {
        if (wait == WAIT_NOTHING)
            timer_cancel(&session->timer);
        else
            timer_set(&session->timer, limits_wait_ms(session, wait));
    }
    session->wait = wait;
    session->progress = false;
}

/* See above: reading is asked for when it is wanted, and not called off when it is not. */
static void watch_socket(struct session *session)
{
    bool reads = wants_input(session) || session->channel == CHANNEL_HANDSHAKE ||
                 entry_is_under_way(session) || listens_for_the_end(session);
    unsigned events = reads ? IO_READ : session->stream.wanted & IO_READ;
    if (buf_len(&session->out) > 0 && !session->paused)
        events |= IO_WRITE;
    stream_want(&session->stream, events);
    if (stream_pending(&session->stream) && (wants_input(session) || listens_for_the_end(session)))
        session_wake(session);
}

/* The last reply is out: the client is told so, and has a moment to read it. */
static void end_output(struct session *session)
{
    /* After QUIT with nothing behind it there is no unread input that could take the reply back. */
    if (session->quit && !session->behind) {
        session_drop(session);
        return;
    }
    session->end = SESSION_LINGERING;
    buf_free(&session->in);
    /* The reading side stays open: what still comes is read and thrown away. */
    stream_end_output(&session->stream);
}

/* The end of every step: sends, and decides what to wait for. */
static void settle(struct session *session)
{
    answer_flush(session);
    if (session->end == SESSION_CLOSING && buf_len(&session->out) == 0)
        end_output(session);
    if (session->channel == CHANNEL_TURNING && buf_len(&session->out) == 0)
        secure_begin(session);
    if (session->end == SESSION_GONE)
        return;
    /* The replies that held the input up are sent: there is no event of the socket for what is in
     * the buffer already. */
    if (session->stalled && buf_len(&session->out) == 0 && session_serves(session))
        session_wake(session);
    watch_socket(session);
    arm_timer(session);
}

/* ---- the five sides ---- */

/* The client does not wait for its answer, or can not hear it. */
static void leave(struct session *session)
{
    login_leave(session);
    session_drop(session);
}

/* One read a turn, so that a client with a fast line leaves room for the others. */
static void read_some(struct session *session)
{
    struct worker *worker = session->worker;
    size_t got;
    bool serves = wants_input(session);
    if (!serves && !listens_for_the_end(session)) {
        stream_want(&session->stream, session->stream.wanted & IO_WRITE);
        return;
    }
    size_t most = serves ? WORKER_INPUT : worker->conf->limits.command_line;
    enum stream_result result = stream_read(&session->stream, worker->input, most, &got);
    if (result == STREAM_AGAIN)
        return;
    /* The end of the input ends the session, also of a client that only closed its sending side. */
    if (result != STREAM_OK)
        leave(session);
    else if (session->end == SESSION_OPEN)
        reader_input(session, span_of(worker->input, got));
}

/* A worker that is to end waits for transactions, not for clients that might begin one (RFC 5321
 * §3.8). */
static bool is_to_leave(const struct session *session)
{
    bool idle = session->state <= SESSION_READY && buf_len(&session->in) == 0;
    return session->worker->draining && !session->worker->patient && idle &&
           session->end == SESSION_OPEN;
}

/* Amid a handshake, or before we know whether one will come, no word of ours would be understood.
 */
static void send_away(struct session *session)
{
    if (waits_around(session) == WAIT_NOTHING || session->channel == CHANNEL_SILENT)
        answer_write(session, SPAN(""), answer_close(421, "4.3.2", "Service is shutting down"));
    else
        session_drop(session);
}

/* Goes on with what was kept. */
static void advance(struct session *session)
{
    if (is_to_leave(session))
        send_away(session);
    if (session->end == SESSION_GONE)
        return;
    if (session->starved)
        data_resume(session);
    if (buf_len(&session->in) > 0)
        reader_resume(session);
    /* Octets that TLS has read ahead: no event of the socket tells of them. */
    if (stream_pending(&session->stream) && session->end != SESSION_GONE)
        read_some(session);
    if (session->end != SESSION_GONE)
        settle(session);
}

/* A session that is gone amid a commit stays until the disk has answered; on_done wakes it then. */
static void on_turn(void *arg)
{
    struct session *session = arg;
    if (session->end != SESSION_GONE)
        advance(session);
    if (session->end == SESSION_GONE && session->state != SESSION_COMMIT) {
        loop_forget(session->worker->loop, &session->turn);
        session_free(session);
    }
}

/* Room for output needs no case of its own: settle sends what there is. */
static void on_ready(void *arg, unsigned events)
{
    struct session *session = arg;
    if (session->channel == CHANNEL_HANDSHAKE)
        secure_step(session);
    else if (entry_is_under_way(session))
        entry_step(session);
    else if (events & IO_READ)
        read_some(session);
    if (session->end != SESSION_GONE)
        settle(session);
}

/* RFC 5321 §3.8: a server that gives up waiting says 421. */
static void tire(struct session *session)
{
    answer_write(session, SPAN(""),
                 answer_by(limits_wait_setting(session, session->wait),
                           answer_close(421, "4.4.2", "Timeout")));
}

/* MAIL waits, or recipients do, or VRFY, or ETRN: never two of them. */
static void give_up_lookup(struct session *session)
{
    if (inquiry_is_asked(session)) {
        inquiry_give_up(session);
        return;
    }
    queue_run_give_up(session);
    sender_checks_give_up(session);
    recipients_give_up(session);
}

/* auth may have been asked for what it can not answer now. */
static void give_up_login(struct session *session)
{
    login_forget(session);
    answer_write(session, SPAN("AUTH"), answer(454, "4.7.0", "Authentication takes too long"));
}

static void end_pause(struct session *session)
{
    session->paused = false;
}

/* What the end of each wait means. */
static void on_timer(void *arg)
{
    static void (*const ends[SESSION_WAITS])(struct session * session) = {
        [WAIT_NOTHING] = session_drop,
        [WAIT_PROXY] = entry_give_up,
        [WAIT_GREETING] = entry_greet,
        [WAIT_HANDSHAKE] = secure_give_up,
        [WAIT_COMMAND] = tire,
        [WAIT_LINE] = tire,
        [WAIT_DATA] = tire,
        [WAIT_LOOKUP] = give_up_lookup,
        [WAIT_LOGIN] = give_up_login,
        [WAIT_SEGMENT] = data_give_up,
        [WAIT_PAUSE] = end_pause,
        [WAIT_OUTPUT] = session_drop,
        [WAIT_LINGER] = session_drop,
    };
    struct session *session = arg;
    /* The old deadline is over, so the next one is counted anew, even for the same wait. */
    session->progress = true;
    ends[session->wait](session);
    session_wake(session);
}

/* ---- the beginning ---- */

/* RFC 5321 §3.1: 220, or 421 and 554 from those who take no mail now. */
struct session *session_new(struct worker *worker, int fd, const union net_address *client,
                            const struct daemon_listener *listener)
{
    struct session *session = mem_new(sizeof(*session));
    session->worker = worker;
    session->listener = listener;
    session->in.secret = listener->service == SERVICE_SUBMISSION;
    session->turn = (struct turn){.run = on_turn, .arg = session};
    /* The descriptor is the session's from here on: session_drop closes it. */
    stream_init(&session->stream, worker->loop, fd, on_ready, session);
    timer_init(&session->timer, worker->loop, on_timer, session);
    /* Counted before the greeting, which compares the count with the limit. */
    LIST_INSERT_HEAD(&worker->sessions, session, entry);
    worker->session_count++;
    limits_weigh(worker);
    entry_begin(session, client);
    if (log_enabled(LOG_DEBUG))
        log_event(LOG_DEBUG, "connected", LOG_SPAN("session", session_id(session)),
                  LOG_SPAN("client", session_client(session)));
    settle(session);
    return session;
}
