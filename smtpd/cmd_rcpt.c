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

/* Pending: the syntax is right, and lookup has the next word. No parameter is known here, because
 * EHLO offers no extension that has one (RFC 5321 §4.1.1.11). */
static struct reply check(const struct session *session, struct span arguments,
                          struct address *address)
{
    struct span rest, word;
    *address = (struct address){0};
    if (!path_argument(&arguments, SPAN("TO:")))
        return answer(501, "5.5.4", "Syntax: RCPT TO:<address>");
    enum address_result result =
        address_parse_path(arguments, session->worker->default_domain, address, &rest);
    if (result == ADDRESS_EMPTY)
        return answer(501, "5.1.3", "The null path is no recipient");
    if (result != ADDRESS_OK)
        return path_refusal(result, "5.1.3");
    if (path_next_parameter(&rest, &word))
        return answer(555, "5.5.4", "Unknown parameter");
    return REPLY_PENDING;
}

/* Always pending: even a refusal is written by recipients.c, which keeps the order. */
struct reply cmd_rcpt(struct session *session, struct span arguments)
{
    struct address address;
    struct reply refusal = check(session, arguments, &address);
    if (reply_is_pending(refusal))
        recipients_ask(session, &address);
    else
        recipients_refuse(session, arguments, refusal);
    return REPLY_PENDING;
}
