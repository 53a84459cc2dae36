/*
 * The message is decoded into one buffer and stays there until it is on the disk, if it is small;
 * one that outgrows the buffer, or that all sessions together have no room for, is streamed into a
 * segment of its own. When none is in store, the client waits: qmgr gives one
 * within milliseconds, and nothing is worse than to refuse a message that we could take.
 *
 * A message that will be refused is still read to its end, because the client listens only then;
 * but nothing of it is kept, and one that is twice as long as allowed ends the session. A bare CR
 * or LF ends it at once: what follows can not be told from commands that somebody hid in a message.
 */
#include "smtpd/data.h"

#include "smtpd/answer.h"
#include "smtpd/completion.h"
#include "smtpd/limits.h"
#include "smtpd/secure.h"
#include "util/base/clock.h"
#include "util/base/log.h"
#include "util/base/panic.h"
#include "util/mail/header.h"
#include "util/mail/received.h"

/* ---- what a message holds ---- */

/* Notes that nothing more is read until there is room, or that there is. Who waits already keeps
 * its place. */
static void starve(struct session *session, bool starved)
{
    if (starved && !session->starved)
        TAILQ_INSERT_TAIL(&session->worker->starved, session, starved_entry);
    else if (!starved && session->starved)
        TAILQ_REMOVE(&session->worker->starved, session, starved_entry);
    session->starved = starved;
}

/* All of them are woken, who waits longest first, and that one takes what there is: who finds
 * nothing left goes on waiting. */
void data_room_came(struct worker *worker)
{
    struct session *session;
    TAILQ_FOREACH (session, &worker->starved, starved_entry)
        session_wake(session);
}

/* What all sessions of the worker may hold. */
static bool budget_is_spent(const struct worker *worker)
{
    return worker->buffered > worker->conf->limits.buffer_budget;
}

/* The worker's sum and the buffer change together: all sessions share one budget, and others may
 * wait for a part of it. */
static void give_back_buffer(struct session *session)
{
    struct worker *worker = session->worker;
    bool was_spent = budget_is_spent(worker);
    worker->buffered -= buf_len(&session->transaction->message);
    buf_free(&session->transaction->message);
    if (was_spent && !budget_is_spent(worker))
        data_room_came(worker);
}

/* The segment is a spare again: somebody else may wait for it. */
static void abort_stream(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (transaction->stream == NULL)
        return;
    spool_stream_abort(transaction->stream);
    transaction->stream = NULL;
    data_room_came(session->worker);
}

/* Never while the letter is being committed: the writer still reads these buffers then. */
void data_forget(struct session *session)
{
    struct transaction *transaction = session->transaction;
    starve(session, false);
    give_back_buffer(session);
    abort_stream(session);
    completion_forget(session);
    buf_free(&transaction->envelope);
    buf_free(&transaction->trace);
}

/* ---- the letter ---- */

/* What "with" says in the trace field. RFC 3848: by EHLO, under TLS, authenticated; RFC 6531 §4.3:
 * as SMTPUTF8; HELO knows nothing of the rest. */
static struct span protocol(const struct session *session)
{
    static const struct span words[2][2][2][2] = {
        {{{SPAN_INIT("ESMTP"), SPAN_INIT("ESMTPA")}, {SPAN_INIT("ESMTPS"), SPAN_INIT("ESMTPSA")}},
         {{SPAN_INIT("LMTP"), SPAN_INIT("LMTPA")}, {SPAN_INIT("LMTPS"), SPAN_INIT("LMTPSA")}}},
        {{{SPAN_INIT("UTF8SMTP"), SPAN_INIT("UTF8SMTPA")},
          {SPAN_INIT("UTF8SMTPS"), SPAN_INIT("UTF8SMTPSA")}},
         {{SPAN_INIT("UTF8LMTP"), SPAN_INIT("UTF8LMTPA")},
          {SPAN_INIT("UTF8LMTPS"), SPAN_INIT("UTF8LMTPSA")}}}};
    bool wide = (session->transaction->flags & RECORD_FLAG_UTF8) != 0;
    if (!session->extended && !wide)
        return SPAN("SMTP");
    bool lmtp = session->listener->service == SERVICE_LMTP;
    return words[wide][lmtp][session->channel == CHANNEL_SECURE][session->user.len > 0];
}

/* The one recipient, as the client named it; several are nobody's business (RFC 5321 §7.2). */
static struct span only_recipient(const struct transaction *transaction)
{
    if (transaction->final_count != 1)
        return SPAN("");
    const struct envelope_recipient *only = &transaction->finals[0];
    return only->original.len > 0 ? only->original : only->address;
}

/* RFC 5321 §4.4: our trace field goes before everything else. */
static struct span on_trace(void *arg, uint64_t id)
{
    struct session *session = arg;
    struct transaction *transaction = session->transaction;
    char text[SPOOL_ID_MAX];
    const struct received facts = {
        .helo = session->helo,
        .client_name = session->client_name,
        .client_address = session_client(session),
        .local_user = session->local ? session_client(session) : SPAN(""),
        .by = session->worker->conf->hostname,
        .protocol = protocol(session),
        .tls = secure_text(session),
        .id = spool_id_text(id, text),
        .recipient = only_recipient(transaction),
        .time_us = transaction->letter.arrival_us,
    };
    /* The writer borrows it until the letter is stored or given up. */
    buf_reset(&transaction->trace);
    received_write(&transaction->trace, &facts);
    return buf_span(&transaction->trace);
}

/* The one line that every message costs. */
static void log_accepted(const struct session *session, struct span id)
{
    const struct transaction *transaction = session->transaction;
    log_event(LOG_INFO, "message-accepted", LOG_SPAN("session", session_id(session)),
              LOG_SPAN("id", id), LOG_SPAN("from", transaction->sender),
              LOG_UINT("size", transaction->size), LOG_UINT("recipients", transaction->final_count),
              LOG_SPAN("client", session_client(session)), LOG_SPAN("name", session->client_name),
              LOG_SPAN("helo", session->helo), LOG_SPAN("user", session->user));
}

/* RFC 5321 §6.1: with this reply the message is ours to deliver or to report on. */
static struct reply accepted(struct session *session, uint64_t id)
{
    char text[SPOOL_ID_MAX];
    struct span id_text = spool_id_text(id, text);
    log_accepted(session, id_text);
    page_add(session->worker->page, PAGE_MESSAGES_IN, 1);
    /* A message excuses the junk before it: only commands that lead to none are held against a
     * client. */
    session->junk = 0;
    struct span words =
        arena_printf(&session->transaction_arena, "Ok: queued as %.*s", SPAN_ARG(id_text));
    return answer(250, "2.0.0", words.data);
}

/* A full disk is told apart from a broken one: senders treat both the same, operators do not. */
static struct reply reply_of(enum spool_result result)
{
    if (result == SPOOL_IO)
        return answer(451, "4.3.0", "The message could not be stored, try again later");
    return answer_by("free_space_percent",
                     answer(452, "4.3.1", "No space to store the message, try again later"));
}

/* RFC 2033 §4.2: in LMTP each recipient that was accepted has its own reply; here all of them
 * share one fate, because the letter is stored or it is not. */
static size_t replies_due(const struct session *session)
{
    return session->listener->service == SERVICE_LMTP ? session->transaction->accepted : 1;
}

/* The message is answered; nothing of it stays. */
static void conclude(struct session *session, struct reply reply)
{
    answer_times(session, session->transaction->sender, reply, replies_due(session));
    session_reset(session);
}

/* The disk has spoken. A client that left meanwhile gets no reply, but its message stays. */
static void on_done(void *arg, enum spool_result result, uint64_t id)
{
    struct session *session = arg;
    struct reply reply = result == SPOOL_OK ? accepted(session, id) : reply_of(result);
    /* The writer needs the letter no more: a session whose client left may be freed now. */
    session->state = SESSION_DATA;
    conclude(session, reply);
    session_wake(session);
}

/* The recipients are final from here on; what lookup says later does not touch them. */
static bool encode_envelope(struct session *session)
{
    struct transaction *transaction = session->transaction;
    const struct envelope envelope = {
        .sender = transaction->sender,
        .client_address = session_client(session),
        .client_name = session->client_name,
        .helo = session->helo,
        .protocol = protocol(session),
        .login = session->user,
        .submitter = transaction->submitter,
        .envid = transaction->envid,
        .ret = transaction->ret,
        .recipients = transaction->finals,
        .recipient_count = transaction->final_count,
    };
    return envelope_encode(&envelope, &transaction->envelope);
}

/* All that the writer needs is ready before the first octet, so that a message may be streamed. An
 * envelope that is refused although every recipient was accepted is our trouble: 4yz. */
struct reply data_open(struct session *session)
{
    struct transaction *transaction = session->transaction;
    transaction->started = loop_now(session->worker->loop);
    if (!encode_envelope(session))
        return answer(452, "4.3.0", "The envelope can not be stored, try again later");
    transaction->letter = (struct letter){
        .envelope = buf_span(&transaction->envelope),
        .arrival_us = clock_wall_us(),
        .recipients = (uint32_t)transaction->final_count,
        .flags = transaction->flags,
        .trace = on_trace,
        .done = on_done,
        .arg = session,
    };
    return REPLY_PENDING;
}

/* RFC 5321 §4.1.1.4: the one intermediate reply of SMTP. */
struct reply data_begin(struct session *session)
{
    struct reply refusal = data_open(session);
    return reply_is_pending(refusal) ? answer(354, NULL, "End data with <CR><LF>.<CR><LF>")
                                     : refusal;
}

/* ---- the octets ---- */

/* It will be refused, whatever still comes of it. */
static void decide(struct session *session, struct reply verdict)
{
    session->transaction->verdict = verdict;
    abort_stream(session);
}

/* The octets are copied or stored when it returns: place() empties the buffer behind it. */
static void write_stream(struct session *session)
{
    struct transaction *transaction = session->transaction;
    enum spool_result result =
        spool_stream_write(transaction->stream, buf_span(&transaction->message));
    if (result != SPOOL_OK)
        decide(session, reply_of(result));
}

/* What the session may not hold itself goes to the disk right away, if there is a place for it. */
static void spill(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (transaction->stream == NULL)
        transaction->stream = spool_stream_open(session->worker->writer, &transaction->letter);
    if (transaction->stream != NULL)
        write_stream(session);
}

/* Two limits, in octets: that of one session, and what all sessions of the worker may hold. */
static bool holds_too_much(const struct session *session)
{
    const struct conf_limits *limits = &session->worker->conf->limits;
    return buf_len(&session->transaction->message) > limits->session_buffer ||
           budget_is_spent(session->worker);
}

/* Where the octets go that were decoded: they stay, they leave, or nobody wants them. */
static void place(struct session *session)
{
    struct transaction *transaction = session->transaction;
    bool leaves = transaction->stream != NULL || holds_too_much(session);
    if (reply_is_pending(transaction->verdict) && leaves)
        spill(session);
    /* Asked again: spill() may have found a segment, or a reason to refuse. */
    bool gone = transaction->stream != NULL || !reply_is_pending(transaction->verdict);
    if (gone)
        give_back_buffer(session);
    starve(session, leaves && !gone);
}

/* A segment may be there now, or the others may have left room in the budget. */
void data_resume(struct session *session)
{
    place(session);
}

/* The last look: others that gave up in this very turn may have left room. The rest is read
 * nevertheless, like that of any message that is refused. */
void data_give_up(struct session *session)
{
    place(session);
    if (!session->starved)
        return;
    decide(session, reply_of(SPOOL_NO_SEGMENT));
    place(session);
}

/* The hops are counted as they come: where the octets go next is not ours to know (RFC 5321
 * §6.3). */
static void judge(struct session *session, struct span decoded)
{
    struct transaction *transaction = session->transaction;
    const struct conf_limits *limits = &session->worker->conf->limits;
    if (!transaction->header.ended)
        header_scan(&transaction->header, decoded, limits->header_size);
    if (transaction->size > limits->message_size)
        decide(session, answer_by("message_size", answer(552, "5.3.4", "Message is too big")));
    else if (transaction->header.received > limits->received_hops)
        decide(session,
               answer_by("received_hops", answer(554, "5.4.6", "Too many hops: mail loop")));
}

/* Some octets were decoded, to the end of the buffer: limits, and where they go. */
static void account(struct session *session, size_t grown)
{
    struct transaction *transaction = session->transaction;
    size_t passed = completion_take(session, grown);
    struct span held = buf_span(&transaction->message);
    if (reply_is_pending(transaction->verdict))
        judge(session, span_skip(held, held.len - passed));
    place(session);
}

/* RFC 5321 §4.1.1.4: the end of the data; from here on the message is ours or refused. One that
 * would still wait for a segment of its own is here in full: it goes where small ones go. */
static void finish(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (completion_end(session))
        place(session);
    starve(session, false);
    if (!reply_is_pending(transaction->verdict)) {
        conclude(session, transaction->verdict);
        return;
    }
    /* Set before the writer is called: from here on the transaction belongs to the letter as
     * well. */
    session->state = SESSION_COMMIT;
    if (transaction->stream != NULL) {
        spool_stream_commit(transaction->stream);
        transaction->stream = NULL;
        return;
    }
    transaction->letter.body = buf_span(&transaction->message);
    spool_writer_submit(session->worker->writer, &transaction->letter);
}

/* Of a message that is refused or too slow, no more is read than this. */
static bool must_stop(struct session *session)
{
    struct transaction *transaction = session->transaction;
    struct reply last = transaction->verdict;
    if (limits_is_slow(session, transaction->started, transaction->size))
        last = answer_by("minimum_data_rate", answer(421, "4.4.2", "The message comes too slowly"));
    else if (transaction->size <= session->worker->conf->limits.message_size * DATA_SIZE_FACTOR)
        return false;
    /* The client is amid its message and hears no reply before the end: closing is all that is
     * left. */
    last.close = true;
    conclude(session, last);
    return true;
}

/* Octets of the message stand at the end of the buffer now. */
static void grow(struct session *session, size_t grown)
{
    session->transaction->size += grown;
    session->worker->buffered += grown;
    session->progress = true;
}

/* The buffer is made as large as the input at once: decoding only makes it shorter. */
void data_input(struct session *session, struct span *input)
{
    struct transaction *transaction = session->transaction;
    size_t before = buf_len(&transaction->message), used;
    require(buf_room(&transaction->message, input->len) != NULL);
    enum dot_result result =
        dot_decode(&transaction->decoder, *input, &transaction->message, &used);
    size_t grown = buf_len(&transaction->message) - before;
    /* What is behind the final dot stays in the input: it is the next command (RFC 2920 §3.1). */
    *input = span_skip(*input, used);
    grow(session, grown);

    /* RFC 5321 §2.3.8: CR and LF come together or not at all. */
    if (result == DOT_BARE) {
        conclude(session, answer_close(550, "5.6.0", "Bare CR or LF in the message"));
        return;
    }
    account(session, grown);
    if (result == DOT_END)
        finish(session);
    else
        (void)must_stop(session);
}

/* ---- by BDAT ---- */

void data_refuse(struct session *session, struct reply reply)
{
    if (reply_is_pending(session->transaction->verdict))
        decide(session, reply);
}

/* Where a chunk ends is known whatever it holds, so nothing has to be closed (RFC 3030 §2). */
static void refuse_bare(struct session *session)
{
    data_refuse(session, answer(550, "5.6.0", "Bare CR or LF in the message"));
}

/* Only binary MIME may hold a CR or LF of its own (RFC 3030 §3). */
void data_take(struct session *session, struct span octets)
{
    struct transaction *transaction = session->transaction;
    bool is_text = (transaction->flags & RECORD_FLAG_BINARY) == 0;
    if (is_text && !line_ends_add(&transaction->line_ends, octets))
        refuse_bare(session);
    buf_add(&transaction->message, octets);
    grow(session, octets.len);
    account(session, octets.len);
    (void)must_stop(session);
}

/* A text whose last line has no end gets one, as whoever sends it on would give it. */
void data_end(struct session *session)
{
    struct transaction *transaction = session->transaction;
    struct span missing = SPAN("");
    if ((transaction->flags & RECORD_FLAG_BINARY) == 0 &&
        !line_ends_complete(&transaction->line_ends, &missing))
        refuse_bare(session);
    if (missing.len > 0) {
        buf_add(&transaction->message, missing);
        grow(session, missing.len);
        account(session, missing.len);
    }
    finish(session);
}
