/*
 * A letter is held as a whole: who asks for it does so when the client is told that it is taken,
 * and not when the table has answered.
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

void checks_hold(struct session *session, const struct access_verdict *verdict)
{
    if (verdict->held != 0)
        session->transaction->flags |= RECORD_FLAG_HOLD;
}
