/*
 * The commands that move no mail: RSET, VRFY, HELP, NOOP, QUIT, and those that we know only to
 * refuse them (RFC 5321 §4.1.1.5 - §4.1.1.10).
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/verbs.h"

struct reply cmd_rset(struct session *session, struct span arguments)
{
    if (arguments.len > 0)
        return answer(501, "5.5.4", "Syntax: RSET");
    session_reset(session);
    return answer(250, "2.0.0", "Ok");
}

/* RFC 5321 §3.5.3, §7.3: the same answer for everybody, so that nobody learns who lives here. */
struct reply cmd_vrfy(struct session *session, struct span arguments)
{
    (void)session;
    if (arguments.len == 0)
        return answer(501, "5.5.4", "Syntax: VRFY string");
    return answer(252, "2.1.5", "Send mail, and it will be tried");
}

/* RFC 5321 §4.1.1.8 */
struct reply cmd_help(struct session *session, struct span arguments)
{
    if (arguments.len == 0)
        return answer(214, "2.0.0", session->worker->help);
    const struct verb *verb = verb_find(arguments);
    if (verb == NULL || verb->help == NULL)
        return answer(504, "5.5.4", "No help for that");
    return answer(214, "2.0.0", verb->help);
}

/* RFC 5321 §4.1.1.9: a parameter is ignored. */
struct reply cmd_noop(struct session *session, struct span arguments)
{
    (void)session, (void)arguments;
    return answer(250, "2.0.0", "Ok");
}

/* RFC 5321 §4.1.1.10 */
struct reply cmd_quit(struct session *session, struct span arguments)
{
    if (arguments.len > 0)
        return answer(501, "5.5.4", "Syntax: QUIT");
    session_reset(session);
    session->quit = true;
    return answer_close(221, "2.0.0", "Bye");
}

struct reply cmd_unimplemented(struct session *session, struct span arguments)
{
    (void)session, (void)arguments;
    return answer(502, "5.5.1", "Command not implemented");
}

struct reply cmd_foreign(struct session *session, struct span arguments)
{
    (void)session, (void)arguments;
    return ANSWER_DROP;
}
