/*
 * The commands that move no mail: RSET, VRFY, HELP, NOOP, QUIT, and those that we know only to
 * refuse them (RFC 5321 §4.1.1.5 - §4.1.1.10).
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/verbs.h"

/* RFC 5321 §4.1.1.5: what is known of the transaction is thrown away; the name of HELO stays.
 * Without a transaction nothing happens, and the answer is the same. */
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
    /* No message was sent to its end, so none is delivered: QUIT ends a transaction as RSET
     * would. */
    session_reset(session);
    session->quit = true;
    return answer_close(221, "2.0.0", "Bye");
}

/* RFC 5321 §4.2.4: 502 is for a command that is recognized, 500 for one that is not. */
struct reply cmd_unimplemented(struct session *session, struct span arguments)
{
    (void)session, (void)arguments;
    return answer(502, "5.5.1", "Command not implemented");
}

/* A browser or a proxy that was led here sends more lines, which may be chosen by somebody else:
 * none of them must be taken for a command. */
struct reply cmd_foreign(struct session *session, struct span arguments)
{
    (void)session, (void)arguments;
    return ANSWER_DROP;
}
