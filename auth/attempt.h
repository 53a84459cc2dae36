/*
 * attempt - one login from the question to the verdict.
 *
 * The states: looked up -> (remembered: right) or waiting for the account -> hashed -> right, or
 * wrong and delayed. One attempt of an account is hashed at a time; a few may wait behind it, more
 * are answered "try later", so that nobody can fill the memory or the hash queue through one
 * account. Users that do not exist take the same way with a dummy hash: neither the text nor the
 * time of the answer tells them from a wrong password. One client has so many attempts before the
 * hasher at most: somebody who hangs up and comes back can not fill its queue for the others.
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
    ATTEMPTS_CLIENT_MOST = 128  /* of one client that are not hashed yet */
};

/* The answer; its spans are valid during the call. */
struct attempt_answer {
    enum verify_status status;
    struct span user;   /* canonical */
    struct span client; /* as asked */
    uint64_t session;
    uint32_t query;
};

struct attempts;
struct account;

struct attempts_parts {
    struct loop *loop;
    const struct conf *conf;
    struct hasher *hasher; /* becomes the attempts' own, as does what follows */
    struct recent *recent;
    struct delays *delays;
    struct table *passwords; /* "user@domain" -> crypt(5) */
    void (*answer)(void *origin, const struct attempt_answer *answer);
};

/* Takes over what the parts say. */
struct attempts *attempts_new(const struct attempts_parts *parts);

/* Frees everything, the parts too; nobody is answered any more. */
void attempts_free(struct attempts *attempts);

/* Begins a login. `origin` comes back with the answer, which may come from within this call. The
 * spans of `question` are copied; the copy of the password is wiped when it is no longer needed. */
void attempts_begin(struct attempts *attempts, void *origin, const struct verify *question);

/* Whoever asked as `origin` is gone: no more answers to it. */
void attempts_forget(struct attempts *attempts, const void *origin);

/* True while answers are owed. */
bool attempts_pending(const struct attempts *attempts);

#endif
