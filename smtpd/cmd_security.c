/*
 * STARTTLS (RFC 3207) and AUTH (RFC 4954). The rows of the verb table say when they are allowed;
 * what happens behind the reply is in secure.c and login.c.
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/login.h"

/* RFC 3207 §4: the command has no parameter. The reply is the last octet in the clear. */
struct reply cmd_starttls(struct session *session, struct span arguments)
{
    if (arguments.len > 0)
        return answer(501, "5.5.4", "Syntax: STARTTLS");
    session->channel = CHANNEL_TURNING;
    return answer(220, "2.0.0", "Go ahead");
}

/* RFC 4954 §4: a mechanism, and perhaps the first answer with it. */
struct reply cmd_auth(struct session *session, struct span arguments)
{
    if (arguments.len == 0)
        return answer(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
    return login_begin(session, arguments);
}
