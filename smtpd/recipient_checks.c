/*
 * The order is that of the replies that are most of use to whoever reads them: a client that is
 * refused as such learns nothing of our users; what the operator wrote about a recipient comes
 * before "no such user"; and nothing is counted that is not taken.
 */
#include "smtpd/recipient_checks.h"

#include "smtpd/answer.h"
#include "smtpd/checks.h"
#include "smtpd/client_checks.h"
#include "smtpd/limits.h"

/* What greylisting has to say. */
enum greylisting { GREYLIST_NOT_ASKED, GREYLIST_ASKED, GREYLIST_TAKE, GREYLIST_PUT_OFF };

struct recipient_checks {
    struct recipient *recipient;
    struct access_check access;
    bool answered; /* by the table */
    enum greylisting greylisting;
    struct greylist_ask ask;
    struct question question;
};

static void on_answered(struct recipient_checks *checks)
{
    struct session *session = checks->recipient->session;
    recipients_settle(session);
    session_wake(session);
}

/* ---- the table ---- */

static void on_access(void *arg)
{
    struct recipient_checks *checks = arg;
    checks->answered = true;
    on_answered(checks);
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

/* ---- greylisting ---- */

/* No answer in time: mail is not held up by what is to keep others away. */
static void on_greylist(struct question *question, const void *message)
{
    const struct greylist_answer *said = message;
    struct recipient_checks *checks =
        (struct recipient_checks *)((char *)question - offsetof(struct recipient_checks, question));
    bool waits = said != NULL && said->wait > 0;
    checks->greylisting = waits ? GREYLIST_PUT_OFF : GREYLIST_TAKE;
    on_answered(checks);
}

/* The one question that changes something: a letter is noted. So it is asked when all else would
 * take it. */
static void ask_greylist(struct recipient_checks *checks)
{
    struct session *session = checks->recipient->session;
    checks->greylisting = GREYLIST_ASKED;
    checks->ask = (struct greylist_ask){.client = session_client(session),
                                        .sender = session->transaction->sender,
                                        .recipient = checks->recipient->given};
    checks->question = (struct question){.questions = &session->worker->questions,
                                         .type = &ipc_greylist_ask,
                                         .answer_type = &ipc_greylist_answer,
                                         .message = &checks->ask,
                                         .answered = on_greylist};
    questions_ask(&checks->question);
}

static bool is_greylisted(const struct recipient_checks *checks)
{
    const struct session *session = checks->recipient->session;
    return session->worker->conf->greylist && !session_may_relay(session) &&
           !client_checks_are_spared(session) &&
           !(checks->access.verdict.ok & ACCESS_ASK_RECIPIENT);
}

/* False: it is being asked. RFC 6647 §5: 450 to RCPT. */
static bool judge_greylist(struct recipient_checks *checks, struct reply *reply)
{
    if (checks->greylisting == GREYLIST_NOT_ASKED && is_greylisted(checks))
        ask_greylist(checks);
    if (checks->greylisting == GREYLIST_PUT_OFF)
        *reply = answer_by("greylist", answer(450, "4.7.1", "Greylisted, try again later"));
    return checks->greylisting != GREYLIST_ASKED;
}

/* ---- the judgement ---- */

/* What is asked only of somebody who would be taken. */
static bool judge_taken(struct recipient_checks *checks, struct reply *reply)
{
    if (!judge_greylist(checks, reply))
        return false;
    if (reply_is_pending(*reply))
        *reply = limits_rate_recipient(checks->recipient->session);
    return true;
}

bool recipient_checks_judge(struct recipient *recipient, struct reply *reply)
{
    struct session *session = recipient->session;
    struct recipient_checks *checks = recipient->checks;
    struct reply known = *reply;
    if (!client_checks_judge(session, reply))
        return false;
    if (!reply_is_pending(*reply))
        return true;
    if (!checks->answered)
        return false;
    *reply = checks->access.verdict.reply;
    if (reply_is_pending(*reply) && known.code == 250 && !judge_taken(checks, reply))
        return false;
    if (reply_is_pending(*reply))
        *reply = known;
    /* Of one that is refused nothing is left, and so no reason to hold what is for others. */
    if (reply->code == 250)
        checks_hold(session, &checks->access.verdict);
    return true;
}

void recipient_checks_forget(struct recipient *recipient)
{
    if (recipient->checks == NULL)
        return;
    access_cancel(&recipient->checks->access);
    questions_cancel(&recipient->checks->question);
    mem_free(recipient->checks);
    recipient->checks = NULL;
}
