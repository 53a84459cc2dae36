/*
 * Why exchanges are not carried over to another auth, as questions to lookup are: half of an
 * exchange (a nonce, a salt that was drawn for it) is in the memory of the auth that died. The
 * client tries again, and costs nobody a password typed twice: programs do that by themselves.
 *
 * An exchange is taken off the table before its session hears of the end, because the session may
 * begin the next one at once.
 */
#include "smtpd/authenticate.h"

#include "util/ipc/channel.h"

bool authenticate_send(struct worker *worker, const struct ipc_type *type, const void *message)
{
    return worker->auth != NULL && channel_send(worker->auth, type, message, NULL);
}

/* ---- the table ---- */

/* Zero is no number: it is what an exchange at rest has. */
static uint32_t free_query(struct worker *worker)
{
    struct authentication *other;
    do {
        worker->last_authentication++;
        HASH_FIND(hh, worker->authentications, &worker->last_authentication,
                  sizeof(worker->last_authentication), other);
    } while (other != NULL || worker->last_authentication == 0);
    return worker->last_authentication;
}

/* To be called whenever the exchange may have come to its end. */
static void forget_if_ended(struct authentication *authentication)
{
    if (authentication->worker == NULL || authentication->exchange.state != SASL_AT_REST)
        return;
    HASH_DELETE(hh, authentication->worker->authentications, authentication);
    authentication->worker = NULL;
}

/* ---- the exchange ---- */

static bool send_for(void *arg, const struct ipc_type *type, const void *message)
{
    const struct authentication *authentication = arg;
    return authenticate_send(authentication->worker, type, message);
}

/* The last thing that is done with it: who is called may start it anew. */
static void on_answer(void *arg, struct reply reply, struct span user)
{
    struct authentication *authentication = arg;
    struct authenticate_calls calls = authentication->calls;
    forget_if_ended(authentication);
    calls.answer(calls.arg, reply, user);
}

struct reply authenticate_start(struct authentication *authentication, struct worker *worker,
                                const struct authenticate_calls *calls,
                                const struct sasl_facts *facts, struct span arguments)
{
    const struct sasl_calls exchange_calls = {send_for, on_answer, authentication};
    authentication->worker = worker;
    authentication->calls = *calls;
    authentication->query = free_query(worker);
    HASH_ADD(hh, worker->authentications, query, sizeof(authentication->query), authentication);
    struct reply reply = sasl_exchange_start(&authentication->exchange, &exchange_calls, facts,
                                             authentication->query, arguments);
    forget_if_ended(authentication);
    return reply;
}

struct reply authenticate_line(struct authentication *authentication, struct span line)
{
    struct reply reply = sasl_exchange_line(&authentication->exchange, line);
    forget_if_ended(authentication);
    return reply;
}

struct reply authenticate_line_too_long(struct authentication *authentication)
{
    struct reply reply = sasl_exchange_line_too_long(&authentication->exchange);
    forget_if_ended(authentication);
    return reply;
}

void authenticate_drop(struct authentication *authentication)
{
    if (authentication->worker == NULL)
        return;
    sasl_exchange_drop(&authentication->exchange);
    forget_if_ended(authentication);
}

/* ---- auth ---- */

/* NULL: the client is gone, or cancelled. Both messages begin with the number. */
static struct authentication *asker(const struct worker *worker, const void *message)
{
    struct authentication *authentication;
    HASH_FIND(hh, worker->authentications, message, sizeof(uint32_t), authentication);
    return authentication;
}

static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct authentication *authentication;
    (void)channel, (void)fds;

    if (type != &ipc_sasl_challenge && type != &ipc_verdict) {
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", type->name));
        return;
    }
    authentication = asker(arg, message);
    if (authentication == NULL)
        return;
    if (type == &ipc_verdict)
        sasl_exchange_verdict(&authentication->exchange, message);
    else
        sasl_exchange_challenge(&authentication->exchange, message);
}

/* No auth is there while they hear of it, so none of them can begin again by asking a dead one;
 * what begins all the same is added to the table behind those that are walked. */
static void lose_all(struct worker *worker)
{
    struct authentication *each, *following;
    HASH_ITER (hh, worker->authentications, each, following)
        sasl_exchange_lost(&each->exchange);
}

static void on_closed(void *arg, struct channel *channel)
{
    struct worker *worker = arg;
    channel_free(channel);
    worker->auth = NULL;
    lose_all(worker);
    worker_unlinked(worker, ROLE_AUTH);
}

void authenticate_connect(struct worker *worker, int fd)
{
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = worker};
    channel_free(worker->auth);
    worker->auth = NULL;
    lose_all(worker);
    worker->auth = channel_new(worker->loop, fd, &calls);
}
