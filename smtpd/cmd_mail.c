/*
 * MAIL (RFC 5321 §4.1.1.2): a transaction begins.
 *
 *     mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
 *
 * Blanks behind the colon and paths without brackets are taken, as people and old programs write
 * them.
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/limits.h"
#include "smtpd/parameters.h"
#include "smtpd/path.h"
#include "smtpd/sender_checks.h"

/* The sender is kept as text, as the envelope has it. Everything else of a transaction begins at
 * zero; an empty list of waiting recipients ends at its own head. */
static void begin(struct session *session, const struct address *sender,
                  const struct mail_parameters *parameters)
{
    char text[ADDRESS_TEXT_MAX];
    struct transaction *transaction =
        arena_zalloc(&session->transaction_arena, sizeof(*transaction));
    transaction->sender = arena_copy(&session->transaction_arena, address_text(sender, text));
    transaction->flags = parameters->flags;
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

    struct mail_parameters parameters;
    struct reply refusal = parameters_of_mail(rest, &parameters);
    if (!reply_is_pending(refusal))
        return refusal;
    /* RFC 1870 §6.1: a declared size can be refused before a single octet has come. */
    if (parameters.size > session->worker->conf->limits.message_size)
        return answer(552, "5.3.4", "Message is too big");
    /* Pressure comes last: a command that is wrong in itself is told so, however full the queue
     * is. */
    enum page_pressure pressure = limits_pressure(session->worker);
    if (pressure == PRESSURE_FULL)
        return answer(452, "4.3.1", "The queue is full, try again later");
    if (pressure == PRESSURE_SLOW)
        session_pause(session);
    begin(session, &sender, &parameters);
    sender_checks_begin(session, &sender);
    return REPLY_PENDING;
}
