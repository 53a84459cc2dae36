/*
 * A client that pipelines fifty RCPTs gets its fifty answers after one trip to lookup and back, not
 * after fifty: the questions are sent as the commands are read, and a list keeps the order of the
 * replies (RFC 2920 §3.2: "MUST [...] in the same order").
 *
 * A question survives the process that was asked: when lookup dies, what waits is asked again at
 * the next one, and only after 30 seconds the client is told to come back (451).
 *
 * A transaction costs memory for each recipient that was asked about, and a reply that puts one off
 * (4yz) is no error of the client: so their number is bounded, and they share two lines of the log.
 */
#include "smtpd/recipients.h"

#include "smtpd/answer.h"
#include "smtpd/inquiry.h"
#include "smtpd/known.h"
#include "smtpd/limits.h"
#include "smtpd/recipient_checks.h"

enum {
    FIRST_ROOM = 4,
    /* RCPTs of a transaction that are put off before the session is closed. Few clients send more
     * than some hundreds at once; these get the 452 for each that is too many, as RFC 5321
     * §4.5.3.1.10 wants it. */
    PUT_OFF_MOST = 1000,
    /* What recipients may take of an envelope; the rest has its bounds elsewhere, far below. */
    FINAL_OCTETS_MOST = SPOOL_ENVELOPE_MAX - 16384
};

_Static_assert(CONF_RECIPIENTS_MOST <= (int)ENVELOPE_RECIPIENTS_MAX,
               "whatever is accepted at RCPT finds room in an envelope");

/* 4yz although it is a limit: the client sends the rest in another transaction. */
static struct reply too_many(void)
{
    /* RFC 5321 §4.5.3.1.10 */
    return answer_by("recipients", answer(452, "4.5.3", "Too many recipients"));
}

/* A list that is too long for any transaction: 452 would have the client try for days what can not
 * succeed. RFC 3463 §3.3: X.2.4 is a list that could not be expanded, permanently; X.5.3 tells the
 * client to divide the message, and this can not be divided. The settings may contradict each other
 * (alias_expansion above recipients) without any list being too long, so only here it is known. */
static struct reply too_long(void)
{
    return answer_by("alias_expansion", answer(550, "5.2.4", "Alias has too many recipients"));
}

/* Nothing is known about the recipient, so nothing final is said. */
static struct reply no_lookup(void)
{
    return answer(451, "4.3.0", "Temporary lookup failure");
}

/* ---- the final recipients ---- */

/* The lists grow in the arena: what they leave behind goes with the transaction. */
static void append(struct arena *arena, struct envelope_recipient **list, size_t *count,
                   size_t *room, struct envelope_recipient final)
{
    if (*count == *room) {
        size_t larger = *room == 0 ? FIRST_ROOM : *room * 2;
        struct envelope_recipient *copy = arena_alloc(arena, larger * sizeof(*copy));
        if (*count > 0)
            memcpy(copy, *list, *count * sizeof(*copy));
        *list = copy;
        *room = larger;
    }
    (*list)[(*count)++] = final;
}

/* One mailbox, one delivery, however often and under however many names it was given. Only the
 * first `count` are looked at: those of one answer of lookup are different. */
static bool is_taken(const struct transaction *transaction, size_t count,
                     const struct envelope_recipient *final)
{
    bool ours = span_equal(final->transport, SPAN("local"));
    for (size_t i = 0; i < count; i++)
        if (address_is_same(transaction->finals[i].address, final->address, ours) &&
            span_equal(transaction->finals[i].nexthop, final->nexthop))
            return true;
    return false;
}

/* One more, if the limit of the settings and the size of an envelope allow it. */
static bool take_final(struct session *session, const struct envelope_recipient *final)
{
    struct transaction *transaction = session->transaction;
    size_t octets = envelope_recipient_size(final);
    if (transaction->final_count >= session->worker->conf->limits.recipients ||
        transaction->final_octets + octets > FINAL_OCTETS_MOST)
        return false;
    append(&session->transaction_arena, &transaction->finals, &transaction->final_count,
           &transaction->final_room, *final);
    transaction->final_octets += octets;
    return true;
}

/* All final recipients of one RCPT, or none: a refused one leaves nothing behind. The reply to it
 * depends on whether another transaction would have room. */
static struct reply take_finals(struct session *session, const struct recipient *recipient)
{
    struct transaction *transaction = session->transaction;
    size_t count = transaction->final_count, octets = transaction->final_octets;
    for (size_t i = 0; i < recipient->final_count; i++) {
        if (is_taken(transaction, count, &recipient->finals[i]) ||
            take_final(session, &recipient->finals[i]))
            continue;
        /* Those of this RCPT are at the end of the list: to cut it takes them all back. */
        transaction->final_count = count;
        transaction->final_octets = octets;
        return count == 0 ? too_long() : too_many();
    }
    return recipient->reply;
}

/* ---- the replies, in order ---- */

/* Counted, and the last word when there are too many. Only the first is logged by itself. */
static void put_off(struct session *session, struct span subject, struct reply reply)
{
    size_t count = ++session->transaction->put_off;
    if (count > PUT_OFF_MOST)
        reply = answer_by("recipients",
                          answer_close(421, "4.5.3", "Too many recipients, far too many"));
    if (count == 1 || reply.close)
        answer_write(session, subject, reply);
    else
        answer_unlogged(session, reply);
}

/* RCPT is the one command whose next state depends on an answer from elsewhere. */
static void answer_one(struct session *session, struct span subject, struct reply reply)
{
    if (reply.code == 250) {
        session->transaction->accepted++;
        session->state = SESSION_RCPT;
        page_add(session->worker->page, PAGE_RECIPIENTS_IN, 1);
    } else if (session->state == SESSION_MAIL) {
        /* One accepted recipient is enough for DATA: a refusal behind it leaves SESSION_RCPT as it
         * is. */
        session->state = SESSION_REFUSED;
    }
    if (reply.code >= 400 && reply.code < 500)
        put_off(session, subject, reply);
    else
        answer_write(session, subject, reply);
}

/* Off the list before it is answered: a reply that is written is not waited for. */
static void answer_first(struct session *session, struct reply reply)
{
    struct transaction *transaction = session->transaction;
    struct recipient *recipient = transaction->waiting;
    transaction->waiting = recipient->next;
    transaction->waiting_count--;
    if (transaction->waiting == NULL)
        transaction->waiting_end = &transaction->waiting;
    recipient_checks_forget(recipient);
    recipient->reply = reply;
    if (reply.code == 250)
        recipient->reply = take_finals(session, recipient);
    answer_one(session, recipient->given, recipient->reply);
}

/* Answers from the head of the list on, up to the first that still waits for something. A reply may
 * be the last one, and end the transaction. */
void recipients_settle(struct session *session)
{
    while (session->transaction != NULL && session->transaction->waiting != NULL) {
        struct recipient *recipient = session->transaction->waiting;
        /* The one that it is like stood before it, so that is answered. */
        struct reply reply = recipient->like != NULL ? recipient->like->reply : recipient->reply;
        if (reply_is_pending(reply))
            return;
        if (recipient->checks != NULL && !recipient_checks_judge(recipient, &reply))
            return;
        answer_first(session, reply);
    }
}

/* To the end of the list; nothing is asked yet. */
static struct recipient *add(struct session *session, struct span given)
{
    struct transaction *transaction = session->transaction;
    struct recipient *recipient = arena_zalloc(&session->transaction_arena, sizeof(*recipient));
    recipient->session = session;
    /* Copied: the command line is gone when lookup answers. */
    recipient->given = arena_copy(&session->transaction_arena, given);
    *transaction->waiting_end = recipient;
    transaction->waiting_end = &recipient->next;
    transaction->waiting_count++;
    return recipient;
}

/* With nobody before it the answer is given at once, and costs no memory. Whoever waits at the head
 * of the list is pending: nobody else needs to be looked at. */
void recipients_refuse(struct session *session, struct span subject, struct reply reply)
{
    if (session->transaction->waiting == NULL)
        answer_one(session, subject, reply);
    else
        add(session, subject)->reply = reply;
}

/* ---- what lookup says ---- */

/* RFC 3463 §3.2 - §3.8 has the meaning of each status. */
struct reply recipients_reply(enum resolve_status status)
{
    switch (status) {
    case RESOLVE_OK:
        return answer(250, "2.1.5", "Ok");
    case RESOLVE_UNKNOWN_USER:
        return answer(550, "5.1.1", "No such user here");
    case RESOLVE_RELAY_DENIED:
        return answer_by("relay_domains", answer(554, "5.7.1", "Relay access denied"));
    case RESOLVE_LOOP:
        return answer_by("alias_depth", answer(550, "5.4.6", "Alias loop"));
    case RESOLVE_TOO_MANY:
        return too_long();
    case RESOLVE_DENIED:
        return answer(550, "5.1.1", "Alias target is not allowed");
    case RESOLVE_TEMPORARY:
        break;
    }
    return no_lookup();
}

/* The spans of the answer end with its packet: they are copied. */
static void add_final(struct recipient *recipient, const struct resolved *answer)
{
    struct arena *arena = &recipient->session->transaction_arena;
    /* The original is kept only where lookup led elsewhere. */
    bool same = span_equal(recipient->given, answer->address);
    struct envelope_recipient final = {
        .address = same ? recipient->given : arena_copy(arena, answer->address),
        .original = same ? SPAN("") : recipient->given,
        .transport = arena_copy(arena, answer->transport),
        .nexthop = arena_copy(arena, answer->nexthop),
        .orcpt = recipient->orcpt,
        .notify = recipient->notify,
    };
    append(arena, &recipient->finals, &recipient->final_count, &recipient->final_room, final);
}

/* ---- the questions ---- */

/* Without lookup the question waits for the next one. */
static bool send_query(struct worker *worker, const struct recipient *recipient)
{
    struct resolve question = {
        .query = recipient->query,
        .local = address_local(&recipient->address),
        .domain = address_domain(&recipient->address),
        .flags = session_may_relay(recipient->session) ? RESOLVE_TRUSTED : 0,
    };
    return worker->lookup == NULL || channel_send(worker->lookup, &ipc_resolve, &question, NULL);
}

/* From here on an answer to this number is nobody's. */
static void end_query(struct recipient *recipient, struct reply reply)
{
    HASH_DELETE(hh, recipient->session->worker->queries, recipient);
    recipient->query = 0;
    recipient->reply = reply;
}

/* Under which a question is remembered. The epoch is that of the asking: an answer that was under
 * way while a table changed is of the old one. */
static struct known_key key_of(const struct recipient *recipient)
{
    return (struct known_key){.address = &recipient->address,
                              .trusted = session_may_relay(recipient->session),
                              .epoch = recipient->epoch,
                              .now = loop_now(recipient->session->worker->loop)};
}

/* Copied like an answer of lookup: the slot may be taken by somebody else meanwhile. */
static bool answer_from_memory(struct worker *worker, struct recipient *recipient)
{
    struct known_key key = key_of(recipient);
    struct resolved known;
    if (!known_find(worker->known, &key, &known))
        return false;
    add_final(recipient, &known);
    recipient->reply = recipients_reply((enum resolve_status)known.status);
    return true;
}

/* One final recipient alone: a slot has room for no list. With more than one the last part of the
 * answer would pass for the whole. */
static void remember(struct worker *worker, const struct recipient *recipient,
                     const struct resolved *answer)
{
    struct known_key key = key_of(recipient);
    if (answer->status == RESOLVE_OK && recipient->final_count == 1)
        known_add(worker->known, &key, answer);
}

static void begin_query(struct worker *worker, struct recipient *recipient)
{
    recipient->query = worker_next_query(worker);
    /* In the table before it is sent, so that end_query finds it there in any case. */
    HASH_ADD(hh, worker->queries, query, sizeof(recipient->query), recipient);
    if (!send_query(worker, recipient))
        end_query(recipient, no_lookup());
}

/* An earlier one of the same address that was taken, or may be: what lookup says of it is said of
 * this one, too. Without that thirty octets would make lookup read a list of a thousand members
 * once more, and this process keep them. */
static const struct recipient *find_like(const struct session *session,
                                         const struct recipient *recipient)
{
    const struct recipient *each = session->transaction->last_asked;
    bool ours =
        conf_has_domain(&session->worker->conf->domains, address_domain(&recipient->address));
    while (each != NULL && !(each->hash == recipient->hash &&
                             (reply_is_pending(each->reply) || each->reply.code == 250) &&
                             address_is_same(each->given, recipient->given, ours)))
        each = each->before;
    return each;
}

/* Asks lookup, unless the answer is known. */
static void ask(struct session *session, struct recipient *recipient)
{
    struct transaction *transaction = session->transaction;
    char text[ADDRESS_TEXT_MAX];
    struct span key = address_key(&recipient->address, text);
    recipient->hash = hash_bytes(key.data, key.len);
    recipient->like = find_like(session, recipient);
    if (recipient->like != NULL)
        return;
    recipient->before = transaction->last_asked;
    transaction->last_asked = recipient;
    if (!answer_from_memory(session->worker, recipient))
        begin_query(session->worker, recipient);
}

/* A client that pipelines thousands would have them all asked about before the first is counted. */
bool recipients_may_suffice(const struct session *session)
{
    const struct transaction *transaction = session->transaction;
    return transaction->accepted + transaction->waiting_count >=
           session->worker->conf->limits.recipients;
}

/* The epoch is read before lookup is asked: a table that changes meanwhile makes the answer old.
 * Who has enough recipients already costs lookup nothing more. */
void recipients_ask(struct session *session, const struct address *address,
                    const struct rcpt_parameters *parameters)
{
    char text[ADDRESS_TEXT_MAX];
    struct transaction *transaction = session->transaction;
    struct span given = address_text(address, text);
    if (transaction->accepted >= session->worker->conf->limits.recipients) {
        recipients_refuse(session, given, too_many());
        return;
    }
    struct recipient *recipient = add(session, given);
    /* Everything is filled in before settle: it may answer this one and all before it. */
    recipient->address = *address;
    recipient->orcpt = arena_copy(&session->transaction_arena, parameters->orcpt);
    recipient->notify = parameters->notify;
    recipient->epoch = worker_epoch(session->worker);
    recipient_checks_start(recipient);
    ask(session, recipient);
    recipients_settle(session);
}

/* Those that are answered already and wait for their turn keep their answers. */
void recipients_give_up(struct session *session)
{
    struct recipient *each = session->transaction != NULL ? session->transaction->waiting : NULL;
    for (; each != NULL; each = each->next)
        if (each->query != 0)
            end_query(each, no_lookup());
    recipients_settle(session);
}

/* No reply is written: the client is told nothing of a transaction that is no more. The numbers
 * must leave the table, because the recipients are freed with the arena. */
void recipients_forget(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (transaction->put_off > 1)
        log_event(LOG_INFO, "recipients-put-off", LOG_SPAN("session", session_id(session)),
                  LOG_SPAN("client", session_client(session)),
                  LOG_UINT("count", transaction->put_off),
                  LOG_UINT("accepted", transaction->accepted));
    for (struct recipient *each = transaction->waiting; each != NULL; each = each->next) {
        if (each->query != 0)
            end_query(each, no_lookup());
        recipient_checks_forget(each);
    }
    transaction->waiting = transaction->last_asked = NULL;
    transaction->waiting_end = &transaction->waiting;
    transaction->waiting_count = 0;
}

/* ---- the answers ---- */

/* An answer of many parts is complete with the one that has no `more`. */
static void on_resolved(struct worker *worker, const struct resolved *answer)
{
    struct recipient *recipient;
    HASH_FIND(hh, worker->queries, &answer->query, sizeof(answer->query), recipient);
    if (recipient == NULL) {
        inquiry_resolved(worker, answer); /* or the session gave up meanwhile */
        return;
    }
    struct session *session = recipient->session;
    if (answer->status == RESOLVE_OK)
        add_final(recipient, answer);
    /* Not kept beyond the limit: parts that still come find no question any more. */
    bool overflows = recipient->final_count > worker->conf->limits.recipients;
    if (answer->status == RESOLVE_OK && answer->more && !overflows)
        return;
    /* A single final recipient came with this very part, so its spans are still valid. */
    remember(worker, recipient, answer);
    end_query(recipient,
              overflows ? too_long() : recipients_reply((enum resolve_status)answer->status));
    recipients_settle(session);
    session_wake(session);
}

/* What nobody asked is passed over. */
static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct worker *worker = arg;
    (void)channel, (void)fds;
    if (type == &ipc_resolved)
        on_resolved(worker, message);
    else
        (void)questions_heard(&worker->questions, type, message);
}

/* What waits is kept for the next lookup process. */
static void on_closed(void *arg, struct channel *channel)
{
    struct worker *worker = arg;
    questions_connect(&worker->questions, NULL);
    channel_free(channel);
    worker->lookup = NULL;
    worker_unlinked(worker, ROLE_LOOKUP);
}

/* Half an answer of the one before counts for nothing. */
void recipients_connect(struct worker *worker, int fd)
{
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = worker};
    questions_connect(&worker->questions, NULL);
    channel_free(worker->lookup);
    worker->lookup = channel_new(worker->loop, fd, &calls);
    questions_connect(&worker->questions, worker->lookup);

    inquiry_reconnect(worker);
    struct recipient *each, *following;
    HASH_ITER (hh, worker->queries, each, following) {
        each->final_count = 0;
        if (send_query(worker, each))
            continue;
        struct session *session = each->session;
        end_query(each, no_lookup());
        recipients_settle(session);
        session_wake(session);
    }
}
