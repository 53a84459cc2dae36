/*
 * HELO and EHLO (RFC 5321 §4.1.1.1): the client's name, and what we can do.
 *
 *     ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
 *     helo = "HELO" SP Domain CRLF
 *
 * The name is taken for what it is, a claim: it is logged and written into Received, and nothing is
 * decided by it. "An SMTP server MAY verify that the domain name argument [...] however [...] MUST
 * NOT refuse" (§4.1.4), so its form is not checked beyond its length.
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/login.h"
#include "smtpd/secure.h"
#include "util/mail/address.h"

/* What every client may use was written once; the rest depends on how far this one is. */
static const char *capabilities(struct session *session)
{
    struct buf more = {0};
    /* RFC 8689 §3: under TLS alone. */
    if (session->channel == CHANNEL_SECURE)
        buf_add(&more, SPAN("\nREQUIRETLS"));
    if (session->worker->conf->expn && session_may_relay(session))
        buf_add(&more, SPAN("\nEXPN"));
    /* RFC 1985 §2 */
    if (session->worker->conf->etrn)
        buf_add(&more, SPAN("\nETRN"));
    if (secure_is_offered(session))
        buf_add(&more, SPAN("\nSTARTTLS"));
    login_offer(session, &more);
    if (session->proxy)
        buf_add(&more, SPAN("\nXCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"));
    struct span text = arena_printf(&session->arena, "%s%.*s", session->worker->capabilities,
                                    SPAN_ARG(buf_span(&more)));
    buf_free(&more);
    return text.data;
}

/* Either of them also ends an open transaction, as RSET would (§4.1.4). */
static struct reply greet(struct session *session, struct span name, bool extended)
{
    const struct worker *worker = session->worker;
    if (name.len == 0 && worker->conf->helo_argument_required)
        return answer_by("helo_argument_required",
                         answer(501, "5.5.4", "Say your name: HELO domain"));
    if (name.len > ADDRESS_DOMAIN_MAX)
        return answer(501, "5.5.4", "That name is too long");
    session_reset(session);
    /* The new name is in the input and not in this arena: it outlives the old one. */
    arena_reset(&session->arena);
    session->helo = name.len > 0 ? arena_copy(&session->arena, name) : SPAN("");
    session->extended = extended;
    return answer(250, NULL, extended ? capabilities(session) : worker->hello);
}

/* One line and no extensions: whoever says HELO may not know of multiline replies. */
struct reply cmd_helo(struct session *session, struct span arguments)
{
    return greet(session, arguments, false);
}

/* The capabilities are the same for every client, and were written once. */
struct reply cmd_ehlo(struct session *session, struct span arguments)
{
    return greet(session, arguments, true);
}
