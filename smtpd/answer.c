/*
 * Handlers only say what the answer is. What follows from it is the same for all of them and stands
 * here: a refusal is logged and counted, a client with too many of them is slowed down, then sent
 * away.
 */
#include "smtpd/answer.h"

#include "smtpd/limits.h"

enum { SUBJECT_MAX = 256 /* octets of a command that are logged */ };

/* The tables that refuse by themselves; everything else stands in the configuration. */
static bool is_table(const char *setting)
{
    return strcmp(setting, "access") == 0 || strcmp(setting, "senders") == 0;
}

/* Where the operator wrote it: "/etc/veredus.conf:12", "/etc/veredus/access:7"; empty: nowhere. */
static struct span place_of(const struct conf *conf, struct reply reply, struct arena *arena)
{
    if (reply.setting == NULL)
        return SPAN("");
    if (!is_table(reply.setting))
        return reply.line > 0 ? arena_printf(arena, "%.*s:%u", SPAN_ARG(conf->file), reply.line)
                              : conf_place(conf, reply.setting, arena);
    const char *directory = conf->table_directory.data;
    return reply.line > 0 ? arena_printf(arena, "%s/%s:%u", directory, reply.setting, reply.line)
                          : arena_printf(arena, "%s/%s", directory, reply.setting);
}

/* One line a refusal: who, what, the very words the client got, and whose words they follow. */
static void log_refusal(const struct session *session, struct span subject, struct reply reply)
{
    struct arena arena = {0};
    const struct transaction *transaction = session->transaction;
    struct span place = place_of(session->worker->conf, reply, &arena);
    const struct log_field fields[] = {
        LOG_SPAN("session", session_id(session)),
        LOG_SPAN("client", session_client(session)),
        LOG_SPAN("name", session->client_name),
        LOG_SPAN("helo", session->helo),
        LOG_SPAN("from", transaction != NULL ? transaction->sender : SPAN("")),
        LOG_SPAN("subject", span_first(subject, SUBJECT_MAX)),
        LOG_UINT("code", reply.code),
        LOG_STR("status", reply.enhanced),
        LOG_STR("reason", reply.text),
        LOG_STR(reply.setting != NULL ? "setting" : NULL, reply.setting), /* NULL: the end */
        LOG_SPAN("set", place),
        {0},
    };
    log_write(LOG_INFO, "refused", fields);
    arena_free(&arena);
}

/* A reply that says it closes is the last one. */
static void write_out(struct session *session, struct reply reply)
{
    bool written = reply_write(&session->out, reply);
    if (!written || reply.close)
        session->end = SESSION_CLOSING;
}

/* Only what the client did wrong counts as its error: 4yz is our trouble (RFC 5321 §4.2.1). */
static void give(struct session *session, struct reply reply)
{
    if (reply.code >= 400 || reply.code == 0)
        page_add(session->worker->page, PAGE_REFUSED, 1);
    if (reply.code == 0) {
        session_drop(session);
        return;
    }
    write_out(session, reply);
    if (reply.code >= 500)
        session->errors++;
    /* Each error is judged once. The sentence, a 421, comes behind the reply to the command
     * itself. */
    if (session->errors > session->errors_judged && !reply.close) {
        session->errors_judged = session->errors;
        struct reply sentence = limits_after_error(session);
        if (!reply_is_pending(sentence)) {
            log_refusal(session, SPAN(""), sentence);
            write_out(session, sentence);
        }
    }
}

/* Behind the last word there is no other; and a pending reply is not a reply yet. */
static bool is_said(const struct session *session, struct reply reply)
{
    return session->end == SESSION_OPEN && (reply.code != 0 || reply.close);
}

/* The line of the log comes first: the reply may drop the session. */
void answer_write(struct session *session, struct span subject, struct reply reply)
{
    bool said = is_said(session, reply);
    if (said && (reply.code >= 400 || reply.code == 0) && !reply.is_logged)
        log_refusal(session, subject, reply);
    if (said)
        give(session, reply);
}

/* Those before the last one close nothing: that would leave the last unsaid. */
void answer_times(struct session *session, struct span subject, struct reply reply, size_t times)
{
    struct reply first = reply;
    first.close = false;
    for (size_t i = 1; i < times && session->end == SESSION_OPEN && reply.code != 0; i++)
        write_out(session, first);
    answer_write(session, subject, reply);
}

/* Counted in the page like any other. */
void answer_unlogged(struct session *session, struct reply reply)
{
    if (is_said(session, reply))
        give(session, reply);
}

/* All replies of the commands that were read together leave together (RFC 2920 §3.2). */
void answer_flush(struct session *session)
{
    /* To hold the replies back is what slows a client down: it waits for them. */
    if (session->paused || session->end >= SESSION_LINGERING)
        return;
    bool any = buf_len(&session->out) > 0;
    while (buf_len(&session->out) > 0) {
        size_t sent;
        enum stream_result result = stream_write(&session->stream, buf_span(&session->out), &sent);
        if (result == STREAM_AGAIN)
            return;
        if (result != STREAM_OK) {
            session_drop(session);
            return;
        }
        buf_consume(&session->out, sent);
    }
    /* All is sent: an idle session holds no buffer. Who takes it octet by octet gains no time. */
    session->progress |= any;
    buf_free(&session->out);
}
