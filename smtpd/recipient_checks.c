/*
 * The order is that of the replies that are most of use to whoever reads them: a client that is
 * refused as such learns nothing of our users; what the operator wrote about a recipient comes
 * before "no such user"; and nothing is counted that is not taken.
 */
#include "smtpd/recipient_checks.h"

#include "smtpd/checks.h"
#include "smtpd/client_checks.h"
#include "smtpd/limits.h"

struct recipient_checks {
    struct recipient *recipient;
    struct access_check access;
    bool answered; /* by the table */
};

static void on_access(void *arg)
{
    struct recipient_checks *checks = arg;
    struct session *session = checks->recipient->session;
    checks->answered = true;
    recipients_settle(session);
    session_wake(session);
}

void recipient_checks_start(struct recipient *recipient)
{
    struct session *session = recipient->session;
    struct recipient_checks *checks = mem_new(sizeof(*checks));
    const struct checks_calls calls = {on_access, checks};
    const struct access_facts facts = {.kinds = ACCESS_ASK_RECIPIENT,
                                       .recipient = recipient->given};
    recipient->checks = checks;
    checks->recipient = recipient;
    checks->access = checks_access(session, &session->transaction_arena, &calls);
    checks->answered = access_start(&checks->access, &facts);
}

bool recipient_checks_judge(struct recipient *recipient, struct reply *reply)
{
    struct session *session = recipient->session;
    const struct recipient_checks *checks = recipient->checks;
    struct reply known = *reply;
    if (!client_checks_judge(session, reply))
        return false;
    if (!reply_is_pending(*reply))
        return true;
    if (!checks->answered)
        return false;
    *reply = checks_verdict(session, &checks->access.verdict);
    if (reply_is_pending(*reply) && known.code == 250)
        *reply = limits_rate_recipient(session);
    if (reply_is_pending(*reply))
        *reply = known;
    return true;
}

void recipient_checks_forget(struct recipient *recipient)
{
    if (recipient->checks == NULL)
        return;
    access_cancel(&recipient->checks->access);
    mem_free(recipient->checks);
    recipient->checks = NULL;
}
