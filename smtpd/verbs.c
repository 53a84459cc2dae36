/*
 * Every precondition stands in this table, so that a handler can not forget one and a reader sees
 * the whole protocol at a glance. What a row does not allow is answered here, by the state alone.
 *
 * HELO, EHLO and DATA end a group (RFC 2920 §3.1): input that waits behind them was sent without
 * having seen the answer. Behind DATA it may be a message or commands, and to guess is what
 * smuggling lives on, so such a client is sent away. NOOP, VRFY and QUIT end groups as well, but
 * nothing can go wrong with them. So does LHLO, which is the greeting of LMTP (RFC 2033).
 */
#include "smtpd/verbs.h"

#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/limits.h"
#include "smtpd/secure.h"

/* The states as bits, in the order of the dialogue. SESSION_DATA and SESSION_COMMIT have none: no
 * command is served in them. */
enum {
    IN_START = 1u << SESSION_START,
    IN_READY = 1u << SESSION_READY,
    IN_MAIL = 1u << SESSION_MAIL,
    IN_REFUSED = 1u << SESSION_REFUSED,
    IN_RCPT = 1u << SESSION_RCPT,
    IN_CHUNKS = 1u << SESSION_CHUNKS,
    BEFORE_DATA = IN_MAIL | IN_REFUSED | IN_RCPT,
    ANYWHERE = IN_START | IN_READY | BEFORE_DATA | IN_CHUNKS
};

/* `next` is where a positive reply leads. SESSION_STATES: the handler knows better, or nothing
 * changes. */
static const struct verb verbs[] = {
    {.name = "HELO",
     .handle = cmd_helo,
     .states = ANYWHERE,
     .next = SESSION_READY,
     .service = SMTP_ALONE,
     .ends_group = true,
     .junk = true,
     .help = "HELO domain\nRFC 5321 4.1.1.1"},
    {.name = "EHLO",
     .handle = cmd_ehlo,
     .states = ANYWHERE,
     .next = SESSION_READY,
     .service = SMTP_ALONE,
     .ends_group = true,
     .junk = true,
     .help = "EHLO domain\nRFC 5321 4.1.1.1"},
    {.name = "LHLO",
     .handle = cmd_ehlo, /* the same semantics (RFC 2033 §4.1) */
     .states = ANYWHERE,
     .next = SESSION_READY,
     .service = LMTP_ALONE,
     .ends_group = true,
     .junk = true,
     .help = "LHLO domain\nRFC 2033 4.1"},
    {.name = "MAIL",
     .handle = cmd_mail, /* the next state is set with the answer: sender_checks.c */
     .states = IN_READY,
     .next = SESSION_STATES,
     .needs = NEEDS_LOGIN,
     .help = "MAIL FROM:<reverse-path> [SIZE=octets] [BODY=7BIT|8BITMIME|BINARYMIME] [SMTPUTF8]\n"
             "[RET=FULL|HDRS] [ENVID=xtext] [AUTH=xtext] [REQUIRETLS]\nRFC 5321 4.1.1.2"},
    {.name = "RCPT",
     .handle = cmd_rcpt, /* the next state is set with the answer: recipients.c */
     .states = BEFORE_DATA,
     .next = SESSION_STATES,
     .overlaps = true,
     .help = "RCPT TO:<forward-path> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;xtext]\n"
             "RFC 5321 4.1.1.3"},
    {.name = "DATA",
     .handle = cmd_data,
     .states = IN_RCPT,
     .next = SESSION_DATA,
     .ends_group = true,
     .help = "DATA\nRFC 5321 4.1.1.4"},
    {.name = "BDAT",
     .handle = cmd_bdat, /* the next state is set with the chunk: chunk.c */
     .refuse = cmd_bdat_refused,
     .states = IN_RCPT | IN_CHUNKS,
     .next = SESSION_STATES,
     .help = "BDAT size [LAST]\nRFC 3030 2"},
    {.name = "STARTTLS",
     .handle = cmd_starttls,
     .states = IN_START | IN_READY,
     .next = SESSION_STATES,
     .needs = NEEDS_CLEAR,
     .ends_group = true,
     .help = "STARTTLS\nRFC 3207"},
    {.name = "AUTH",
     .handle = cmd_auth,
     .states = IN_READY,
     .next = SESSION_STATES,
     .needs = NEEDS_NO_LOGIN,
     .ends_group = true,
     .secret = true,
     .help = "AUTH mechanism [initial-response]\nRFC 4954"},
    {.name = "XCLIENT",
     .handle = cmd_xclient,
     .states = IN_START | IN_READY,
     .next = SESSION_START,
     .needs = NEEDS_PROXY},
    {.name = "RSET",
     .handle = cmd_rset,
     .states = ANYWHERE,
     .next = SESSION_STATES,
     .junk = true,
     .help = "RSET\nRFC 5321 4.1.1.5"},
    {.name = "VRFY",
     .handle = cmd_vrfy,
     .states = ANYWHERE,
     .next = SESSION_STATES,
     .junk = true,
     .help = "VRFY address [SMTPUTF8]\nRFC 5321 4.1.1.6"},
    {.name = "EXPN",
     .handle = cmd_expn,
     .states = ANYWHERE,
     .next = SESSION_STATES,
     .needs = NEEDS_EXPN,
     .junk = true,
     .help = "EXPN list [SMTPUTF8]\nRFC 5321 4.1.1.7"},
    {.name = "ETRN",
     .handle = cmd_etrn,
     .states = IN_START | IN_READY,
     .next = SESSION_STATES,
     .needs = NEEDS_ETRN,
     .junk = true,
     .help = "ETRN domain\nETRN @domain\nRFC 1985"},
    {.name = "HELP",
     .handle = cmd_help,
     .states = ANYWHERE,
     .next = SESSION_STATES,
     .junk = true,
     .help = "HELP [command]\nRFC 5321 4.1.1.8"},
    {.name = "NOOP",
     .handle = cmd_noop,
     .states = ANYWHERE,
     .next = SESSION_STATES,
     .junk = true,
     .help = "NOOP\nRFC 5321 4.1.1.9"},
    {.name = "QUIT",
     .handle = cmd_quit,
     .states = ANYWHERE,
     .next = SESSION_STATES,
     .help = "QUIT\nRFC 5321 4.1.1.10"},
#define SIMPLE(verb, handler)                                                                      \
    {                                                                                              \
        .name = (verb), .handle = (handler), .states = ANYWHERE, .next = SESSION_STATES            \
    }
    /* RFC 5321 appendix F.1, F.6 */
    SIMPLE("TURN", cmd_unimplemented),
    SIMPLE("SEND", cmd_unimplemented),
    SIMPLE("SOML", cmd_unimplemented),
    SIMPLE("SAML", cmd_unimplemented),
    /* The methods of HTTP, RFC 9110 §9.3 */
    SIMPLE("GET", cmd_foreign),
    SIMPLE("HEAD", cmd_foreign),
    SIMPLE("POST", cmd_foreign),
    SIMPLE("PUT", cmd_foreign),
    SIMPLE("DELETE", cmd_foreign),
    SIMPLE("OPTIONS", cmd_foreign),
    SIMPLE("CONNECT", cmd_foreign),
#undef SIMPLE
};

/* The rows are constant: they outlive everybody who reads them. */
const struct verb *verb_table(size_t *count)
{
    *count = sizeof(verbs) / sizeof(verbs[0]);
    return verbs;
}

/* RFC 5321 §2.4: verbs have no case. Two dozen rows need no index. */
const struct verb *verb_find(struct span name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (span_equal_nocase(name, span_cstr(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

/* RFC 2033 §4.1: SMTP and LMTP share all commands but the greeting. */
static bool is_of(const struct verb *verb, enum conf_service service)
{
    return verb->service != (service == SERVICE_LMTP ? SMTP_ALONE : LMTP_ALONE);
}

bool verb_is_shown(const struct verb *verb, enum conf_service service)
{
    bool elsewhere = verb->needs == NEEDS_NO_LOGIN && service != SERVICE_SUBMISSION;
    return verb->help != NULL && !elsewhere && is_of(verb, service);
}

/* Made once, when the worker starts: the copies left in the arena do not matter. */
const char *verb_topics(enum conf_service service, struct arena *arena)
{
    struct span text = SPAN("Commands:");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (verb_is_shown(&verbs[i], service))
            text = arena_printf(arena, "%s %s", text.data, verbs[i].name);
    return text.data;
}

/* Tabs and blanks around are tolerated (RFC 5321 §4.1.1: trailing white space before CRLF). */
struct span verb_name(struct span line, struct span *arguments)
{
    struct span rest = span_trim(line);
    size_t end = 0;
    while (end < rest.len && rest.data[end] != ' ' && rest.data[end] != '\t')
        end++;
    *arguments = span_trim(span_skip(rest, end));
    return span_first(rest, end);
}

/* Two replies are others there. */
static bool speaks_lmtp(const struct session *session)
{
    return session->listener->service == SERVICE_LMTP;
}

/* Why a command is not allowed in a state: the step that is missing (RFC 5321 §4.1.4). */
static struct reply out_of_order(const struct session *session, const struct verb *verb)
{
    static const char *const missing[SESSION_STATES] = {
        [SESSION_START] = "Send EHLO or HELO first",
        [SESSION_READY] = "Send MAIL first",
        [SESSION_MAIL] = "Send RCPT first",
        [SESSION_REFUSED] = "No valid recipients",
    };
    /* RFC 3030 §2: DATA does not mix with it, and the recipients are final. */
    if (session->state == SESSION_CHUNKS)
        return answer(503, "5.5.1", "Go on with BDAT, or send RSET");
    /* No allowed state lies at or behind this one: the dialogue has gone past the command. */
    bool too_late = (verb->states >> session->state) == 0;
    if (too_late)
        return answer(503, "5.5.1", "A transaction is open already");
    if (session->state == SESSION_START && speaks_lmtp(session))
        return answer(503, "5.5.1", "Send LHLO first");
    /* RFC 5321 §3.3: 554 to DATA when every recipient was refused; RFC 2033 §4.2: 503. */
    bool is_refused = session->state == SESSION_REFUSED && !speaks_lmtp(session);
    return answer(is_refused ? 554 : 503, "5.5.1", missing[session->state]);
}

/* RFC 4954 §4: where it is offered, and once. */
static struct reply unmet_for_auth(const struct session *session)
{
    if (session->listener->service != SERVICE_SUBMISSION)
        return answer(502, "5.5.1", "No authentication here; submit mail at port 587 or 465");
    if (session->user.len > 0)
        return answer(503, "5.5.1", "You are authenticated already");
    return REPLY_PENDING;
}

/* STARTTLS: RFC 3207 §4. */
static struct reply unmet_for_tls(const struct session *session)
{
    if (session->channel == CHANNEL_SECURE)
        return answer(503, "5.5.1", "TLS is active already");
    if (!secure_is_offered(session))
        return answer(502, "5.5.1", "TLS is not offered here");
    return REPLY_PENDING;
}

/* EXPN: RFC 5321 §7.3. */
static struct reply unmet_for_lists(const struct session *session)
{
    bool is_on = session->worker->conf->expn;
    if (is_on && session_may_relay(session))
        return REPLY_PENDING;
    return answer_by(is_on ? "trusted_networks" : "expn",
                     answer(502, "5.5.1", "Lists are not shown here"));
}

/* What is not offered is not known to that client (RFC 4954 §4, RFC 3207 §4); pending: nothing is
 * missing. */
static struct reply unmet(const struct session *session, enum verb_needs needs)
{
    bool submits = session->listener->service == SERVICE_SUBMISSION;
    switch (needs) {
    case NEEDS_NOTHING:
        break;
    case NEEDS_CLEAR:
        return unmet_for_tls(session);
    case NEEDS_LOGIN:
        if (submits && session->user.len == 0 && !session->trusted)
            return answer_by("trusted_networks", /* RFC 4954 §6 */
                             answer(530, "5.7.0", "Authentication required"));
        break;
    case NEEDS_EXPN:
        return unmet_for_lists(session);
    case NEEDS_ETRN: /* is_switched_off */
        break;
    case NEEDS_NO_LOGIN:
        return unmet_for_auth(session);
    case NEEDS_PROXY:
        if (!session->proxy)
            return answer_by("trusted_proxies",
                             answer(550, "5.7.0", "You are not one of trusted_proxies"));
        break;
    }
    return REPLY_PENDING;
}

/* Before the state is asked: it is so in every one. */
static bool is_switched_off(const struct session *session, const struct verb *verb)
{
    return verb->needs == NEEDS_ETRN && !session->worker->conf->etrn;
}

/* What the row does not allow now; pending: nothing. */
static struct reply forbidden(struct session *session, const struct verb *verb)
{
    if (is_switched_off(session, verb))
        return answer_by("etrn", cmd_unimplemented(session, SPAN("")));
    /* Before the state is asked: input behind such a command was sent in ignorance of any
     * answer. */
    if (verb->ends_group && session->behind)
        return answer_close(503, "5.5.1", "Improper pipelining: wait for the answer");
    if ((verb->states & (1u << session->state)) == 0)
        return out_of_order(session, verb);
    return unmet(session, verb->needs);
}

/* BDAT alone has octets behind its line, which must not be taken for commands. */
struct reply verb_refuse(struct session *session, const struct verb *verb, struct span arguments,
                         struct reply refusal)
{
    if (verb == NULL || verb->refuse == NULL)
        return refusal;
    return verb->refuse(session, arguments, refusal);
}

/* The order of the checks: known at all, well pipelined, allowed now. Only then is the handler
 * called, and only a positive reply moves the dialogue on. */
struct reply verb_serve(struct session *session, const struct verb *verb, struct span arguments)
{
    /* RFC 2033 §4.1: a client of the other protocol must notice it. */
    if (verb == NULL || !is_of(verb, session->listener->service))
        return answer(500, "5.5.2", "Command not recognized");
    struct reply refusal = forbidden(session, verb);
    if (!reply_is_pending(refusal))
        return verb_refuse(session, verb, arguments, refusal);
    if (verb->junk)
        limits_count_junk(session);
    struct reply reply = verb->handle(session, arguments);
    /* A refused command changes nothing (RFC 5321 §4.1.4). 354 is positive as well: the data
     * comes. */
    if (reply.code >= 200 && reply.code < 400 && verb->next != SESSION_STATES)
        session->state = verb->next;
    return reply;
}
