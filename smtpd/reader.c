/*
 * Input is served from the buffer that all sessions of the worker share; only what can not be
 * served at once (half a command, whatever comes behind a RCPT that lookup has not answered) is
 * copied. So an idle client costs no buffer, and a message goes from the socket to its place with
 * one copy.
 */
#include "smtpd/reader.h"

#include "smtpd/answer.h"
#include "smtpd/chunk.h"
#include "smtpd/data.h"
#include "smtpd/login.h"
#include "smtpd/recipients.h"
#include "smtpd/sasl_exchange.h"
#include "smtpd/verbs.h"
#include "util/mail/line.h"

enum {
    SWALLOW_FACTOR = 4,  /* a command that is too long is swallowed up to so many times its limit */
    TLS_HANDSHAKE = 0x16 /* RFC 8446 §5.1: what a ClientHello begins with */
};

/* RFC 4954 §4: an initial response may be as long as any answer of an exchange. */
static size_t longest_auth(const struct session *session)
{
    size_t usual = session->worker->conf->limits.command_line;
    size_t auth = sizeof("AUTH SCRAM-SHA-256-PLUS \r\n") + SASL_LINE_MAX;
    return auth > usual ? auth : usual;
}

/* How much of a line is swallowed; who may log in has long lines that are no abuse. */
static size_t most_swallowed(const struct session *session)
{
    bool auth = session->listener->service == SERVICE_SUBMISSION;
    return SWALLOW_FACTOR *
           (auth ? longest_auth(session) : session->worker->conf->limits.command_line);
}

/* A command that is too long, or its next part (RFC 5321 §4.5.3.1.4). */
static void swallow(struct session *session, struct span *input)
{
    /* Only the end of the line matters: nothing of it is kept, so its length costs nothing. */
    size_t feed = span_find(*input, '\n');
    bool ended = feed < input->len;
    size_t used = ended ? feed + 1 : feed;
    session->swallowed += used;
    *input = span_skip(*input, used);

    if (session->swallowed > most_swallowed(session)) {
        answer_write(
            session, SPAN(""),
            answer_by("command_line", answer_close(500, "5.5.2", "Command line far too long")));
    } else if (ended) {
        /* One answer for the whole line, and only at its end: the next octet begins a command. */
        session->swallowed = 0;
        answer_write(
            session, SPAN(""),
            login_wants_line(session)
                ? login_line_too_long(session)
                : answer_by("command_line", answer(500, "5.5.2", "Command line too long")));
    }
}

/* A bare CR is no line end (RFC 5321 §2.3.8), and NUL has no place in any command (§4.1.2). */
static bool has_foreign_octet(struct span line)
{
    return span_find(line, '\0') < line.len || span_find(line, '\r') < line.len;
}

/* RCPTs wait for their answers. */
static bool lookup_is_asked(const struct session *session)
{
    return session->transaction != NULL && session->transaction->waiting != NULL;
}

/* Of the commands behind them, only more RCPTs are served, and of these not more than the
 * transaction has room for. `verb` is NULL for what is no command. */
static bool has_to_wait(const struct session *session, const struct verb *verb)
{
    return lookup_is_asked(session) &&
           (verb == NULL || !verb->overlaps || recipients_may_suffice(session));
}

/* What a refusal may be logged with. Whatever is no command of ours may be a password: a client
 * that believes in AUTH sends one, and so does a person at the wrong port. */
static struct span loggable(const struct verb *verb, struct span line)
{
    if (verb == NULL)
        return SPAN("(unknown command)");
    return verb->secret ? span_cstr(verb->name) : line;
}

/* Passwords lie in our buffers no longer than they must. */
static void wipe(struct span octets)
{
    explicit_bzero((void *)(uintptr_t)octets.data, octets.len);
}

/* Serves one line. False when it has to wait for lookup: the answers keep the order of the commands
 * (RFC 2920 §3.2). */
static bool serve_line(struct session *session, struct span line)
{
    struct span arguments;
    const struct verb *verb = verb_find(verb_name(line, &arguments));
    bool foreign = has_foreign_octet(line);
    if (has_to_wait(session, foreign ? NULL : verb))
        return false;
    session->progress = true;
    answer_write(session, loggable(verb, line),
                 foreign ? verb_refuse(session, verb, arguments,
                                       answer(501, "5.5.2", "Control octet in a command"))
                         : verb_serve(session, verb, arguments));
    if (verb != NULL && verb->secret)
        wipe(arguments);
    return true;
}

/* Every command but AUTH is short. */
static size_t longest_line(const struct session *session, struct span input)
{
    bool is_auth = span_has_prefix_nocase(input, SPAN("AUTH "));
    return is_auth ? longest_auth(session) : session->worker->conf->limits.command_line;
}

/* Behind such a line come octets whose number stands at its end, where nobody reads it. */
static bool hides_octets(struct span input)
{
    struct span arguments;
    const struct verb *verb = verb_find(verb_name(input, &arguments));
    return verb != NULL && verb->refuse != NULL;
}

/* A line that is longer than any command of its kind. */
static void refuse_long(struct session *session, struct span *input)
{
    if (hides_octets(*input))
        answer_write(
            session, SPAN(""),
            answer_by("command_line", answer_close(500, "5.5.2", "Command line too long")));
    else
        swallow(session, input);
}

/* One command from the front of `*input`; false when it needs more input or has to wait. */
static bool serve_command(struct session *session, struct span *input)
{
    if (session->swallowed > 0) {
        swallow(session, input);
        return true;
    }
    if (input->data[0] == TLS_HANDSHAKE && session->state == SESSION_START) {
        answer_write(session, SPAN("TLS handshake"), ANSWER_DROP);
        return true;
    }
    struct span line;
    size_t used;
    switch (line_cut(*input, longest_line(session, *input), &line, &used)) {
    case LINE_MORE:
        return false;
    case LINE_TOO_LONG:
        if (lookup_is_asked(session))
            return false;
        refuse_long(session, input);
        return true;
    case LINE_OK:
        break;
    }
    session->behind = used < input->len;
    if (!serve_line(session, line))
        return false;
    *input = span_skip(*input, used);
    return true;
}

/* An answer of the client amid AUTH; as serve_command otherwise (RFC 4954 §4). */
static bool serve_answer(struct session *session, struct span *input)
{
    struct span line;
    size_t used;
    if (session->swallowed > 0) {
        swallow(session, input);
        return true;
    }
    switch (line_cut(*input, SASL_LINE_MAX + 2, &line, &used)) {
    case LINE_MORE:
        return false;
    case LINE_TOO_LONG:
        swallow(session, input);
        return true;
    case LINE_OK:
        break;
    }
    session->progress = true;
    session->behind = used < input->len;
    answer_write(session, SPAN("AUTH"), login_line(session, line));
    wipe(line);
    *input = span_skip(*input, used);
    return true;
}

/* The modes of the dialogue: commands, the octets of a message (RFC 5321 §2.3.9) or of a part of
 * one (RFC 3030 §2), the answers of a login. */
static void serve(struct session *session, struct span *input)
{
    bool going_on = true;
    while (going_on && input->len > 0 && session_serves(session)) {
        if (session->chunk.open)
            chunk_input(session, input);
        else if (session->state == SESSION_DATA)
            data_input(session, input);
        else if (login_wants_line(session))
            going_on = serve_answer(session, input);
        else
            going_on = serve_command(session, input);
    }
    session->stalled = going_on && input->len > 0 && session->end == SESSION_OPEN;
}

/* What is served is taken off the front at the end, in one move; the spans of the commands point
 * into the buffer until then. */
void reader_resume(struct session *session)
{
    struct span rest = buf_span(&session->in);
    serve(session, &rest);
    buf_consume(&session->in, buf_len(&session->in) - rest.len);
    if (buf_len(&session->in) == 0)
        buf_free(&session->in);
}

/* Keeps what can not be served yet. Where passwords come it may be half of one: there is one copy
 * of it, then. */
static void keep(struct session *session, struct span input)
{
    buf_add(&session->in, input);
    if (session->in.secret)
        wipe(input);
}

/* New input goes behind what is kept, never past it: commands are served in their order. */
void reader_input(struct session *session, struct span input)
{
    if (buf_len(&session->in) > 0) {
        keep(session, input);
        reader_resume(session);
        return;
    }
    serve(session, &input);
    if (input.len > 0 && session->end == SESSION_OPEN)
        keep(session, input);
}
