/*
 * A client is who the proxy says it is, from the first word on: limits, trust and the log know no
 * other address. So the header is read before anything is decided, and not one octet behind it:
 * what follows may be TLS, which OpenSSL reads from the socket itself. Hence the header is looked
 * at first (MSG_PEEK), and only what belongs to it is taken.
 *
 * Programs that send junk do not wait for a greeting; mail servers must (RFC 5321 §3.1). To find
 * that out costs a pause that every stranger pays; how long it is, the operator decides, and
 * without one it is seen whether octets came along with the connection.
 *
 * Who may open a UNIX socket of ours is a user of this host, whom its mode lets in: such a client
 * is trusted, and known by the user its process runs as.
 */
#include "smtpd/entry.h"

#include "smtpd/answer.h"
#include "smtpd/client_checks.h"
#include "smtpd/limits.h"
#include "smtpd/login.h"
#include "smtpd/secure.h"
#include "util/sys/proxy_header.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

/* ---- the greeting ---- */

/* Nothing is taken: what came stays in the socket. -1 with errno, 0: the end. */
static ssize_t look(const struct session *session, size_t most)
{
    return recv(session->stream.io.fd, session->worker->input, most, MSG_PEEK | MSG_DONTWAIT);
}

/* Who is taken for a server of the other protocol by mistake is seen at once (RFC 2033 §3). */
struct reply entry_greeting(const struct session *session)
{
    const struct worker *worker = session->worker;
    bool lmtp = session->listener->service == SERVICE_LMTP;
    return answer(220, NULL, lmtp ? worker->lmtp_greeting : worker->greeting);
}

/* Those whom we trust, and people who submit mail, are not tested for patience: a script that
 * writes its whole dialogue at once does no harm there. */
static bool is_tested(const struct session *session)
{
    return !session->trusted && !session->proxy && session->listener->service == SERVICE_SMTP;
}

/* A client that talks before it was greeted is no mail server (RFC 5321 §3.1). */
void entry_greet(struct session *session)
{
    session->channel = CHANNEL_CLEAR;
    answer_write(session, SPAN("connection"),
                 is_tested(session) && look(session, 1) > 0
                     ? answer_by("greet_pause",
                                 answer_close(554, "5.5.1", "You talk before you are greeted"))
                     : entry_greeting(session));
}

static bool has_to_wait(const struct session *session)
{
    return session->worker->conf->greet_pause > 0 && is_tested(session);
}

/* RFC 2033 §5: whoever speaks LMTP is within the site. */
static struct reply judge(struct session *session)
{
    struct reply greeting = limits_greeting(session);
    if (greeting.code == 220 && session->listener->service == SERVICE_LMTP && !session->trusted)
        return answer_by("trusted_networks",
                         answer_close(554, "5.7.1", "LMTP is for trusted networks alone"));
    return greeting;
}

/* Closes without a word; the log has the reason. */
static struct reply unsaid(struct reply reply)
{
    reply.code = 0;
    reply.close = true;
    return reply;
}

/* RFC 8314 §3.3: where TLS comes first, a client hears nothing before it, and one that is not
 * wanted costs no handshake. */
static void admit(struct session *session, const union net_address *client)
{
    struct reply greeting = judge(session);
    bool implicit = session->listener->tls == LISTEN_IMPLICIT;
    session->channel = CHANNEL_CLEAR;
    if (greeting.code == 220)
        client_checks_start(session, client);
    if (greeting.code != 220)
        answer_write(session, SPAN("connection"), implicit ? unsaid(greeting) : greeting);
    else if (implicit)
        secure_begin(session);
    else if (has_to_wait(session))
        session->channel = CHANNEL_SILENT;
    else
        entry_greet(session);
}

/* From here on this address is the client's. */
static void identify(struct session *session, const union net_address *client)
{
    (void)net_text(client, session->client);
    limits_count_network(session, net_limit_key(client));
    session->trusted = conf_trusts(session->worker->conf, client);
    session->loopback = net_is_loopback(client);
}

/* Who is at the other end of the socket, or of the proxy's: not whom XCLIENT names. */
static void identify_peer(struct session *session, const union net_address *peer)
{
    identify(session, peer);
    session->proxy = conf_trusts_proxy(session->worker->conf, peer);
}

/* The kernel says whose process it is that connected. Its name is not asked for: that may take a
 * network, and the number says the same. */
static bool identify_local(struct session *session)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(session->stream.io.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    (void)snprintf(session->client, sizeof(session->client), "uid %u", peer.uid);
    session->local = session->trusted = session->loopback = true;
    return true;
}

/* ---- the proxy ---- */

/* Not a word is said to somebody who does not speak as he should; the log names him. */
static void refuse(struct session *session, const char *setting, const char *reason)
{
    answer_write(session, SPAN("PROXY header"),
                 (struct reply){.close = true, .text = reason, .setting = setting});
}

/* A client that the proxy does not name may be anybody: it is counted as the proxy, and not trusted
 * as it. The proxy itself, which only looks whether we are there, is. */
static void take_header(struct session *session, const struct proxy_header *header)
{
    union net_address client = header->client;
    if (header->source != PROXY_CLIENT && !net_parse_address(session_client(session), &client)) {
        refuse(session, NULL, "The proxy has no address");
        return;
    }
    identify_peer(session, &client);
    if (header->source == PROXY_SOMEBODY)
        session->trusted = session->loopback = session->proxy = false;
    admit(session, &client);
}

/* Takes off the socket what was looked at; the octets are in session->in already. */
static bool take(struct session *session, size_t count)
{
    return recv(session->stream.io.fd, session->worker->input, count, MSG_DONTWAIT) ==
           (ssize_t)count;
}

/* Octet by octet if need be. The parser says "more" only below PROXY_HEADER_MOST. */
static void read_header(struct session *session)
{
    size_t held = buf_len(&session->in);
    ssize_t got = look(session, PROXY_HEADER_MOST - held);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        session_drop(session);
        return;
    }
    struct proxy_header header = {0};
    buf_add(&session->in, span_of(session->worker->input, (size_t)got));
    enum proxy_result result = proxy_header_parse(buf_span(&session->in), &header);
    size_t used = result == PROXY_OK ? header.size - held : (size_t)got;
    if (result == PROXY_BAD || !take(session, used)) {
        refuse(session, NULL, "Malformed PROXY header");
        return;
    }
    if (result == PROXY_MORE)
        return;
    buf_free(&session->in);
    take_header(session, &header);
}

/* ---- a proxy that speaks SMTP ---- */

/* Nothing of the client before is left but the count of its errors. */
static struct reply replace_client(struct session *session, const struct entry_claims *claims)
{
    login_forget(session);
    client_checks_end(session);
    session->client_name = SPAN("unknown");
    session->spoken_for = true;
    if (claims->speaks_for == ENTRY_CLIENT) {
        identify(session, &claims->address);
    } else {
        (void)snprintf(session->client, sizeof(session->client), "unknown");
        session->trusted = session->loopback = false;
    }
    struct reply greeting = judge(session);
    if (greeting.code == 220 && claims->speaks_for == ENTRY_CLIENT)
        client_checks_start(session, &claims->address);
    return greeting;
}

struct reply entry_claim(struct session *session, const struct entry_claims *claims)
{
    struct reply greeting = entry_greeting(session);
    if (claims->speaks_for != ENTRY_THE_SAME)
        greeting = replace_client(session, claims);
    if (greeting.code != 220)
        return greeting;
    if (claims->has_name)
        client_checks_name(session, claims->name);
    arena_reset(&session->arena);
    session->helo = arena_copy(&session->arena, claims->helo);
    session->extended = false;
    if (claims->login.len > 0) {
        struct reply limited = login_vouch(session, claims->login);
        if (!reply_is_pending(limited))
            return limited;
    }
    /* From here on the proxy may hand on whatever its client writes, and that is no proxy. */
    if (claims->speaks_for != ENTRY_THE_SAME || claims->login.len > 0)
        session->proxy = false;
    log_event(LOG_INFO, "proxied", LOG_SPAN("session", session_id(session)),
              LOG_SPAN("client", session_client(session)), LOG_SPAN("name", session->client_name),
              LOG_SPAN("user", session->user));
    return entry_greeting(session);
}

/* ---- the four sides ---- */

/* Whoever talks or leaves amid the silence is told at once. */
void entry_step(struct session *session)
{
    if (session->channel == CHANNEL_PROXY)
        read_header(session);
    else if (look(session, 1) == 0)
        session_drop(session);
    else
        entry_greet(session);
}

void entry_give_up(struct session *session)
{
    refuse(session, NULL, "No PROXY header in time");
}

/* An address that anybody could claim to speak for is none: only proxies of the settings are
 * heard. */
void entry_begin(struct session *session, const union net_address *peer)
{
    session->number = ++session->worker->last_session;
    (void)spool_id_text(session->number, session->id);
    session->client_name = SPAN("unknown");
    limits_enter(session);
    if (peer->any.sa_family == AF_UNIX) {
        if (identify_local(session))
            admit(session, peer);
        else
            session_drop(session);
        return;
    }
    if (!session->listener->proxy) {
        identify_peer(session, peer);
        admit(session, peer);
        return;
    }
    (void)net_text(peer, session->client);
    session->channel = CHANNEL_PROXY;
    if (!conf_trusts_proxy(session->worker->conf, peer))
        refuse(session, "trusted_proxies", "Not one of trusted_proxies");
}
