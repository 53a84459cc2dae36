/*
 * Why the octets of a refused chunk are read to their end: the client sent them together with the
 * command, and not one of them may be taken for the next command (RFC 3030 §2, "MUST accept and
 * discard"). That is the way a message could be smuggled in here, as a bare line feed is with DATA.
 *
 * What was refused stays refused until RSET or the last chunk: a client that pipelines more of them
 * gets the same answer to each.
 */
#include "smtpd/chunk.h"

#include "smtpd/answer.h"
#include "smtpd/data.h"
#include "smtpd/limits.h"

/* All that could ever be read of one message: behind it closing is cheaper than reading on. */
static bool is_far_too_big(const struct session *session, uint64_t size)
{
    uint64_t most = session->worker->conf->limits.message_size * DATA_SIZE_FACTOR;
    uint64_t before = session->transaction != NULL ? session->transaction->size : 0;
    return size > most || before > most - size;
}

/* The answer to a chunk that came whole. The last one is answered by the disk. */
static void end_chunk(struct session *session)
{
    struct chunk *chunk = &session->chunk;
    chunk->open = false;
    if (!reply_is_pending(chunk->refusal)) {
        answer_write(session, SPAN("BDAT"), chunk->refusal);
    } else if (chunk->last) {
        data_end(session);
    } else {
        struct reply verdict = session->transaction->verdict;
        bool good = reply_is_pending(verdict);
        /* RFC 3030 §2: 250 for each chunk. */
        answer_write(session, SPAN("BDAT"),
                     good ? answer(250, "2.0.0", "Chunk received") : verdict);
    }
}

/* A chunk without octets is over at once: no input would ever end it. */
static struct reply open_chunk(struct session *session, struct chunk chunk)
{
    session->chunk = chunk;
    session->chunk.open = true;
    session->chunk.started = loop_now(session->worker->loop);
    if (chunk.left == 0)
        end_chunk(session);
    return REPLY_PENDING;
}

/* The message begins with its first chunk; what is in its way refuses all of it. */
static void begin_message(struct session *session)
{
    if (session->state == SESSION_CHUNKS)
        return;
    struct reply refusal = data_open(session);
    session->state = SESSION_CHUNKS;
    if (!reply_is_pending(refusal))
        data_refuse(session, refusal);
}

/* Of a swallowed chunk nothing else counts the octets. One that is missing in the midst of a
 * message refuses what comes behind it: the rest must not pass for the whole. */
struct reply chunk_refuse(struct session *session, uint64_t size, struct reply refusal)
{
    if (is_far_too_big(session, size)) {
        refusal.close = true;
        return refusal;
    }
    if (session->state == SESSION_RCPT || session->state == SESSION_CHUNKS) {
        begin_message(session);
        data_refuse(session, refusal);
    }
    return open_chunk(session, (struct chunk){.size = size, .left = size, .refusal = refusal});
}

/* A chunk that adds nothing brings the message no nearer. */
struct reply chunk_begin(struct session *session, uint64_t size, bool last)
{
    if (is_far_too_big(session, size))
        return answer_by("message_size", answer_close(552, "5.3.4", "Message is too big"));
    begin_message(session);
    if (size == 0 && !last)
        limits_count_junk(session);
    return open_chunk(session, (struct chunk){.last = last, .size = size, .left = size});
}

/* No client has to be listened to for ever, least of all for nothing. */
static void discard(struct session *session)
{
    const struct chunk *chunk = &session->chunk;
    session->progress = true;
    if (limits_is_slow(session, chunk->started, chunk->size - chunk->left))
        answer_write(session, SPAN("BDAT"),
                     answer_by("minimum_data_rate",
                               answer_close(421, "4.4.2", "The chunk comes too slowly")));
}

/* A message that is far too big, or too slow, closes the session amid the chunk. */
void chunk_input(struct session *session, struct span *input)
{
    struct chunk *chunk = &session->chunk;
    size_t most = chunk->left < input->len ? (size_t)chunk->left : input->len;
    struct span octets = span_first(*input, most);
    *input = span_skip(*input, octets.len);
    chunk->left -= octets.len;
    if (reply_is_pending(chunk->refusal))
        data_take(session, octets);
    else
        discard(session);
    if (chunk->left == 0 && session->end == SESSION_OPEN)
        end_chunk(session);
}
