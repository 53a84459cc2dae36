/*
 * An answer may never come: lookup is being restarted, or hangs on a table. Every question is kept
 * until it is answered, and a patience that runs out is a temporary failure, never "unknown user".
 */
#include "qmgr/resolver.h"

#include "util/base/hash.h"
#include "util/base/log.h"
#include "util/mail/address.h"

/* One question, kept until it is answered. The address is parsed once, when it is asked. */
struct question {
    UT_hash_handle hh;
    uint32_t query;
    bool unaskable; /* no address at all, or a backlog that is full */
    int64_t deadline;
    struct address address;
    resolver_answered *answered;
    void *arg;
    struct arena arena; /* of the targets */
    struct resolver_target *targets;
    size_t count, cap;
};

struct resolver {
    struct loop *loop;
    struct channel *channel;
    struct question *questions; /* in the order in which they were asked */
    struct timer timer;
    uint32_t last_query;
};

/* The one end of every question. */
static void answer(struct resolver *resolver, struct question *question, enum resolve_status status)
{
    HASH_DEL(resolver->questions, question);
    struct resolver_answer outcome = {status, question->targets, question->count};
    question->answered(question->arg, &outcome);
    arena_free(&question->arena);
    mem_free(question->targets);
    mem_free(question);
}

/* Questions are in the order of their deadlines. */
static void set_timer(struct resolver *resolver)
{
    struct question *first = resolver->questions;
    if (first == NULL) {
        timer_cancel(&resolver->timer);
        return;
    }
    /* What can not be asked is answered in the next turn. */
    int64_t wait = first->unaskable ? 0 : first->deadline - loop_now(resolver->loop);
    timer_set(&resolver->timer, wait > 0 ? wait : 0);
}

/* A lookup that is silent means "later", never "user unknown". */
static void patience_ends(void *arg)
{
    struct resolver *resolver = arg;
    struct question *question, *next;
    int64_t now = loop_now(resolver->loop);
    HASH_ITER (hh, resolver->questions, question, next) {
        if (question->unaskable)
            answer(resolver, question, RESOLVE_UNKNOWN_USER);
        else if (question->deadline <= now)
            answer(resolver, question, RESOLVE_TEMPORARY);
    }
    set_timer(resolver);
}

/* Without a socket the question waits for one. */
static void send_question(struct resolver *resolver, struct question *question)
{
    if (resolver->channel == NULL || question->unaskable)
        return;
    struct resolve message = {question->query, address_local(&question->address),
                              address_domain(&question->address), RESOLVE_TRUSTED};
    if (!channel_send(resolver->channel, &ipc_resolve, &message, NULL))
        question->deadline = 0; /* nobody takes it: temporary, soon */
}

/* The spans of a decoded message end with its packet. */
static void add_target(struct question *question, const struct resolved *answer)
{
    if (question->count == question->cap) {
        question->cap = question->cap == 0 ? 4 : question->cap * 2;
        question->targets = mem_resize(question->targets, question->cap, sizeof *question->targets);
    }
    question->targets[question->count++] =
        (struct resolver_target){arena_copy(&question->arena, answer->address),
                                 arena_copy(&question->arena, answer->transport),
                                 arena_copy(&question->arena, answer->nexthop)};
}

/* Answers to questions that nobody waits for any more are dropped. */
static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct resolver *resolver = arg;
    const struct resolved *part = message;
    (void)channel;
    (void)fds;
    if (type != &ipc_resolved)
        return;
    struct question *question;
    /* By the number that we chose: answers may come in any order. */
    HASH_FIND(hh, resolver->questions, &part->query, sizeof part->query, question);
    if (question == NULL)
        return;
    if (part->status == RESOLVE_OK && question->count < RESOLVER_TARGETS_MOST)
        add_target(question, part);
    if (part->status != RESOLVE_OK || !part->more)
        answer(resolver, question, (enum resolve_status)part->status);
    set_timer(resolver);
}

/* Master starts lookup anew and brings a socket to the new one. */
static void on_closed(void *arg, struct channel *channel)
{
    struct resolver *resolver = arg;
    if (channel == resolver->channel)
        resolver->channel = NULL;
    channel_free(channel);
}

/* All open questions are asked again, in their order; parts of answers that came from the old
 * lookup are dropped. */
void resolver_connect(struct resolver *resolver, int fd)
{
    const struct channel_calls calls = {on_message, on_closed, resolver};
    channel_free(resolver->channel);
    resolver->channel = channel_new(resolver->loop, fd, &calls);
    struct question *question, *next;
    HASH_ITER (hh, resolver->questions, question, next) {
        /* The new lookup begins its answer anew. */
        question->count = 0;
        send_question(resolver, question);
    }
    set_timer(resolver);
}

/* An address that is none is answered by the timer, because never from within this call. */
void resolver_ask(struct resolver *resolver, struct span address, resolver_answered *answered,
                  void *arg)
{
    struct question *question = mem_new(sizeof *question);
    question->query = ++resolver->last_query;
    question->answered = answered;
    question->arg = arg;
    question->deadline = loop_now(resolver->loop) + RESOLVER_PATIENCE_MS;
    question->unaskable = address_parse(address, &question->address) != ADDRESS_OK;
    HASH_ADD(hh, resolver->questions, query, sizeof question->query, question);
    send_question(resolver, question);
    if (question->unaskable || question->deadline == 0)
        timer_set(&resolver->timer, 0);
    else if (!timer_is_set(&resolver->timer))
        set_timer(resolver);
}

/* Without case, as mailboxes are compared here. */
const struct resolver_target *resolver_pick(const struct resolver_answer *answer,
                                            struct span address)
{
    for (size_t i = 0; i < answer->count; i++)
        if (span_equal_nocase(answer->targets[i].address, address))
            return &answer->targets[i];
    return answer->count == 1 ? &answer->targets[0] : NULL;
}

/* Without a socket until master brings one. */
struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *resolver = mem_new(sizeof *resolver);
    resolver->loop = loop;
    timer_init(&resolver->timer, loop, patience_ends, resolver);
    return resolver;
}

/* Nobody is called: those who asked are being freed too. */
void resolver_free(struct resolver *resolver)
{
    struct question *question, *next;
    timer_cancel(&resolver->timer);
    channel_free(resolver->channel);
    HASH_ITER (hh, resolver->questions, question, next) {
        HASH_DEL(resolver->questions, question);
        arena_free(&question->arena);
        mem_free(question->targets);
        mem_free(question);
    }
    mem_free(resolver);
}
