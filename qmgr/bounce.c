/*
 * A bounce walks through five steps, each of which waits for somebody: gather the failures of its
 * record, read the original (helper), ask where its addressee lives (lookup), commit the letter
 * (writer), settle the recipients. Whenever a step fails for a passing reason, the recipients are
 * deferred and fail again later: the only thing that is never done is to forget them.
 */
#include "qmgr/bounce.h"

#include "qmgr/bounce_text.h"
#include "qmgr/delivery.h"
#include "util/base/clock.h"
#include "util/base/random.h"
#include "util/mail/utf8.h"

/* One bounce, from the first failure to the last state. Owns all that its letter is made of. */
struct bounce {
    UT_hash_handle hh;       /* while it gathers */
    LIST_ENTRY(bounce) link; /* while it walks */
    struct bounces *bounces;
    uint64_t id; /* queue id of the original */
    struct arena arena;
    struct bounce_failure *failures, **failures_end;
    struct message *message; /* one user is this bounce */
    struct buf original, envelope, body;
    struct span to;
    enum bounce_addressee addressee;
    bool unquoted; /* the original is damaged: its octets are shown to nobody */
    bool whole;    /* the original was read to its end */
    struct letter letter;
};

/* All bounces under way: those that gather, by record, and those that walk, at most
 * BOUNCE_AT_ONCE. */
struct bounces {
    struct qmgr *qmgr;
    struct spool_writer *writer;
    struct bounce *gathering; /* by id, oldest first */
    LIST_HEAD(, bounce) walking;
    unsigned walking_count;
    struct timer timer;
};

/* RFC 5321 §6.1: a failure of a notification is never told to its sender, who is nobody. */
enum bounce_addressee bounce_addressee_of(const struct message *message)
{
    if (span_equal(message->protocol, MESSAGE_DOUBLE_BOUNCE))
        return BOUNCE_TO_NOBODY;
    return message_is_notification(message) ? BOUNCE_TO_POSTMASTER : BOUNCE_TO_SENDER;
}

/* ---- the end of a bounce ---- */

/* A user less of the message; the original's octets go with it. */
static void bounce_release(struct bounce *bounce)
{
    if (bounce->message != NULL)
        message_release(bounce->message);
    buf_free(&bounce->original);
    buf_free(&bounce->envelope);
    buf_free(&bounce->body);
    arena_free(&bounce->arena);
    mem_free(bounce);
}

/* Its place is free for the next one. */
static void walk_ends(struct bounce *bounce)
{
    struct bounces *bounces = bounce->bounces;
    LIST_REMOVE(bounce, link);
    bounces->walking_count--;
    if (bounces->gathering != NULL && !timer_is_set(&bounces->timer))
        timer_set(&bounces->timer, 0);
    bounce_release(bounce);
}

/* By the id of the original: that is what an operator looks for. */
static void log_bounce(enum log_level level, const char *event, const struct bounce *bounce,
                       struct span detail)
{
    char id[SPOOL_ID_MAX];
    log_event(level, event, LOG_SPAN("id", spool_id_text(bounce->id, id)),
              LOG_SPAN("to", bounce->to), LOG_SPAN("detail", detail));
}

/* Every recipient that failed gets `state`; the walk is over. */
static void settle_all(struct bounce *bounce, enum letter_state state)
{
    const struct bounce_failure *failure;
    for (failure = bounce->failures; failure != NULL; failure = failure->next)
        delivery_change(bounce->bounces->qmgr, failure->queue_entry,
                        failure->delivered ? LETTER_DELIVERED : state, 0);
    walk_ends(bounce);
}

/* Every recipient that failed is attempted again later, fails again and is told again. One that was
 * delivered is not: to deliver it twice would be worse than not to tell of it. */
static void postpone_all(struct bounce *bounce, const char *reason)
{
    const struct bounce_failure *failure;
    struct qmgr *qmgr = bounce->bounces->qmgr;
    log_bounce(LOG_WARN, "bounce-postponed", bounce, span_cstr(reason));
    for (failure = bounce->failures; failure != NULL; failure = failure->next)
        if (failure->delivered)
            delivery_change(qmgr, failure->queue_entry, LETTER_DELIVERED, 0);
        else
            delivery_postpone(qmgr, failure->queue_entry);
    walk_ends(bounce);
}

/* Nobody but the sender himself asked to be told of a success. */
static bool has_failures(const struct bounce *bounce)
{
    const struct bounce_failure *failure = bounce->failures;
    while (failure != NULL && failure->delivered)
        failure = failure->next;
    return failure != NULL;
}

/* ---- the letter ---- */

/* The order of syncs: the letter is durable, now its recipients may be BOUNCED. */
static void committed(void *arg, enum spool_result result, uint64_t id)
{
    struct bounce *bounce = arg;
    if (result != SPOOL_OK) {
        postpone_all(bounce, "the bounce could not be committed");
        return;
    }
    char text[SPOOL_ID_MAX];
    log_bounce(LOG_INFO, "bounce-queued", bounce, spool_id_text(id, text));
    settle_all(bounce, LETTER_BOUNCED);
}

/* RFC 5321 §4.5.5: a notification has the null reverse-path. The protocol tells our own letters
 * from forged ones, because it is smtpd that writes it for all others. */
static bool write_envelope(struct bounce *bounce, const struct resolver_answer *answer)
{
    struct envelope_recipient *recipients =
        arena_zalloc(&bounce->arena, answer->count * sizeof *recipients);
    for (size_t i = 0; i < answer->count; i++) {
        recipients[i].address = answer->targets[i].address;
        recipients[i].transport = answer->targets[i].transport;
        recipients[i].nexthop = answer->targets[i].nexthop;
    }
    bool double_bounce = bounce->addressee == BOUNCE_TO_POSTMASTER;
    struct envelope envelope = {
        .protocol = double_bounce ? MESSAGE_DOUBLE_BOUNCE : MESSAGE_BOUNCE,
        .recipients = recipients,
        .recipient_count = answer->count,
    };
    return envelope_encode(&envelope, &bounce->envelope);
}

/* RFC 3461 §4.3: when he asked for all of it, and it is short. RFC 8689 §5: not one that must never
 * travel in the clear, because the answer may. */
static bool is_quoted_whole(const struct bounce *bounce)
{
    const struct message *message = bounce->message;
    return bounce->whole && message->ret == ENVELOPE_RET_FULL &&
           (message->flags & RECORD_FLAG_REQUIRETLS) == 0;
}

/* What binds whoever carries the letter: an addressee beyond ASCII, TLS as for the original
 * (RFC 8689 §5). */
static uint16_t flags_of(const struct bounce *bounce)
{
    return (uint16_t)(RECORD_FLAG_BOUNCE | (utf8_is_ascii(bounce->to) ? 0 : RECORD_FLAG_UTF8) |
                      (bounce->message->flags & RECORD_FLAG_REQUIRETLS));
}

/* The random part of the Message-ID keeps two bounces of one microsecond apart (RFC 5322
 * §3.6.4). */
static void write_body(struct bounce *bounce, uint64_t now_us)
{
    char id[SPOOL_ID_MAX];
    const struct bounce_facts facts = {
        .hostname = bounce->bounces->qmgr->conf->hostname,
        .to = bounce->to,
        .id = spool_id_text(bounce->id, id),
        .sender = bounce->message->sender,
        .envid = bounce->message->envid,
        .unique = arena_printf(&bounce->arena, "%016llx.%016llx", (unsigned long long)now_us,
                               (unsigned long long)random_u64()),
        .now_us = now_us,
        .failures = bounce->failures,
        .original = buf_span(&bounce->original),
        .full = is_quoted_whole(bounce),
    };
    bounce_text_write(&bounce->body, &facts);
}

/* The buffers stay untouched until `committed`. */
static void submit(struct bounce *bounce, const struct resolver_answer *answer)
{
    uint64_t now_us = clock_wall_us();
    if (!write_envelope(bounce, answer)) {
        postpone_all(bounce, "its envelope can not be written");
        return;
    }
    write_body(bounce, now_us);
    bounce->letter = (struct letter){
        .envelope = buf_span(&bounce->envelope),
        .body = buf_span(&bounce->body),
        .arrival_us = now_us,
        .recipients = (uint32_t)answer->count,
        .flags = flags_of(bounce),
        .done = committed,
        .arg = bounce,
    };
    spool_writer_submit(bounce->bounces->writer, &bounce->letter);
}

/* ---- the addressee ---- */

static void ask(struct bounce *bounce);

/* A sender who does not exist here is told to the postmaster instead; a postmaster who does not
 * exist ends it. */
static void resolved(void *arg, const struct resolver_answer *answer)
{
    struct bounce *bounce = arg;
    if (answer->status == RESOLVE_OK) {
        submit(bounce, answer);
    } else if (answer->status == RESOLVE_TEMPORARY) {
        postpone_all(bounce, "its addressee can not be looked up now");
    } else {
        bounce->addressee =
            bounce->addressee == BOUNCE_TO_SENDER ? BOUNCE_TO_POSTMASTER : BOUNCE_TO_NOBODY;
        ask(bounce);
    }
}

/* Where does the bounce go? Its route is found like that of any letter. */
static void ask(struct bounce *bounce)
{
    const struct conf *conf = bounce->bounces->qmgr->conf;
    if (bounce->addressee == BOUNCE_TO_POSTMASTER && !has_failures(bounce))
        bounce->addressee = BOUNCE_TO_NOBODY;
    if (bounce->addressee == BOUNCE_TO_NOBODY) {
        log_bounce(LOG_WARN, "bounce-dropped", bounce, SPAN("nobody to tell"));
        settle_all(bounce, LETTER_BOUNCED);
        return;
    }
    struct span domain = conf->domains.count > 0 ? conf->domains.items[0] : conf->hostname;
    bounce->to = bounce->addressee == BOUNCE_TO_SENDER
                     ? bounce->message->sender
                     : arena_printf(&bounce->arena, "postmaster@%.*s", SPAN_ARG(domain));
    resolver_ask(bounce->bounces->qmgr->resolver, bounce->to, resolved, bounce);
}

/* What the letter quotes. When even the envelope is damaged there is nobody to tell: the operator
 * has the copy that was set aside, or, without one, the recipients held. */
static void original_read(void *arg, struct helper_task *base)
{
    struct bounce *bounce = arg;
    struct task_original *task = (struct task_original *)base;
    enum record_result result = task->result;
    enum letter_state lost = task->aside ? LETTER_BOUNCED : LETTER_HELD;
    if (result == RECORD_OK) {
        bounce->message = task->message;
        bounce->message->users++;
        bounce->original = task->octets;
        bounce->whole = task->whole;
        task->octets = (struct buf){0};
    }
    task_original_free(task);
    if (result == RECORD_IO) {
        postpone_all(bounce, "the original can not be read now");
    } else if (result != RECORD_OK) {
        log_bounce(LOG_ERROR, "record-unreadable", bounce, SPAN("damaged"));
        page_add(bounce->bounces->qmgr->page, PAGE_CORRUPT, 1);
        settle_all(bounce, lost);
    } else {
        bounce->addressee = bounce_addressee_of(bounce->message);
        ask(bounce);
    }
}

/* ---- gathering ---- */

/* No more failures join this bounce: those that come later make another. */
static void walk_begins(struct bounces *bounces, struct bounce *bounce)
{
    HASH_DEL(bounces->gathering, bounce);
    LIST_INSERT_HEAD(&bounces->walking, bounce, link);
    bounces->walking_count++;
    struct task_original *task = task_original_new(
        spool_id_number(bounce->id), spool_id_offset(bounce->id), original_read, bounce);
    task->unquoted = bounce->unquoted;
    helper_post(bounces->qmgr->helper, &task->task);
}

/* As many as may walk at once; the rest waits for a place. */
static void gathered(void *arg)
{
    struct bounces *bounces = arg;
    while (bounces->gathering != NULL && bounces->walking_count < BOUNCE_AT_ONCE)
        walk_begins(bounces, bounces->gathering);
}

/* The bounce that gathers for that record; a new one when there is none. */
static struct bounce *bounce_of(struct bounces *bounces, uint64_t id)
{
    struct bounce *bounce;
    HASH_FIND(hh, bounces->gathering, &id, sizeof id, bounce);
    if (bounce != NULL)
        return bounce;
    bounce = mem_new(sizeof *bounce);
    bounce->bounces = bounces;
    bounce->id = id;
    bounce->failures_end = &bounce->failures;
    HASH_ADD(hh, bounces->gathering, id, sizeof bounce->id, bounce);
    return bounce;
}

/* Texts are copied: the fate's own live in an arena that ends with the decision. */
void bounce_add(struct bounces *bounces, uint32_t number, const struct fate *fate)
{
    const struct queue_entry *entry = queue_entry(&bounces->qmgr->queue, number);
    const struct message *message = entry->message;
    struct bounce *bounce = bounce_of(bounces, spool_id(message->number, message->offset));
    struct bounce_failure *failure = arena_zalloc(&bounce->arena, sizeof *failure);
    bounce->unquoted |= fate->damaged;
    failure->queue_entry = number;
    failure->delivered = fate->kind == FATE_DELIVERED;
    failure->address = arena_copy(&bounce->arena, message->recipients[entry->recipient].address);
    failure->orcpt = arena_copy(&bounce->arena, message->recipients[entry->recipient].orcpt);
    failure->enhanced = arena_copy(&bounce->arena, span_first(fate->enhanced, 16));
    failure->text = arena_copy(&bounce->arena, span_first(fate->text, BOUNCE_TEXT_MOST));
    *bounce->failures_end = failure;
    bounce->failures_end = &failure->next;
    if (!timer_is_set(&bounces->timer))
        timer_set(&bounces->timer, BOUNCE_GATHER_MS);
}

/* The writer is the intake's: bounces go the way of all letters. */
struct bounces *bounce_new(struct qmgr *qmgr, struct spool_writer *writer)
{
    struct bounces *bounces = mem_new(sizeof *bounces);
    bounces->qmgr = qmgr;
    bounces->writer = writer;
    LIST_INIT(&bounces->walking);
    timer_init(&bounces->timer, qmgr->loop, gathered, bounces);
    return bounces;
}

/* Nothing is settled here: a bounce that was not committed is made again. */
void bounce_free(struct bounces *bounces)
{
    struct bounce *bounce, *next;
    timer_cancel(&bounces->timer);
    HASH_ITER (hh, bounces->gathering, bounce, next) {
        HASH_DEL(bounces->gathering, bounce);
        bounce_release(bounce);
    }
    while ((bounce = LIST_FIRST(&bounces->walking)) != NULL) {
        LIST_REMOVE(bounce, link);
        bounce_release(bounce);
    }
    mem_free(bounces);
}
