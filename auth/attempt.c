/*
 * Why a queue an account: a thousand guesses at one account must not take hash time from the
 * others, and must not run side by side to outrun the delay of each failure.
 */
#include "auth/attempt.h"

#include <bsd/sys/queue.h>
#include <openssl/crypto.h>

#include "auth/client.h"
#include "auth/user.h"
#include "util/base/hash.h"

/* One login. Owns copies of both secrets, wiped when it is freed. */
struct attempt {
    struct attempts *all;
    struct account *account;
    void *origin; /* NULL: nobody waits for the answer any more */
    uint32_t query;
    uint64_t session;
    bool exists;
    bool judged, right;      /* by SCRAM: nothing is hashed */
    char *password, *stored; /* NUL-terminated copies of password_len and stored_len octets */
    size_t password_len, stored_len;
    struct span client;
    uint64_t network;   /* of the client */
    uint64_t turn;      /* its place among those of its account */
    struct arena arena; /* client */
    struct hash_job job;
    struct timer timer; /* the delay of a failure */
    TAILQ_ENTRY(attempt) link;
};

TAILQ_HEAD(attempt_list, attempt);

/* Lives while it has attempts; the first one of the list is being hashed or delayed. */
struct account {
    char name[ADDRESS_TEXT_MAX];
    size_t name_len;
    struct attempt_list list; /* by turn */
    unsigned waiting;
    uint64_t turn; /* of the first one */
    UT_hash_handle hh;
};

struct attempts {
    struct attempts_parts parts;
    struct account *accounts;
    size_t count;
};

/* The hasher's threads are started by the process, in its sandbox. */
struct attempts *attempts_new(const struct attempts_parts *parts)
{
    struct attempts *attempts = mem_new(sizeof(*attempts));

    attempts->parts = *parts;
    return attempts;
}

/* OPENSSL_cleanse, because a compiler may drop a memset(3) before a free(3). */
static void wipe(char *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
    mem_free(secret);
}

/* The timer first: it points here. */
static void attempt_free(struct attempt *attempt)
{
    timer_cancel(&attempt->timer);
    wipe(attempt->password, attempt->password_len + 1);
    wipe(attempt->stored, attempt->stored_len + 1);
    arena_free(&attempt->arena);
    mem_free(attempt);
}

void attempts_free(struct attempts *attempts)
{
    struct account *account, *next;
    struct attempt *attempt;

    hasher_free(attempts->parts.hasher); /* first: its threads read the attempts */
    HASH_ITER (hh, attempts->accounts, account, next) {
        while ((attempt = TAILQ_FIRST(&account->list))) {
            TAILQ_REMOVE(&account->list, attempt, link);
            attempt_free(attempt);
        }
        HASH_DEL(attempts->accounts, account);
        mem_free(account);
    }
    recent_free(attempts->parts.recent);
    delays_free(attempts->parts.delays);
    table_close(attempts->parts.passwords);
    mem_free(attempts);
}

void asker_answer(void *origin, const struct attempt_answer *answer)
{
    ((struct asker *)origin)->answered(origin, answer);
}

/* Canonical, as the table of passwords has it. */
static struct span account_name(const struct account *account)
{
    return span_of(account->name, account->name_len);
}

/* ---- the verdict ---- */

static void start_first(struct account *account);

/* Answers it and takes it out of its account. */
static void attempt_leave(struct attempt *attempt, enum verify_status status)
{
    struct attempts *all = attempt->all;
    struct account *account = attempt->account;

    /* A peer that is gone gets no answer; its failure has counted all the same. */
    if (attempt->origin)
        all->parts.answer(attempt->origin, &(struct attempt_answer){
                                               .status = status,
                                               .user = account_name(account),
                                               .client = attempt->client,
                                               .session = attempt->session,
                                               .query = attempt->query,
                                           });
    TAILQ_REMOVE(&account->list, attempt, link);
    account->waiting--;
    all->count--;
    attempt_free(attempt);
}

/* Answers and ends the first attempt of its account; the next one begins. */
static void attempt_end(struct attempt *attempt, enum verify_status status)
{
    struct attempts *all = attempt->all;
    struct account *account = attempt->account;

    attempt_leave(attempt, status);
    /* The delay of a failure is over by now: the next one is hashed only behind it. */
    if (account->waiting) {
        start_first(account);
    } else {
        HASH_DEL(all->accounts, account);
        mem_free(account);
    }
}

/* The wait is the answer's only difference: its text is that of every failure. */
static void delay_over(void *arg)
{
    attempt_end(arg, VERIFY_FAILED);
}

/* Wrong: the answer waits, and with it the account's next attempt. */
static void attempt_fail(struct attempt *attempt)
{
    struct attempts_parts *parts = &attempt->all->parts;

    timer_set(&attempt->timer, delays_failed(parts->delays, account_name(attempt->account),
                                             attempt->client, loop_now(parts->loop)));
}

/* Right: the account's failures are forgotten. */
static void attempt_succeed(struct attempt *attempt)
{
    delays_succeeded(attempt->all->parts.delays, account_name(attempt->account));
    attempt_end(attempt, VERIFY_OK);
}

/* In the loop. A user that does not exist fails here even if the dummy should match. */
static void hashed(void *arg)
{
    struct attempt *attempt = arg;
    struct attempts_parts *parts = &attempt->all->parts;

    if (!attempt->exists || !attempt->job.match) {
        attempt_fail(attempt);
        return;
    }
    /* Remembered, so that a client that polls every minute costs no hash. */
    recent_add(parts->recent, account_name(attempt->account),
               span_of(attempt->password, attempt->password_len),
               span_of(attempt->stored, attempt->stored_len), loop_now(parts->loop));
    attempt_succeed(attempt);
}

/* True when it was right a short while ago: perhaps since it began to wait. */
static bool is_remembered(const struct attempt *attempt)
{
    const struct attempts_parts *parts = &attempt->all->parts;

    return attempt->exists &&
           recent_knows(parts->recent, account_name(attempt->account),
                        span_of(attempt->password, attempt->password_len),
                        span_of(attempt->stored, attempt->stored_len), loop_now(parts->loop));
}

/* A client that opens ten sessions at once costs one hash. The job is submitted only now: one of
 * each account is with the threads. */
static void start_first(struct account *account)
{
    struct attempt *attempt = TAILQ_FIRST(&account->list);

    account->turn = attempt->turn;
    if (attempt->judged && attempt->right)
        attempt_succeed(attempt);
    else if (attempt->judged)
        attempt_fail(attempt);
    else if (is_remembered(attempt))
        attempt_end(attempt, VERIFY_OK);
    else
        hasher_submit(attempt->all->parts.hasher, &attempt->job);
}

/* ---- the question ---- */

/* With a NUL behind it, for crypt(3). */
static char *copy_secret(struct span secret)
{
    char *copy = mem_new(secret.len + 1);

    memcpy(copy, secret.data, secret.len);
    return copy;
}

/* Made by its first attempt, freed with its last. */
static struct account *account_of(struct attempts *attempts, struct span name)
{
    struct account *account;

    HASH_FIND(hh, attempts->accounts, name.data, name.len, account);
    if (account)
        return account;
    account = mem_new(sizeof(*account));
    memcpy(account->name, name.data, name.len);
    account->name_len = name.len;
    TAILQ_INIT(&account->list);
    HASH_ADD_KEYPTR(hh, attempts->accounts, account->name, account->name_len, account);
    return account;
}

/* What is known of a login before it is hashed. */
struct facts {
    struct span name;   /* canonical */
    struct span stored; /* the real hash, or the dummy */
    bool exists;
};

/* Not in the queue yet; `secrets` are the password and what is stored, both may be empty. */
static struct attempt *attempt_new(struct attempts *attempts, void *origin,
                                   const struct judgement *of, const struct span secrets[2])
{
    struct attempt *attempt = mem_new(sizeof(*attempt));

    attempt->all = attempts;
    attempt->account = account_of(attempts, of->user);
    attempt->origin = origin;
    attempt->query = of->query;
    attempt->session = of->session;
    attempt->password = copy_secret(secrets[0]);
    attempt->password_len = secrets[0].len;
    attempt->stored = copy_secret(secrets[1]);
    attempt->stored_len = secrets[1].len;
    attempt->client = arena_copy(&attempt->arena, of->client);
    attempt->network = client_network(of->client);
    timer_init(&attempt->timer, attempts->parts.loop, delay_over, attempt);
    return attempt;
}

/* One turn behind the last one of its network, else with the one that is under way. */
static uint64_t turn_of(const struct account *account, uint64_t network)
{
    const struct attempt *attempt;
    uint64_t turn = account->turn;

    TAILQ_FOREACH (attempt, &account->list, link)
        if (attempt->network == network)
            turn = attempt->turn + 1;
    return turn;
}

/* Behind all whose turn comes no later; it begins when it is alone. */
static void attempt_queue(struct attempt *attempt)
{
    struct account *account = attempt->account;
    struct attempt *before = TAILQ_LAST(&account->list, attempt_list);

    attempt->turn = turn_of(account, attempt->network);
    while (before && before->turn > attempt->turn)
        before = TAILQ_PREV(before, attempt_list, link);
    if (before)
        TAILQ_INSERT_AFTER(&account->list, before, attempt, link);
    else
        TAILQ_INSERT_HEAD(&account->list, attempt, link);
    attempt->all->count++;
    if (account->waiting++ == 0)
        start_first(account);
}

/* A user that does not exist is queued like one that does: the table of accounts tells nothing. */
static void enqueue(struct attempts *attempts, void *origin, const struct verify *question,
                    const struct facts *facts)
{
    const struct judgement of = {.user = facts->name,
                                 .client = question->client,
                                 .session = question->session,
                                 .query = question->query};
    struct attempt *attempt =
        attempt_new(attempts, origin, &of, (struct span[]){question->password, facts->stored});

    /* A password with a NUL is none: crypt(3) would see its beginning only. */
    attempt->exists =
        facts->exists && span_find(question->password, '\0') == question->password.len;
    attempt->job = (struct hash_job){
        .password = attempt->password, .stored = attempt->stored, .done = hashed, .arg = attempt};
    attempt_queue(attempt);
}

/* Room in the queue of an account, if need be at the cost of the last one, whose network waits for
 * more than this one does. */
static bool account_has_room(struct attempts *attempts, struct span name, uint64_t network)
{
    struct account *account;

    HASH_FIND(hh, attempts->accounts, name.data, name.len, account);
    if (!account || account->waiting <= ATTEMPTS_WAITING_MOST)
        return true;
    struct attempt *last = TAILQ_LAST(&account->list, attempt_list);
    if (last->turn <= turn_of(account, network))
        return false;
    attempt_leave(last, VERIFY_TEMPORARY);
    return true;
}

/* Those that are hashed or wait to be; one that is only delayed takes no time from anybody. */
static unsigned unhashed_of(const struct attempts *attempts, uint64_t network)
{
    struct account *account, *next;
    struct attempt *attempt;
    unsigned count = 0;

    HASH_ITER (hh, attempts->accounts, account, next)
        TAILQ_FOREACH (attempt, &account->list, link)
            if (!timer_is_set(&attempt->timer) && attempt->network == network)
                count++;
    return count;
}

/* The stored hash of `facts->name`, or the dummy one; false when the table can not be read. */
static bool look_up(struct attempts *attempts, struct arena *arena, struct facts *facts,
                    struct user *user)
{
    bool readable = user_find(attempts->parts.passwords, arena, facts->name, user);
    struct span crypt = user->credentials.crypt;

    facts->exists = crypt.len > 0 && hasher_takes(crypt.data);
    /* Hashed like a real one: the time tells nothing. */
    facts->stored = facts->exists ? crypt : span_cstr(hasher_dummy(attempts->parts.hasher));
    return readable;
}

/* One account, and one network, may have so many before the threads. */
static bool too_many(struct attempts *attempts, struct span name, struct span client)
{
    uint64_t network = client_network(client);

    return attempts->count >= ATTEMPTS_MOST ||
           unhashed_of(attempts, network) >= ATTEMPTS_CLIENT_MOST ||
           !account_has_room(attempts, name, network);
}

/* The answer that needs no hashing: VERIFY_FAILED stands for "it does". */
static enum verify_status shortcut(struct attempts *attempts, const struct verify *question,
                                   const struct facts *facts)
{
    if (facts->exists && recent_knows(attempts->parts.recent, facts->name, question->password,
                                      facts->stored, loop_now(attempts->parts.loop)))
        return VERIFY_OK;
    return too_many(attempts, facts->name, question->client) ? VERIFY_TEMPORARY : VERIFY_FAILED;
}

/* The table is read before anything is queued: an unreadable one is answered "later" at once. */
void attempts_begin(struct attempts *attempts, void *origin, const struct verify *question)
{
    struct arena arena = {0};
    char text[ADDRESS_TEXT_MAX];
    struct facts facts = {.name = user_name(attempts->parts.conf, question->user, text)};
    struct user user;
    enum verify_status status = VERIFY_TEMPORARY;

    /* A table that can not be read leaves VERIFY_TEMPORARY. */
    if (look_up(attempts, &arena, &facts, &user))
        status = shortcut(attempts, question, &facts);
    if (status == VERIFY_FAILED)
        enqueue(attempts, origin, question, &facts);
    user_wipe(&user);
    if (status != VERIFY_FAILED)
        attempts->parts.answer(origin, &(struct attempt_answer){
                                           .status = status,
                                           .user = facts.name,
                                           .client = question->client,
                                           .session = question->session,
                                           .query = question->query,
                                       });
    arena_free(&arena);
}

/* The bounds are those of a hash: the queue of an account is one, whatever stands in it. */
void attempts_judge(struct attempts *attempts, void *origin, const struct judgement *judgement)
{
    if (too_many(attempts, judgement->user, judgement->client)) {
        attempts->parts.answer(origin, &(struct attempt_answer){
                                           .status = VERIFY_TEMPORARY,
                                           .user = judgement->user,
                                           .client = judgement->client,
                                           .session = judgement->session,
                                           .query = judgement->query,
                                       });
        return;
    }
    struct attempt *attempt =
        attempt_new(attempts, origin, judgement, (struct span[]){SPAN(""), SPAN("")});
    attempt->judged = true;
    attempt->right = judgement->right;
    attempt_queue(attempt);
}

/* The attempts go on: their failures still count. */
void attempts_forget(struct attempts *attempts, const void *origin)
{
    struct account *account, *next;
    struct attempt *attempt;

    HASH_ITER (hh, attempts->accounts, account, next)
        TAILQ_FOREACH (attempt, &account->list, link)
            if (attempt->origin == origin)
                attempt->origin = NULL;
}

bool attempts_pending(const struct attempts *attempts)
{
    return attempts->accounts != NULL;
}
