/*
 * attempt - one login from the question to the verdict.
 *
 * The states: looked up -> (remembered: right) or waiting for the account -> hashed -> right, or
 * wrong and delayed. One attempt of an account is hashed at a time; a few may wait behind it, more
 * are answered "try later", so that nobody can fill the memory or the hash queue through one
 * account. Users that do not exist take the same way with a dummy hash: neither the text nor the
 * time of the answer tells them from a wrong password. What SCRAM has judged waits in the same
 * queue, and is delayed alike. One network has so many attempts before the
 * hasher at most: somebody who hangs up and comes back can not fill its queue for the others.
 *
 * In the queue of an account the networks take turns, and where it is full the newcomer of a
 * network that waits for less pushes out the last one of a network that waits for more: who guesses
 * at an account does not lock its owner out, who comes from elsewhere.
 */
#ifndef VEREDUS_AUTH_ATTEMPT_H
#define VEREDUS_AUTH_ATTEMPT_H

#include "auth/delays.h"
#include "auth/hasher.h"
#include "auth/recent.h"
#include "util/conf/conf.h"
#include "util/ipc/messages.h"
#include "util/table/table.h"

enum {
    ATTEMPTS_WAITING_MOST = 16, /* behind the one of an account that is hashed */
    ATTEMPTS_CLIENT_MOST = 128, /* of one network that are not hashed yet */
    ATTEMPTS_MOST = 4096        /* of everybody, those included that are only delayed */
};

/* The answer; its spans are valid during the call. */
struct attempt_answer {
    enum verify_status status;
    struct span user;   /* canonical */
    struct span client; /* as asked */
    uint64_t session;
    uint32_t query;
};

/* Where several kinds of origin ask, each begins with this, and attempts_parts.answer is
 * asker_answer. */
struct asker {
    void (*answered)(void *origin, const struct attempt_answer *answer);
};

/* Hands the answer to the asker that `origin` begins with. */
void asker_answer(void *origin, const struct attempt_answer *answer);

struct attempts;
struct account;

struct attempts_parts {
    struct loop *loop;
    const struct conf *conf;
    struct hasher *hasher; /* becomes the attempts' own, as does what follows */
    struct recent *recent;
    struct delays *delays;
    struct table *passwords; /* "user@domain" -> credentials.h */
    void (*answer)(void *origin, const struct attempt_answer *answer);
};

/* Takes over what the parts say. */
struct attempts *attempts_new(const struct attempts_parts *parts);

/* Frees everything, the parts too; nobody is answered any more. */
void attempts_free(struct attempts *attempts);

/* Begins a login. `origin` comes back with the answer, which may come from within this call. The
 * spans of `question` are copied; the copy of the password is wiped when it is no longer needed. */
void attempts_begin(struct attempts *attempts, void *origin, const struct verify *question);

/* A login whose proof was compared already, by SCRAM: only its turn and its delay are missing. */
struct judgement {
    struct span user; /* canonical; copied, as is the client */
    struct span client;
    uint64_t session;
    uint32_t query;
    bool right;
};

/* Waits behind the other attempts of the account, then answers as attempts_begin does: who guesses
 * by SCRAM guesses no faster, and not side by side. */
void attempts_judge(struct attempts *attempts, void *origin, const struct judgement *judgement);

/* Whoever asked as `origin` is gone: no more answers to it. */
void attempts_forget(struct attempts *attempts, const void *origin);

/* True while answers are owed. */
bool attempts_pending(const struct attempts *attempts);

#endif
