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

/* Texts are kept as the envelope has them. Everything else of a transaction begins at zero; an
 * empty list of waiting recipients ends at its own head. */
static void begin(struct session *session, const struct address *sender,
                  const struct mail_parameters *parameters)
{
    char text[ADDRESS_TEXT_MAX];
    struct arena *arena = &session->transaction_arena;
    struct transaction *transaction = arena_zalloc(arena, sizeof(*transaction));
    transaction->sender = arena_copy(arena, address_text(sender, text));
    transaction->flags = parameters->flags;
    transaction->ret = parameters->ret;
    transaction->envid = arena_copy(arena, parameters->envid);
    /* RFC 4954 §5: from anybody else it is as if "<>" had been said. */
    if (session_may_relay(session))
        transaction->submitter = arena_copy(arena, address_text(&parameters->submitter, text));
    transaction->waiting_end = &transaction->waiting;
    session->transaction = transaction;
    session->transactions++;
}

/* What the parameters ask for, against what there is. Pending: it can be done. */
static struct reply check_parameters(const struct session *session,
                                     const struct mail_parameters *parameters)
{
    /* RFC 1870 §6.1: a declared size can be refused before a single octet has come. */
    if (parameters->size > session->worker->conf->limits.message_size)
        return answer_by("message_size", answer(552, "5.3.4", "Message is too big"));
    /* RFC 8689 §4.1: offered under TLS alone, so it is unknown without. */
    if ((parameters->flags & RECORD_FLAG_REQUIRETLS) && session->channel != CHANNEL_SECURE)
        return answer(555, "5.5.4", "REQUIRETLS needs TLS");
    return REPLY_PENDING;
}

/* Path, then parameters, then what they ask for. Pending: all of it is fine. */
static struct reply check(const struct session *session, struct span path, struct address *sender,
                          struct mail_parameters *parameters)
{
    struct span rest;
    enum address_result result =
        address_parse_path(path, session->worker->default_domain, sender, &rest);
    /* The null reverse-path is that of bounces, and has to be taken (RFC 5321 §4.5.5). */
    if (result != ADDRESS_OK && result != ADDRESS_EMPTY)
        return path_refusal(result, "5.1.7");
    struct reply refusal = parameters_of_mail(rest, parameters);
    if (reply_is_pending(refusal) && (parameters->flags & RECORD_FLAG_UTF8) == 0)
        refusal = path_check_ascii(path, rest);
    return reply_is_pending(refusal) ? check_parameters(session, parameters) : refusal;
}

/* Syntax first, then parameters, then what the queue can take: nothing is made before all of them
 * agree. What is to be asked about the sender comes last, and writes the reply. That no transaction
 * is open is asked by the verb table (RFC 5321 §4.1.4). */
struct reply cmd_mail(struct session *session, struct span arguments)
{
    struct address sender;
    struct mail_parameters parameters = {0};
    if (!path_argument(&arguments, SPAN("FROM:")))
        return answer(501, "5.5.4", "Syntax: MAIL FROM:<address>");
    struct reply refusal = check(session, arguments, &sender, &parameters);
    if (!reply_is_pending(refusal))
        return refusal;
    /* RFC 9422: MAILMAX */
    if (session->transactions >= session->worker->conf->limits.messages_per_connection)
        return answer_by("messages_per_connection",
                         answer_close(421, "4.5.3", "Too many messages of one connection"));
    /* Pressure comes last: a command that is wrong in itself is told so, however full the queue
     * is. */
    enum page_pressure pressure = limits_pressure(session->worker);
    if (pressure == PRESSURE_FULL)
        return answer_by("free_space_percent",
                         answer(452, "4.3.1", "The queue is full, try again later"));
    if (pressure == PRESSURE_SLOW)
        session_pause(session);
    begin(session, &sender, &parameters);
    sender_checks_begin(session, &sender);
    return REPLY_PENDING;
}
