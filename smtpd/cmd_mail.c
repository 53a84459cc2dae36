/*
 * MAIL (RFC 5321 §4.1.1.2): a transaction begins.
 *
 *     mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
 *     esmtp-param = esmtp-keyword ["=" esmtp-value]
 *
 * Blanks behind the colon and paths without brackets are taken, as people and old programs write
 * them. A parameter that we did not offer is refused (§4.1.1.11): what it asks for would not be
 * done.
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/limits.h"
#include "smtpd/path.h"
#include "smtpd/sender_checks.h"

/* What the client declared; each keyword may come once. */
struct parameters {
    bool has_size, has_body, is_8bit;
    uint64_t size;
};

/* RFC 1870 §6.1: a declared size can be refused before a single octet has come. */
static struct reply take_size(struct session *session, struct parameters *parameters,
                              struct span value)
{
    if (parameters->has_size || !span_to_u64(value, UINT64_MAX, &parameters->size))
        return answer(501, "5.5.4", "Bad SIZE parameter");
    parameters->has_size = true;
    if (parameters->size > session->worker->conf->limits.message_size)
        return answer(552, "5.3.4", "Message is too big");
    return REPLY_PENDING;
}

/* RFC 6152 §3 */
static struct reply take_body(struct parameters *parameters, struct span value)
{
    parameters->is_8bit = span_equal_nocase(value, SPAN("8BITMIME"));
    if (parameters->has_body || (!parameters->is_8bit && !span_equal_nocase(value, SPAN("7BIT"))))
        return answer(501, "5.5.4", "Bad BODY parameter");
    parameters->has_body = true;
    return REPLY_PENDING;
}

/* Pending: all of them are fine. */
static struct reply take_parameters(struct session *session, struct span rest,
                                    struct parameters *parameters)
{
    struct span word;
    struct reply reply = REPLY_PENDING;
    while (reply_is_pending(reply) && path_next_parameter(&rest, &word)) {
        struct span keyword = span_first(word, span_find(word, '='));
        struct span value = span_skip(word, keyword.len + 1);
        if (span_equal_nocase(keyword, SPAN("SIZE")))
            reply = take_size(session, parameters, value);
        else if (span_equal_nocase(keyword, SPAN("BODY")))
            reply = take_body(parameters, value);
        else
            reply = answer(555, "5.5.4", "Unknown parameter");
    }
    return reply;
}

/* The sender is kept as text, as the envelope has it. Everything else of a transaction begins at
 * zero; an empty list of waiting recipients ends at its own head. */
static void begin(struct session *session, const struct address *sender, bool is_8bit)
{
    char text[ADDRESS_TEXT_MAX];
    struct transaction *transaction =
        arena_zalloc(&session->transaction_arena, sizeof(*transaction));
    transaction->sender = arena_copy(&session->transaction_arena, address_text(sender, text));
    transaction->is_8bit = is_8bit;
    transaction->waiting_end = &transaction->waiting;
    session->transaction = transaction;
}

/* Syntax first, then parameters, then what the queue can take: nothing is made before all of them
 * agree. What is to be asked about the sender comes last, and writes the reply. That no transaction
 * is open is asked by the verb table (RFC 5321 §4.1.4). */
struct reply cmd_mail(struct session *session, struct span arguments)
{
    struct span rest;
    struct address sender;
    if (!path_argument(&arguments, SPAN("FROM:")))
        return answer(501, "5.5.4", "Syntax: MAIL FROM:<address>");
    enum address_result result =
        address_parse_path(arguments, session->worker->default_domain, &sender, &rest);
    /* The null reverse-path is that of bounces, and has to be taken (RFC 5321 §4.5.5). */
    if (result != ADDRESS_OK && result != ADDRESS_EMPTY)
        return path_refusal(result, "5.1.7");

    struct parameters parameters = {0};
    struct reply refusal = take_parameters(session, rest, &parameters);
    if (!reply_is_pending(refusal))
        return refusal;
    /* Pressure comes last: a command that is wrong in itself is told so, however full the queue
     * is. */
    enum page_pressure pressure = limits_pressure(session->worker);
    if (pressure == PRESSURE_FULL)
        return answer(452, "4.3.1", "The queue is full, try again later");
    if (pressure == PRESSURE_SLOW)
        session_pause(session);
    begin(session, &sender, parameters.is_8bit);
    sender_checks_begin(session, &sender);
    return REPLY_PENDING;
}
