/*
 * What came before the handshake counts for nothing behind it: a stranger on the line may have said
 * it. So the name of the client, an open transaction and whatever lies in the input are forgotten,
 * and the session begins anew, without a second greeting (RFC 3207 §4.2).
 */
#include "smtpd/secure.h"

#include "smtpd/answer.h"
#include "smtpd/entry.h"
#include "smtpd/login.h"

bool secure_is_offered(const struct session *session)
{
    return session->worker->tls != NULL && session->channel == CHANNEL_CLEAR &&
           session->listener->tls == LISTEN_STARTTLS;
}

void secure_begin(struct session *session)
{
    session_reset(session);
    arena_reset(&session->arena);
    buf_free(&session->in);
    session->helo = SPAN("");
    login_forget(session);
    session->extended = false;
    session->state = SESSION_START;
    session->channel = CHANNEL_HANDSHAKE;
    stream_secure(&session->stream, session->worker->tls);
}

/* One line for each session: which clients would be lost without TLS 1.2, an operator has to know.
 */
static void log_facts(const struct session *session)
{
    const struct tls_facts facts = tls_facts(session->stream.tls);
    log_event(LOG_INFO, "tls", LOG_SPAN("session", session_id(session)),
              LOG_SPAN("client", session_client(session)), LOG_STR("version", facts.version),
              LOG_STR("cipher", facts.cipher), LOG_STR("server_name", facts.server_name),
              LOG_UINT("resumed", facts.resumed));
}

/* A port scan, an old client, or one that does not believe in our certificate. */
static void fail(struct session *session, const char *reason)
{
    log_event(LOG_INFO, "tls-failed", LOG_SPAN("session", session_id(session)),
              LOG_SPAN("client", session_client(session)), LOG_STR("reason", reason));
    page_add(session->worker->page, PAGE_REFUSED, 1);
    session_drop(session);
}

void secure_give_up(struct session *session)
{
    fail(session, "the handshake takes too long");
}

void secure_step(struct session *session)
{
    switch (stream_handshake(&session->stream)) {
    case STREAM_AGAIN:
        return;
    case STREAM_OK:
        break;
    case STREAM_END:
        fail(session, "the client left");
        return;
    case STREAM_ERROR:
        fail(session, stream_reason(&session->stream));
        return;
    }
    session->channel = CHANNEL_SECURE;
    session->progress = true;
    log_facts(session);
    /* With TLS from the start the greeting waited for it (RFC 8314 §3.3). */
    if (session->listener->tls == LISTEN_IMPLICIT)
        answer_write(session, SPAN("connection"), entry_greeting(session));
}

struct span secure_text(struct session *session)
{
    if (session->channel != CHANNEL_SECURE)
        return SPAN("");
    const struct tls_facts facts = tls_facts(session->stream.tls);
    return arena_printf(&session->transaction_arena, "%s with cipher %s (%u bits)", facts.version,
                        facts.cipher, facts.bits);
}
