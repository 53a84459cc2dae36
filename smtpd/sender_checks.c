/*
 * Each check is a step: it is started, and it is judged when its answer is there, which may be at
 * once. So the order stands in one table, and there is one way through it, whoever was waited for.
 *
 * An OK of the table `access` spares a sender the question for its domain and nothing else: anybody
 * may write any sender.
 */
#include "smtpd/sender_checks.h"

#include "smtpd/answer.h"
#include "smtpd/checks.h"
#include "smtpd/limits.h"
#include "smtpd/sender_domain.h"
#include "smtpd/sender_right.h"

struct sender_checks {
    struct session *session;
    struct address sender; /* empty: the null reverse-path */
    size_t step;
    bool started; /* the step at hand */
    struct sender_right right;
    struct access_check access;
    struct sender_domain domain;
};

static void on_done(void *arg);

static bool is_null(const struct sender_checks *checks)
{
    return checks->sender.domain_len == 0 && checks->sender.local_len == 0;
}

/* ---- how often ---- */

static bool start_rate(struct sender_checks *checks)
{
    (void)checks;
    return true;
}

static struct reply judge_rate(struct sender_checks *checks)
{
    return limits_rate_message(checks->session);
}

/* ---- the right of a login ---- */

/* RFC 5321 §4.5.5: the null reverse-path is nobody's. */
static bool start_right(struct sender_checks *checks)
{
    struct session *session = checks->session;
    checks->right = (struct sender_right){.questions = &session->worker->questions,
                                          .conf = session->worker->conf,
                                          .session = session_id(session),
                                          .done = on_done,
                                          .arg = checks,
                                          .reply = REPLY_PENDING};
    if (session->user.len == 0 || is_null(checks))
        return true;
    return sender_right_start(&checks->right, session->user, &checks->sender);
}

static struct reply judge_right(struct sender_checks *checks)
{
    return checks->right.reply;
}

/* ---- the table ---- */

static bool start_access(struct sender_checks *checks)
{
    const struct session *session = checks->session;
    const struct checks_calls calls = {on_done, checks};
    const struct access_facts facts = {.kinds = ACCESS_ASK_SENDER,
                                       .sender = session->transaction->sender};
    checks->access = checks_access(session, &checks->session->transaction_arena, &calls);
    return access_start(&checks->access, &facts);
}

static struct reply judge_access(struct sender_checks *checks)
{
    checks_hold(checks->session, &checks->access.verdict);
    return checks->access.verdict.reply;
}

/* ---- the domain ---- */

/* Our own domains need not be in the DNS that we ask; an address literal is in none. */
static bool has_domain_to_ask(const struct sender_checks *checks)
{
    const struct conf *conf = checks->session->worker->conf;
    struct span domain = address_domain(&checks->sender);
    return domain.len > 0 && !span_has_prefix(domain, SPAN("[")) &&
           !conf_has_domain(&conf->domains, domain) &&
           !conf_has_domain(&conf->relay_domains, domain);
}

static bool start_domain(struct sender_checks *checks)
{
    const struct session *session = checks->session;
    struct dns *dns = session->worker->dns;
    bool spared = checks->access.verdict.ok & ACCESS_ASK_SENDER || session_may_relay(session);
    if (dns == NULL || !session->worker->conf->sender_domain_required || spared ||
        !has_domain_to_ask(checks))
        return true;
    sender_domain_init(&checks->domain, dns, on_done, checks);
    sender_domain_start(&checks->domain, address_domain(&checks->sender));
    return false;
}

/* Without a question the result is SENDER_DOMAIN_GOOD, which is zero. */
static struct reply judge_domain(struct sender_checks *checks)
{
    enum sender_domain_result result = checks->domain.result;
    if (result == SENDER_DOMAIN_GOOD)
        return REPLY_PENDING;
    return sender_domain_reply(result);
}

/* ---- one after the other ---- */

static const struct {
    bool (*start)(struct sender_checks *checks);         /* true: there is nothing to wait for */
    struct reply (*judge)(struct sender_checks *checks); /* pending: nothing against it */
} steps[] = {
    {start_right, judge_right},
    {start_access, judge_access},
    {start_domain, judge_domain},
    {start_rate, judge_rate},
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

/* Pending: an answer is waited for. */
static struct reply go_on(struct sender_checks *checks)
{
    for (; checks->step < STEPS; checks->step++) {
        if (!checks->started) {
            checks->started = true;
            if (!steps[checks->step].start(checks))
                return REPLY_PENDING;
        }
        struct reply reply = steps[checks->step].judge(checks);
        if (!reply_is_pending(reply))
            return reply;
        checks->started = false;
    }
    return answer(250, "2.1.0", "Ok");
}

/* The text of a refusal lives in the arena of the transaction: so that ends behind it. */
static void conclude(struct session *session, struct reply reply)
{
    session->transaction->checks = NULL;
    if (reply.code == 250)
        session->state = SESSION_MAIL;
    answer_write(session, session->transaction->sender, reply);
    if (reply.code != 250)
        session_reset(session);
}

static void on_done(void *arg)
{
    struct sender_checks *checks = arg;
    struct session *session = checks->session;
    struct reply reply = go_on(checks);
    if (reply_is_pending(reply))
        return;
    conclude(session, reply);
    session->progress = true;
    session_wake(session);
}

void sender_checks_begin(struct session *session, const struct address *sender)
{
    struct transaction *transaction = session->transaction;
    struct sender_checks *checks = arena_zalloc(&session->transaction_arena, sizeof(*checks));
    checks->session = session;
    checks->sender = *sender;
    transaction->checks = checks;
    struct reply reply = go_on(checks);
    if (!reply_is_pending(reply))
        conclude(session, reply);
}

bool sender_checks_are_asked(const struct session *session)
{
    return session->transaction != NULL && session->transaction->checks != NULL;
}

void sender_checks_give_up(struct session *session)
{
    if (!sender_checks_are_asked(session))
        return;
    sender_checks_forget(session);
    conclude(session, answer(451, "4.4.3", "The sender can not be checked now"));
}

void sender_checks_forget(struct session *session)
{
    struct sender_checks *checks = session->transaction->checks;
    session->transaction->checks = NULL;
    if (checks == NULL)
        return;
    sender_right_cancel(&checks->right);
    access_cancel(&checks->access);
    sender_domain_cancel(&checks->domain);
}
