/*
 * DATA (RFC 5321 §4.1.1.4): the message comes.
 *
 *     data = "DATA" CRLF
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/data.h"

/* RFC 5321 §4.1.1: DATA permits no parameters. That a recipient was accepted is asked by its row in
 * the verb table. */
struct reply cmd_data(struct session *session, struct span arguments)
{
    if (arguments.len > 0)
        return answer(501, "5.5.4", "Syntax: DATA");
    /* RFC 3030 §3: what is binary has no lines, so no dot could end it. */
    if (session->transaction->flags & RECORD_FLAG_BINARY)
        return answer(503, "5.5.1", "BODY=BINARYMIME takes BDAT");
    return data_begin(session);
}
