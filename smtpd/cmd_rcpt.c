/*
 * RCPT (RFC 5321 §4.1.1.3): one recipient.
 *
 *     rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path )
 *            [SP Rcpt-parameters] CRLF
 *
 * "<Postmaster>" needs no case of its own: a local part alone is an address of our first domain.
 * What is wrong with the syntax is known at once, but answered in its turn behind the recipients
 * before it that lookup still thinks about.
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/path.h"
#include "smtpd/recipients.h"

/* Pending: the syntax is right, and lookup has the next word. */
static struct reply check(const struct session *session, struct span arguments,
                          struct address *address, struct rcpt_parameters *parameters)
{
    struct span rest;
    *address = (struct address){0};
    if (!path_argument(&arguments, SPAN("TO:")))
        return answer(501, "5.5.4", "Syntax: RCPT TO:<address>");
    enum address_result result =
        address_parse_path(arguments, session->worker->default_domain, address, &rest);
    if (result == ADDRESS_EMPTY)
        return answer(501, "5.1.3", "The null path is no recipient");
    if (result != ADDRESS_OK)
        return path_refusal(result, "5.1.3");
    struct reply refusal = parameters_of_rcpt(rest, parameters);
    /* RFC 6531 §3.4: SMTPUTF8 is said with MAIL, for all that follows; ORCPT needs it as well. */
    if (reply_is_pending(refusal) && (session->transaction->flags & RECORD_FLAG_UTF8) == 0)
        refusal = path_check_ascii(arguments, SPAN(""));
    return refusal;
}

/* Always pending: even a refusal is written by recipients.c, which keeps the order. */
struct reply cmd_rcpt(struct session *session, struct span arguments)
{
    struct address address;
    struct rcpt_parameters parameters;
    struct reply refusal = check(session, arguments, &address, &parameters);
    if (reply_is_pending(refusal))
        recipients_ask(session, &address, &parameters);
    else
        recipients_refuse(session, arguments, refusal);
    return REPLY_PENDING;
}
