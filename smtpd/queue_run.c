/*
 * The answer comes from qmgr, because only it knows what waits; so a client can tell by the code
 * when nothing is left for it (RFC 1985 §5.1). The statuses are those of RFC 3463 §3.4: it is our
 * mail system that can or can not.
 */
#include "smtpd/queue_run.h"

#include "smtpd/answer.h"
#include "util/base/hash.h"
#include "util/ipc/channel.h"
#include "util/mail/address.h"

/* Owned by the session that asks. */
struct queue_run_wait {
    struct session *session;
    uint32_t query;
    UT_hash_handle hh; /* in worker->queue_runs */
    bool subdomains;
    uint8_t domain_len;
    char domain[ADDRESS_DOMAIN_MAX];
};

/* RFC 1985 §5.1; the node stands between the words. */
static const struct {
    uint16_t code;
    const char *enhanced, *before, *behind;
} replies[] = {
    [QUEUE_RUN_STARTED] = {250, "2.0.0", "Ok, queuing for node", " started"},
    [QUEUE_RUN_NOTHING] = {251, "2.0.0", "Ok, no messages waiting for node", ""},
    [QUEUE_RUN_PENDING] = {252, "2.0.0", "Ok, pending messages for node", " started"},
    [QUEUE_RUN_COUNTED] = {253, "2.0.0", "pending messages for node", " started"},
    [QUEUE_RUN_REFUSED] = {458, "4.3.0", "Unable to queue messages for node", ""},
};

bool queue_run_is_asked(const struct session *session)
{
    return session->queue_run != NULL;
}

void queue_run_forget(struct session *session)
{
    struct queue_run_wait *wait = session->queue_run;
    if (wait == NULL)
        return;
    HASH_DELETE(hh, session->worker->queue_runs, wait);
    mem_free(wait);
    session->queue_run = NULL;
}

static struct reply reply_of(const struct queue_run_wait *wait, enum queue_run_status status,
                             uint32_t count, struct arena *arena)
{
    struct span number =
        status == QUEUE_RUN_COUNTED ? arena_printf(arena, "Ok, %u ", count) : SPAN("");
    struct span text = arena_printf(arena, "%.*s%s %s%.*s%s", SPAN_ARG(number),
                                    replies[status].before, wait->subdomains ? "@" : "",
                                    (int)wait->domain_len, wait->domain, replies[status].behind);
    return answer(replies[status].code, replies[status].enhanced, text.data);
}

/* As with any other answer that comes from elsewhere, the session goes on in its turn. */
static void conclude(struct session *session, enum queue_run_status status, uint32_t count)
{
    struct arena arena = {0};
    answer_write(session, SPAN("ETRN"), reply_of(session->queue_run, status, count, &arena));
    arena_free(&arena);
    queue_run_forget(session);
    session->progress = true;
    session_wake(session);
}

void queue_run_give_up(struct session *session)
{
    if (queue_run_is_asked(session))
        conclude(session, QUEUE_RUN_REFUSED, 0);
}

void queue_run_answered(struct worker *worker, const struct queue_run_answer *answer)
{
    struct queue_run_wait *wait;
    HASH_FIND(hh, worker->queue_runs, &answer->query, sizeof(answer->query), wait);
    if (wait != NULL)
        conclude(wait->session, (enum queue_run_status)answer->status, answer->count);
}

void queue_run_lost(struct worker *worker)
{
    struct queue_run_wait *each, *following;
    HASH_ITER (hh, worker->queue_runs, each, following)
        conclude(each->session, QUEUE_RUN_REFUSED, 0);
}

void queue_run_begin(struct session *session, struct span domain, bool subdomains)
{
    struct worker *worker = session->worker;
    struct queue_run_wait *wait = mem_new(sizeof(*wait));
    wait->session = session;
    wait->query = worker_next_query(worker);
    wait->subdomains = subdomains;
    wait->domain_len = (uint8_t)domain.len;
    memcpy(wait->domain, domain.data, domain.len);
    const struct queue_run question = {
        .query = wait->query, .subdomains = subdomains, .domain = domain};
    session->queue_run = wait;
    HASH_ADD(hh, worker->queue_runs, query, sizeof(wait->query), wait);
    if (worker->qmgr == NULL || !channel_send(worker->qmgr, &ipc_queue_run, &question, NULL))
        conclude(session, QUEUE_RUN_REFUSED, 0);
}
