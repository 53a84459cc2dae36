/*
 * Why the verdict is waited for: a right password is no failure, and whose account was guessed at
 * is known to auth alone. One that there is no room for has failed, of a name that nobody knows.
 */
#include "pop3d/left.h"

#include "pop3d/worker.h"

/* What session_rate_client gives, with its own copies of the texts. */
struct left_login {
    LIST_ENTRY(left_login) link;
    const struct channel *channel; /* whom; only compared */
    uint32_t query;
    struct rate_client client;
    char session[BASE32_U64_MAX + 1];
    char address[NET_TEXT_MAX];
};

static void left_free(struct worker *worker, struct left_login *left)
{
    LIST_REMOVE(left, link);
    worker->left_count--;
    mem_free(left);
}

void left_note(const struct session *session)
{
    struct worker *worker = session->worker;
    struct rate_client client = session_rate_client(session);
    if (worker->left_count >= LEFT_MOST) {
        rate_limits_login_failed(&client, SPAN(""));
        return;
    }
    struct left_login *left = mem_new(sizeof(*left));
    memcpy(left->session, session->number, sizeof(left->session));
    memcpy(left->address, session->client, sizeof(left->address));
    client.session = span_cstr(left->session);
    client.client = span_cstr(left->address);
    left->client = client;
    left->channel = session->request.channel;
    left->query = session->request.query;
    LIST_INSERT_HEAD(&worker->left, left, link);
    worker->left_count++;
}

/* Few have left; those that auth answers first came first, and are at the end. */
void left_answered(struct worker *worker, const struct channel *channel,
                   const struct verdict *verdict)
{
    struct left_login *left;
    LIST_FOREACH (left, &worker->left, link)
        if (left->query == verdict->query && left->channel == channel)
            break;
    if (left == NULL)
        return;
    if (verdict->status == VERIFY_FAILED)
        rate_limits_login_failed(&left->client, verdict->user);
    left_free(worker, left);
}

void left_forget(struct worker *worker, const struct channel *channel)
{
    struct left_login *left, *following;
    LIST_FOREACH_SAFE (left, &worker->left, link, following)
        if (channel == NULL || left->channel == channel)
            left_free(worker, left);
}
