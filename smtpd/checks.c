/*
 * A verdict is looked at where the reply is about to be written, and not where it comes in: several
 * recipients may be under way, and the cause belongs to the reply that is written next.
 */
#include "smtpd/checks.h"

struct access_check checks_access(const struct session *session, struct arena *arena,
                                  const struct checks_calls *calls)
{
    return (struct access_check){
        .desk = &session->worker->access,
        .arena = arena,
        .session = session_id(session),
        .epoch = worker_epoch(session->worker),
        .done = calls->done,
        .arg = calls->arg,
    };
}

struct reply checks_verdict(struct session *session, const struct access_verdict *verdict)
{
    if (verdict->held != 0)
        session->transaction->flags |= RECORD_FLAG_HOLD;
    return verdict->reply;
}
