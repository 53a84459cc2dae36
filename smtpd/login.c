/*
 * What is said in an exchange is secret until it is refused, and often then, too: no line of it is
 * ever logged. A refusal is logged as one of AUTH, with auth's own words; who tried is in auth's
 * log.
 */
#include "smtpd/login.h"

#include "smtpd/answer.h"
#include "smtpd/authenticate.h"
#include "smtpd/limits.h"
#include "util/sys/tls.h"

/* One for each session that ever said AUTH. */
struct login {
    struct authentication authentication;
    struct tls_binding binding; /* the exchange points to it */
    struct arena arena;         /* the name; when the client has left, who it was */
    LIST_ENTRY(login) left;     /* in worker->left_logins */
    struct worker *worker;      /* of one that has left, like the next */
    struct rate_client client;
};

/* RFC 4954 §4, plaintext_auth: a password travels under TLS, or where nobody listens. */
static bool may_take_passwords(const struct session *session)
{
    switch (session->worker->conf->plaintext_auth) {
    case PLAINTEXT_ALWAYS:
        return true;
    case PLAINTEXT_LOOPBACK:
        return session->channel == CHANNEL_SECURE || session->loopback;
    case PLAINTEXT_NEVER:
        break;
    }
    return session->channel == CHANNEL_SECURE;
}

/* RFC 9266, RFC 5929: what of the connection a login can be bound to. */
static enum sasl_binding binding_kind(const struct tls_binding *binding)
{
    switch (binding->kind) {
    case TLS_BINDING_EXPORTER:
        return SASL_BINDING_TLS_EXPORTER;
    case TLS_BINDING_UNIQUE:
        return SASL_BINDING_TLS_UNIQUE;
    case TLS_BINDING_NONE:
        break;
    }
    return SASL_BINDING_NONE;
}

/* `binding` is the caller's, and filled in here. */
static struct sasl_facts facts_of(const struct session *session, struct tls_binding *binding)
{
    bool tls = session->channel == CHANNEL_SECURE;
    *binding = tls ? tls_channel_binding(session->stream.tls) : (struct tls_binding){0};
    return (struct sasl_facts){
        .tls = tls,
        .passwords = may_take_passwords(session),
        .binding_kind = binding_kind(binding),
        .binding = span_of((const char *)binding->octets, binding->size),
        .client = session_client(session),
        .session = session->number,
    };
}

/* RFC 4954 §3: the keyword and the mechanisms; without any, nothing is said. Before RFC 2554 there
 * was an equals sign, and these two mechanisms. */
void login_offer(const struct session *session, struct buf *out)
{
    if (session->listener->service != SERVICE_SUBMISSION || session->user.len > 0)
        return;
    struct tls_binding binding;
    struct buf names = {0};
    const struct sasl_facts facts = facts_of(session, &binding);
    sasl_exchange_offer(&facts, &names);
    if (buf_len(&names) > 0) {
        buf_add(out, SPAN("\nAUTH"));
        buf_add(out, buf_span(&names));
    }
    if (facts.passwords && session->worker->conf->auth_old_form)
        buf_add(out, SPAN("\nAUTH=LOGIN PLAIN"));
    buf_free(&names);
}

/* The name is kept beyond the exchange, and beyond HELO, whose arena is emptied. */
static void take(struct session *session, struct span user)
{
    session->user = arena_copy(&session->login->arena, user);
    log_event(LOG_INFO, "authenticated", LOG_SPAN("session", session_id(session)),
              LOG_SPAN("client", session_client(session)), LOG_SPAN("user", session->user),
              LOG_UINT("tls", session->channel == CHANNEL_SECURE));
}

/* auth has answered. Who was meant is known only now: an account that too many guess at is closed
 * to strangers for a while, and neither a right password nor a wrong one is told from the other. */
static void on_answer(void *arg, struct reply reply, struct span user)
{
    struct session *session = arg;
    struct reply limited = REPLY_PENDING;
    if (reply.code == 535 || reply.code == 235)
        limited = limits_rate_login(session, user);
    if (reply.code == 535 && reply_is_pending(limited))
        limits_login_failed(session, user);
    if (reply.code == 235 && reply_is_pending(limited))
        limited = limits_enter_account(session, user);
    if (reply.code == 235 && reply_is_pending(limited))
        take(session, user);
    answer_write(session, SPAN("AUTH"), reply_is_pending(limited) ? reply : limited);
    session->progress = true;
    session_wake(session);
}

struct reply login_begin(struct session *session, struct span arguments)
{
    const struct authenticate_calls calls = {.answer = on_answer, .arg = session};
    struct reply limited = limits_rate_login(session, SPAN(""));
    if (!reply_is_pending(limited))
        return limited;
    if (session->login == NULL)
        session->login = mem_new(sizeof(*session->login));
    const struct sasl_facts facts = facts_of(session, &session->login->binding);
    return authenticate_start(&session->login->authentication, session->worker, &calls, &facts,
                              arguments);
}

bool login_wants_line(const struct session *session)
{
    return session->login != NULL &&
           sasl_exchange_wants_line(&session->login->authentication.exchange);
}

bool login_is_asked(const struct session *session)
{
    return session->login != NULL && session->login->authentication.exchange.state == SASL_ASKED;
}

struct reply login_line(struct session *session, struct span line)
{
    return authenticate_line(&session->login->authentication, line);
}

struct reply login_line_too_long(struct session *session)
{
    return authenticate_line_too_long(&session->login->authentication);
}

/* ---- clients that leave before they are answered ---- */

static void end_left(struct login *login)
{
    struct worker *worker = login->worker;
    LIST_REMOVE(login, left);
    worker->left_login_count--;
    authenticate_drop(&login->authentication);
    arena_free(&login->arena);
    mem_free(login);
}

/* Who was guessed at is known only now. A challenge is for nobody any more. */
static void on_left_answer(void *arg, struct reply reply, struct span user)
{
    struct login *login = arg;
    if (reply.code == 535)
        rate_limits_login_failed(&login->client, user);
    end_left(login);
}

/* auth is asked on, and so goes on counting it among those that this client has under way: whoever
 * hangs up guesses no faster. One that there is no room for counts as a failure of its network. */
void login_leave(struct session *session)
{
    struct worker *worker = session->worker;
    struct login *login = session->login;
    if (!login_is_asked(session))
        return;
    if (worker->left_login_count >= LOGIN_LEFT_MOST) {
        limits_login_failed(session, SPAN(""));
        return;
    }
    login->worker = worker;
    login->client = limits_rate_client(session);
    login->client.session = arena_copy(&login->arena, login->client.session);
    login->client.client = arena_copy(&login->arena, login->client.client);
    login->authentication.exchange.facts.client = login->client.client;
    login->authentication.calls =
        (struct authenticate_calls){.answer = on_left_answer, .arg = login};
    LIST_INSERT_HEAD(&worker->left_logins, login, left);
    worker->left_login_count++;
    session->login = NULL;
}

void login_forget_left(struct worker *worker)
{
    while (!LIST_EMPTY(&worker->left_logins))
        end_left(LIST_FIRST(&worker->left_logins));
}

/* Whoever was logged in before is not any more. The proxy may have asked for the password of
 * "Alice": tables and limits know alice@example.org, as auth would have called her. */
struct reply login_vouch(struct session *session, struct span name)
{
    char text[ADDRESS_TEXT_MAX];
    struct span user = address_login(name, session->worker->default_domain, text);
    login_forget(session);
    struct reply limited = limits_enter_account(session, user);
    if (!reply_is_pending(limited))
        return limited;
    session->login = mem_new(sizeof(*session->login));
    take(session, user);
    return REPLY_PENDING;
}

void login_forget(struct session *session)
{
    session->user = SPAN("");
    limits_leave_account(session);
    if (session->login == NULL)
        return;
    authenticate_drop(&session->login->authentication);
    arena_free(&session->login->arena);
    mem_free(session->login);
    session->login = NULL;
}
