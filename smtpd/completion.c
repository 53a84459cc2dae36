/*
 * A client at port 25 hands on what others wrote, and changing that is not ours (RFC 5321 §6.4).
 * One that submits is the author's, or claims to be: what it left out may be added, and who it is
 * has to be said where From says somebody else.
 *
 * Only the header passes here; the body, nearly all of most messages, is never copied once more.
 */
#include "smtpd/completion.h"

#include <inttypes.h>
#include <stdio.h>

enum { UNIQUE_MAX = 2 * sizeof(uint64_t) + 1 + SPOOL_ID_MAX };

static bool is_due(const struct session *session)
{
    return session->listener->service == SERVICE_SUBMISSION &&
           !session->transaction->originator.ended;
}

/* A session has many messages, but no two at one moment. Made anew for each piece, so that clients
 * who send octet by octet cost no memory. */
static struct originator_facts facts_of(const struct session *session, char unique[UNIQUE_MAX])
{
    uint64_t arrival_us = session->transaction->letter.arrival_us;
    int size = snprintf(unique, UNIQUE_MAX, "%" PRIx64 ".%s", arrival_us, session->id);
    return (struct originator_facts){
        .login = session->user,
        .hostname = session->worker->conf->hostname,
        .unique = span_of(unique, (size_t)size),
        .time_us = arrival_us,
    };
}

size_t completion_take(struct session *session, size_t grown)
{
    struct buf *message = &session->transaction->message, piece = {0};
    if (!is_due(session) || grown == 0)
        return grown;
    char unique[UNIQUE_MAX];
    struct originator_facts facts = facts_of(session, unique);
    struct span whole = buf_span(message);
    buf_add(&piece, span_skip(whole, whole.len - grown));
    buf_cut(message, grown);
    size_t before = buf_len(message);
    originator_take(&session->transaction->originator, &facts, buf_span(&piece), message);
    buf_free(&piece);
    size_t passed = buf_len(message) - before;
    session->worker->buffered += passed - grown;
    return passed;
}

bool completion_end(struct session *session)
{
    struct buf *message = &session->transaction->message;
    if (!is_due(session))
        return false;
    char unique[UNIQUE_MAX];
    struct originator_facts facts = facts_of(session, unique);
    size_t before = buf_len(message);
    originator_end(&session->transaction->originator, &facts, message);
    session->worker->buffered += buf_len(message) - before;
    return true;
}

void completion_forget(struct session *session)
{
    originator_free(&session->transaction->originator);
}
