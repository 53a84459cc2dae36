/*
 * The commands that move no mail: RSET, NOOP, QUIT, and those that we know only to
 * refuse them (RFC 5321 §4.1.1.5 - §4.1.1.10).
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"

/* RFC 5321 §4.1.1.5: what is known of the transaction is thrown away; the name of HELO stays.
 * Without a transaction nothing happens, and the answer is the same. */
struct reply cmd_rset(struct session *session, struct span arguments)
{
    if (arguments.len > 0)
        return answer(501, "5.5.4", "Syntax: RSET");
    session_reset(session);
    return answer(250, "2.0.0", "Ok");
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
