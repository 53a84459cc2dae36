/*
 * Why a state machine apart from the session: a line in the midst of AUTH is no command, whatever
 * it looks like, and must never reach the verb table, its error counting or its log. And auth may
 * end an exchange (its deadline, its death) just while the client is to answer: that verdict waits
 * for the client's line, or the line would be read as a command, and the password in it logged as
 * one.
 */
#include "smtpd/sasl_exchange.h"

#include <openssl/crypto.h>

#include "smtpd/answer.h"
#include "util/base/base64.h"
#include "util/base/panic.h"

/* In the order in which they are offered: the first that a client knows should be the best. */
static const struct {
    struct span name;
    enum sasl_mechanism mechanism;
    bool sends_password, binds;
} mechanisms[] = {
    {SPAN_INIT("SCRAM-SHA-256-PLUS"), SASL_SCRAM_SHA_256_PLUS, false, true},
    {SPAN_INIT("SCRAM-SHA-256"), SASL_SCRAM_SHA_256, false, false},
    {SPAN_INIT("PLAIN"), SASL_PLAIN, true, false},
    {SPAN_INIT("LOGIN"), SASL_LOGIN, true, false},
};

enum { MECHANISMS = sizeof(mechanisms) / sizeof(mechanisms[0]) };

/* A binding is one of TLS: without it there is nothing to be bound to. */
static bool can_bind(const struct sasl_facts *facts)
{
    return facts->tls && facts->binding_kind != SASL_BINDING_NONE;
}

static bool is_offered(const struct sasl_facts *facts, size_t index)
{
    return (!mechanisms[index].sends_password || facts->passwords) &&
           (!mechanisms[index].binds || can_bind(facts));
}

void sasl_exchange_offer(const struct sasl_facts *facts, struct buf *out)
{
    for (size_t i = 0; i < MECHANISMS; i++)
        if (is_offered(facts, i)) {
            buf_add(out, SPAN(" "));
            buf_add(out, mechanisms[i].name);
        }
}

/* ---- the end ---- */

/* Nothing secret lies in the arena: challenges were meant for the client. */
static void rest(struct sasl_exchange *exchange)
{
    arena_free(&exchange->arena);
    *exchange = (struct sasl_exchange){.state = SASL_AT_REST};
}

/* The reply that ends it; auth, if it is waiting for us, is told. */
static struct reply give_up(struct sasl_exchange *exchange, struct reply reply)
{
    if (exchange->state == SASL_CHALLENGED && !exchange->ended)
        (void)exchange->calls.send(exchange->calls.arg, &ipc_sasl_abort,
                                   &(struct sasl_abort){.query = exchange->query});
    rest(exchange);
    return reply;
}

/* RFC 4954 §6 */
static struct reply later(void)
{
    return answer(454, "4.7.0", "Temporary authentication failure, try again later");
}

/* ---- what the client says ---- */

/* The message is with auth, or the exchange is over. */
static struct reply ask(struct sasl_exchange *exchange, const struct ipc_type *type,
                        const void *message)
{
    if (!exchange->calls.send(exchange->calls.arg, type, message)) {
        rest(exchange);
        return later();
    }
    exchange->state = SASL_ASKED;
    return REPLY_PENDING;
}

/* The mechanism goes to auth; the initial response is NULL where there is none. */
static struct reply ask_first(struct sasl_exchange *exchange, const struct span *initial)
{
    const struct sasl_facts *facts = &exchange->facts;
    bool bound = can_bind(facts);

    return ask(exchange, &ipc_sasl_begin,
               &(struct sasl_begin){.query = exchange->query,
                                    .mechanism = (uint8_t)exchange->mechanism,
                                    .has_initial = initial != NULL,
                                    .initial = initial ? *initial : SPAN(""),
                                    .client = facts->client,
                                    .session = facts->session,
                                    .binding_kind =
                                        (uint8_t)(bound ? facts->binding_kind : SASL_BINDING_NONE),
                                    .binding = bound ? facts->binding : SPAN("")});
}

/* RFC 4954 §4: to auth go the octets, never the base64. */
static struct reply ask_next(struct sasl_exchange *exchange, struct span octets)
{
    exchange->answered = true;
    return ask(exchange, &ipc_sasl_continue,
               &(struct sasl_continue){.query = exchange->query, .response = octets});
}

/* RFC 4954 §4: what is no base64 MUST be rejected with 501. But who types LOGIN by hand and forgets
 * to encode the name types the password next, whatever we say: it is asked for, so that it is no
 * command, and refused unseen. */
static struct reply refuse_base64(struct sasl_exchange *exchange)
{
    bool is_name = exchange->mechanism == SASL_LOGIN && exchange->state == SASL_CHALLENGED &&
                   !exchange->answered;
    if (!is_name)
        return give_up(exchange, answer(501, "5.5.2", "Cannot decode the BASE64 of that response"));
    (void)exchange->calls.send(exchange->calls.arg, &ipc_sasl_abort,
                               &(struct sasl_abort){.query = exchange->query});
    exchange->verdict = answer(535, "5.7.8", "Authentication credentials invalid");
    exchange->ended = true;
    return answer(334, NULL, "UGFzc3dvcmQ6");
}

/* Our copy of the octets is wiped. */
static struct reply take_base64(struct sasl_exchange *exchange, struct span text, bool first)
{
    struct arena arena = {0};
    struct span octets;
    struct reply reply;

    if (text.len > SASL_LINE_MAX) {
        reply = sasl_exchange_line_too_long(exchange);
    } else if (!base64_decode(&arena, text, &octets)) {
        reply = refuse_base64(exchange);
    } else {
        reply = first ? ask_first(exchange, &octets) : ask_next(exchange, octets);
        OPENSSL_cleanse((void *)(uintptr_t)octets.data, octets.len);
    }
    arena_free(&arena);
    return reply;
}

/* LOGIN speaks first, and so has no initial response to wait for: auth is to ask. */
static struct reply begin_without_response(struct sasl_exchange *exchange)
{
    if (exchange->mechanism == SASL_LOGIN)
        return ask_first(exchange, NULL);
    exchange->state = SASL_PROMPTED;
    return answer(334, NULL, "");
}

/* The index of a mechanism, compared without case as RFC 5321 §2.4 has it for keywords; MECHANISMS
 * when there is none of that name. */
static size_t find_mechanism(struct span name)
{
    size_t i = 0;

    while (i < MECHANISMS && !span_equal_nocase(name, mechanisms[i].name))
        i++;
    return i;
}

/* Why AUTH with that mechanism is not begun; pending: it is. */
static struct reply judge_mechanism(const struct sasl_facts *facts, size_t index)
{
    if (index < MECHANISMS && is_offered(facts, index))
        return REPLY_PENDING;
    if (index < MECHANISMS && mechanisms[index].sends_password && !facts->tls)
        return answer_by(
            "plaintext_auth",
            answer(538, "5.7.11", "Encryption required for requested authentication mechanism"));
    return answer(504, "5.5.4", "Unrecognized authentication type");
}

/* "AUTH" SP sasl-mech [SP initial-response], RFC 4954 §8 */
struct reply sasl_exchange_start(struct sasl_exchange *exchange, const struct sasl_calls *calls,
                                 const struct sasl_facts *facts, uint32_t query,
                                 struct span arguments)
{
    struct span name = span_first(arguments, span_find(arguments, ' '));
    struct span initial = span_skip(arguments, name.len + 1);
    size_t index = find_mechanism(name);

    require(exchange->state == SASL_AT_REST);
    if (name.len == 0 || (initial.len == 0 && name.len < arguments.len))
        return answer(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
    struct reply refusal = judge_mechanism(facts, index);
    if (!reply_is_pending(refusal))
        return refusal;
    *exchange = (struct sasl_exchange){
        .mechanism = mechanisms[index].mechanism, .query = query, .calls = *calls, .facts = *facts};
    if (name.len == arguments.len)
        return begin_without_response(exchange);
    /* RFC 4954 §4: "=" is an initial response of no octets. */
    return take_base64(exchange, span_equal(initial, SPAN("=")) ? SPAN("") : initial, true);
}

bool sasl_exchange_wants_line(const struct sasl_exchange *exchange)
{
    return exchange->state == SASL_PROMPTED || exchange->state == SASL_CHALLENGED;
}

/* The verdict that came too early is the answer to whatever the line is. */
struct reply sasl_exchange_line(struct sasl_exchange *exchange, struct span line)
{
    require(sasl_exchange_wants_line(exchange));
    if (exchange->ended)
        return give_up(exchange, exchange->verdict);
    /* RFC 4954 §4: a single "*" cancels. */
    if (span_equal(line, SPAN("*")))
        return give_up(exchange, answer(501, "5.7.0", "Authentication cancelled"));
    return take_base64(exchange, line, exchange->state == SASL_PROMPTED);
}

struct reply sasl_exchange_line_too_long(struct sasl_exchange *exchange)
{
    return give_up(exchange, answer(500, "5.5.6", "Authentication exchange line is too long"));
}

/* ---- what auth says ---- */

/* auth has it, or the client answers for it. */
static bool is_begun(const struct sasl_exchange *exchange)
{
    return (exchange->state == SASL_ASKED || exchange->state == SASL_CHALLENGED) &&
           !exchange->ended;
}

static bool is_of(const struct sasl_exchange *exchange, uint32_t query)
{
    return is_begun(exchange) && exchange->query == query;
}

/* A challenge that nobody waits for comes from no auth that we know. */
void sasl_exchange_challenge(struct sasl_exchange *exchange, const struct sasl_challenge *challenge)
{
    if (!is_of(exchange, challenge->query) || exchange->state != SASL_ASKED)
        return;
    arena_reset(&exchange->arena);
    exchange->state = SASL_CHALLENGED;
    exchange->calls.answer(exchange->calls.arg,
                           answer(334, NULL, base64_encode(&exchange->arena, challenge->data).data),
                           SPAN(""));
}

/* RFC 4954 §6. Whether the user or the password was wrong is told to nobody. */
static struct reply reply_to(const struct verdict *verdict)
{
    switch ((enum verify_status)verdict->status) {
    case VERIFY_OK:
        return answer(235, "2.7.0", "Authentication succeeded");
    case VERIFY_FAILED:
        return answer(535, "5.7.8", "Authentication credentials invalid");
    case VERIFY_MALFORMED:
        return answer(501, "5.5.2", "That response is none of the mechanism");
    case VERIFY_TEMPORARY:
        break;
    }
    return later();
}

/* Answers what is pending, or keeps the reply for the client's line. */
static void end(struct sasl_exchange *exchange, struct reply reply, struct span user)
{
    struct sasl_calls calls = exchange->calls;

    if (exchange->state != SASL_ASKED) {
        exchange->verdict = reply;
        exchange->ended = true;
        return;
    }
    rest(exchange);
    calls.answer(calls.arg, reply, user);
}

/* A verdict while the client is to answer can only refuse: it has proven nothing yet. */
void sasl_exchange_verdict(struct sasl_exchange *exchange, const struct verdict *verdict)
{
    bool right = verdict->status == VERIFY_OK;

    if (!is_of(exchange, verdict->query))
        return;
    if (right && exchange->state != SASL_ASKED)
        end(exchange, later(), SPAN(""));
    else
        end(exchange, reply_to(verdict), verdict->user);
}

/* With nothing begun yet there is nothing to lose: another auth may be there by then. */
void sasl_exchange_lost(struct sasl_exchange *exchange)
{
    if (is_begun(exchange))
        end(exchange, later(), SPAN(""));
}

void sasl_exchange_drop(struct sasl_exchange *exchange)
{
    if (is_begun(exchange))
        (void)exchange->calls.send(exchange->calls.arg, &ipc_sasl_abort,
                                   &(struct sasl_abort){.query = exchange->query});
    rest(exchange);
}
