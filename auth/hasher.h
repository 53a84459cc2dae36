/*
 * hasher - the threads that hash passwords, and do nothing else.
 *
 * yescrypt costs tens of milliseconds of a processor by design, so the loop never calls crypt(3):
 * it submits a job and hears of its end in the loop. The threads are niced, so that a flood of
 * logins does not slow the mail down.
 */
#ifndef VEREDUS_AUTH_HASHER_H
#define VEREDUS_AUTH_HASHER_H

#include "util/sys/loop.h"

/* One comparison; the owner's, and untouched by him from submit to done. */
struct hash_job {
    const char *password; /* NUL-terminated */
    const char *stored;   /* crypt(5) form, NUL-terminated */
    bool match;           /* the answer */
    struct hash_job *next;
    void (*done)(void *arg); /* called once, in the loop */
    void *arg;
};

struct hasher;

enum { HASHER_THREADS = 8 };

/* Makes the hasher and its dummy hash; nothing is hashed before hasher_start. */
struct hasher *hasher_new(struct loop *loop);

/* Starts `threads` threads (at most HASHER_THREADS); in the sandbox, which holds for them then. */
void hasher_start(struct hasher *hasher, unsigned threads);

/* Stops the threads after the job each has in hand; what was not done is dropped. */
void hasher_free(struct hasher *hasher);

/* Compares in the background; any number may wait. */
void hasher_submit(struct hasher *hasher, struct hash_job *job);

/* True when a password can match `stored` at all: false for "*", "!" and whatever else is no hash,
 * which crypt(3) refuses without spending the time of one. */
bool hasher_takes(const char *stored);

/* A hash with the cost of a real one that no password matches, for users that do not exist. */
const char *hasher_dummy(const struct hasher *hasher);

#endif
