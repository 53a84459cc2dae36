/*
 * Why every exchange ends in the attempts, also one whose proof was compared here: the order, the
 * delay and the bounds belong to the account, whichever way it is tried.
 *
 * An exchange is with the client (it has a challenge to answer, the deadline runs), with the
 * attempts (no deadline: a delay may take its time), or proven: RFC 4954 §4 lets a verdict carry
 * nothing, so the server's own proof goes out as a challenge, and the verdict waits for the empty
 * answer to it.
 */
#include "auth/sasl.h"

#include "auth/client.h"
#include "auth/plain.h"
#include "util/base/hash.h"
#include "util/base/log.h"

enum phase { PHASE_CLIENT, PHASE_ATTEMPT, PHASE_PROVEN };

/* Compared octet by octet: no padding. */
struct exchange_key {
    uintptr_t peer;
    uint64_t query;
};

/* Freed with its verdict. */
struct exchange {
    struct asker asker; /* first: the attempts answer through it */
    struct sasl *sasl;
    struct exchange_key key;
    enum sasl_mechanism mechanism;
    enum phase phase;
    uint64_t session;
    struct span client;
    uint64_t network;    /* of the client */
    struct span user;    /* LOGIN: as given; proven: canonical */
    struct span proof;   /* of the server, for the client */
    struct scram *scram; /* NULL for the others */
    struct arena arena;  /* the spans above */
    struct timer timer;  /* the client's deadline */
    UT_hash_handle hh;
};

struct sasl {
    struct sasl_parts parts;
    struct exchange *exchanges;
};

struct sasl *sasl_new(const struct sasl_parts *parts)
{
    struct sasl *sasl = mem_new(sizeof(*sasl));

    sasl->parts = *parts;
    return sasl;
}

/* ---- the end of an exchange ---- */

/* What the attempts still do for it they do for nobody. */
static void exchange_free(struct exchange *exchange)
{
    struct sasl *sasl = exchange->sasl;

    if (exchange->phase == PHASE_ATTEMPT)
        attempts_forget(sasl->parts.attempts, exchange);
    timer_cancel(&exchange->timer);
    HASH_DEL(sasl->exchanges, exchange);
    scram_free(exchange->scram);
    arena_free(&exchange->arena);
    mem_free(exchange);
}

void sasl_free(struct sasl *sasl)
{
    while (sasl->exchanges)
        exchange_free(sasl->exchanges);
    scram_server_free(sasl->parts.scram);
    mem_free(sasl);
}

/* `user` is canonical, or empty when nobody was named yet. */
static void finish(struct exchange *exchange, enum verify_status status, struct span user)
{
    exchange->phase = PHASE_PROVEN;
    exchange->sasl->parts.verdict((void *)exchange->key.peer,
                                  &(struct attempt_answer){
                                      .status = status,
                                      .user = user,
                                      .client = exchange->client,
                                      .session = exchange->session,
                                      .query = (uint32_t)exchange->key.query,
                                  });
    exchange_free(exchange);
}

/* The deadline. */
static void client_is_late(void *arg)
{
    finish(arg, VERIFY_TEMPORARY, SPAN(""));
}

/* The client has its time to answer this. */
static void challenge(struct exchange *exchange, enum phase phase, struct span data)
{
    struct sasl *sasl = exchange->sasl;

    exchange->phase = phase;
    timer_set(&exchange->timer, sasl->parts.deadline_ms);
    sasl->parts.challenge(
        (void *)exchange->key.peer,
        &(struct sasl_challenge){.query = (uint32_t)exchange->key.query, .data = data});
}

/* ---- the attempts ---- */

/* A right proof of SCRAM is answered with ours before the verdict (RFC 5802 §3). */
static void answered(void *origin, const struct attempt_answer *answer)
{
    struct exchange *exchange = origin;

    if (answer->status != VERIFY_OK || exchange->proof.len == 0) {
        finish(exchange, answer->status, answer->user);
        return;
    }
    exchange->user = arena_copy(&exchange->arena, answer->user);
    challenge(exchange, PHASE_PROVEN, exchange->proof);
}

/* The exchange may be over when this returns. */
static void verify_password(struct exchange *exchange, struct span user, struct span password)
{
    const struct verify question = {.query = (uint32_t)exchange->key.query,
                                    .user = user,
                                    .password = password,
                                    .client = exchange->client,
                                    .session = exchange->session};

    exchange->phase = PHASE_ATTEMPT;
    attempts_begin(exchange->sasl->parts.attempts, exchange, &question);
}

/* The same; `user` is canonical. */
static void judge(struct exchange *exchange, struct span user, bool right)
{
    const struct judgement judgement = {.user = user,
                                        .client = exchange->client,
                                        .session = exchange->session,
                                        .query = (uint32_t)exchange->key.query,
                                        .right = right};

    exchange->phase = PHASE_ATTEMPT;
    attempts_judge(exchange->sasl->parts.attempts, exchange, &judgement);
}

/* ---- the mechanisms ---- */

/* Who asks to act for another is told what a wrong password is told, and as late. */
static void step_plain(struct exchange *exchange, struct span message)
{
    const struct conf *conf = exchange->sasl->parts.conf;
    char text[ADDRESS_TEXT_MAX];
    struct plain plain;

    if (!plain_parse(message, &plain)) {
        finish(exchange, VERIFY_MALFORMED, SPAN(""));
        return;
    }
    struct span name = user_name(conf, plain.authcid, text);
    if (user_acts_as(conf, name, plain.authzid))
        verify_password(exchange, plain.authcid, plain.password);
    else
        judge(exchange, name, false);
}

/* LOGIN has no RFC: the user, then the password, each asked for. */
static void step_login(struct exchange *exchange, struct span message)
{
    if (message.len == 0) {
        finish(exchange, VERIFY_MALFORMED, SPAN(""));
    } else if (exchange->user.len == 0) {
        exchange->user = arena_copy(&exchange->arena, message);
        challenge(exchange, PHASE_CLIENT, SPAN("Password:"));
    } else {
        verify_password(exchange, exchange->user, message);
    }
}

/* A binding that must not be is refused at once: no password was tried. */
static void refuse_binding(struct exchange *exchange)
{
    log_event(LOG_WARN, "channel-binding-refused", LOG_SPAN("client", exchange->client),
              LOG_ID("session", exchange->session));
    finish(exchange, VERIFY_FAILED, SPAN(""));
}

/* RFC 5802 §5: the user and the binding, then the proof. */
static void step_scram(struct exchange *exchange, struct span message)
{
    struct span output, user;
    enum scram_result result = scram_step(exchange->scram, message, &output);

    user = scram_user(exchange->scram);
    switch (result) {
    case SCRAM_MORE:
        challenge(exchange, PHASE_CLIENT, output);
        return;
    case SCRAM_RIGHT:
        exchange->proof = arena_copy(&exchange->arena, output);
        judge(exchange, user, true);
        return;
    case SCRAM_WRONG:
        judge(exchange, user, false);
        return;
    case SCRAM_REFUSED:
        refuse_binding(exchange);
        return;
    case SCRAM_MALFORMED:
        finish(exchange, VERIFY_MALFORMED, user);
        return;
    case SCRAM_TEMPORARY:
        break;
    }
    finish(exchange, VERIFY_TEMPORARY, user);
}

/* The whitelist: what the library could do besides is not reachable. */
static const struct {
    struct span prompt; /* the first challenge, where no initial response came */
    void (*step)(struct exchange *exchange, struct span message);
    bool is_scram, plus;
} mechanisms[] = {
    [SASL_PLAIN] = {.prompt = SPAN_INIT(""), .step = step_plain},
    [SASL_LOGIN] = {.prompt = SPAN_INIT("Username:"), .step = step_login},
    [SASL_SCRAM_SHA_256] = {.prompt = SPAN_INIT(""), .step = step_scram, .is_scram = true},
    [SASL_SCRAM_SHA_256_PLUS] = {.prompt = SPAN_INIT(""),
                                 .step = step_scram,
                                 .is_scram = true,
                                 .plus = true},
};

/* ---- the beginning ---- */

/* A peer is known by its address, which it keeps for its life. */
static struct exchange_key key_of(const void *peer, uint32_t query)
{
    return (struct exchange_key){.peer = (uintptr_t)peer, .query = query};
}

static struct exchange *find(struct sasl *sasl, const void *peer, uint32_t query)
{
    struct exchange_key key = key_of(peer, query);
    struct exchange *exchange;

    HASH_FIND(hh, sasl->exchanges, &key, sizeof(key), exchange);
    return exchange;
}

static struct exchange *exchange_new(struct sasl *sasl, void *peer, const struct sasl_begin *begin)
{
    struct exchange *exchange = mem_new(sizeof(*exchange));
    enum sasl_mechanism mechanism = (enum sasl_mechanism)begin->mechanism;

    exchange->asker.answered = answered;
    exchange->sasl = sasl;
    exchange->key = key_of(peer, begin->query);
    exchange->mechanism = mechanism;
    exchange->session = begin->session;
    exchange->client = arena_copy(&exchange->arena, begin->client);
    exchange->network = client_network(begin->client);
    if (mechanisms[mechanism].is_scram)
        exchange->scram = scram_new(sasl->parts.scram, mechanisms[mechanism].plus,
                                    (enum sasl_binding)begin->binding_kind, begin->binding);
    timer_init(&exchange->timer, sasl->parts.loop, client_is_late, exchange);
    HASH_ADD(hh, sasl->exchanges, key, sizeof(exchange->key), exchange);
    return exchange;
}

/* Nobody can fill the memory with exchanges that are never answered. */
static bool has_too_many(const struct sasl *sasl, struct span client)
{
    uint64_t network = client_network(client);
    unsigned count = 0;

    for (const struct exchange *exchange = sasl->exchanges; exchange; exchange = exchange->hh.next)
        count += exchange->network == network;
    return count >= SASL_CLIENT_MOST;
}

/* Nor can many clients, who each begin a few and answer none, keep everybody else out: whoever has
 * been at it longest gives way, and a client that means it answers within moments. False: all wait
 * for us, and none for its client. */
static bool make_room(struct sasl *sasl)
{
    struct exchange *oldest = sasl->exchanges;

    if (HASH_COUNT(sasl->exchanges) < SASL_MOST)
        return true;
    while (oldest && oldest->phase != PHASE_CLIENT)
        oldest = oldest->hh.next;
    if (!oldest)
        return false;
    finish(oldest, VERIFY_TEMPORARY, SPAN(""));
    return true;
}

void sasl_start(struct sasl *sasl, void *peer, const struct sasl_begin *begin)
{
    if (find(sasl, peer, begin->query)) {
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", "sasl_begin"));
        return;
    }
    if (has_too_many(sasl, begin->client) || !make_room(sasl)) {
        sasl->parts.verdict(peer, &(struct attempt_answer){.status = VERIFY_TEMPORARY,
                                                           .user = SPAN(""),
                                                           .client = begin->client,
                                                           .session = begin->session,
                                                           .query = begin->query});
        return;
    }
    struct exchange *exchange = exchange_new(sasl, peer, begin);
    if (begin->has_initial)
        mechanisms[exchange->mechanism].step(exchange, begin->initial);
    else
        challenge(exchange, PHASE_CLIENT, mechanisms[exchange->mechanism].prompt);
}

/* ---- what follows ---- */

void sasl_respond(struct sasl *sasl, void *peer, const struct sasl_continue *response)
{
    struct exchange *exchange = find(sasl, peer, response->query);

    /* Its deadline and the client's answer may have crossed. */
    if (!exchange)
        return;
    if (exchange->phase == PHASE_ATTEMPT) {
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", "sasl_continue"));
        return;
    }
    timer_cancel(&exchange->timer);
    if (exchange->phase == PHASE_CLIENT)
        mechanisms[exchange->mechanism].step(exchange, response->response);
    else /* RFC 4954 §4: nothing is left to say but that our proof was seen */
        finish(exchange, response->response.len == 0 ? VERIFY_OK : VERIFY_MALFORMED,
               exchange->user);
}

void sasl_cancel(struct sasl *sasl, void *peer, uint32_t query)
{
    struct exchange *exchange = find(sasl, peer, query);

    if (exchange)
        exchange_free(exchange);
}

void sasl_forget(struct sasl *sasl, void *peer)
{
    struct exchange *exchange, *next;

    HASH_ITER (hh, sasl->exchanges, exchange, next)
        if (exchange->key.peer == (uintptr_t)peer)
            exchange_free(exchange);
}

bool sasl_pending(const struct sasl *sasl)
{
    return sasl->exchanges != NULL;
}
