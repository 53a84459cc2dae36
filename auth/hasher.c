/*
 * Two lists under one mutex: jobs to do and jobs done. A thread takes one, hashes without the lock,
 * and wakes the loop. Two threads are enough: more would only take processor time from the mail.
 */
#include "auth/hasher.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "util/base/arena.h"
#include "util/base/panic.h"
#include "util/base/random.h"
#include "util/sys/thread.h"

enum { NICENESS = 10 };

/* Two lists and a lock; `dummy` is written before there are threads. */
struct hasher {
    pthread_t threads[HASHER_THREADS];
    unsigned thread_count;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct hash_job *todo, **todo_end;
    struct hash_job *finished;
    bool stopping;
    struct wake wake;
    char dummy[CRYPT_OUTPUT_SIZE];
};

/* In constant time: CRYPTO_memcmp, although only a hash could be learnt. */
static bool password_matches(const struct hash_job *job, struct crypt_data *scratch)
{
    /* The stored hash names method, cost and salt (crypt(5)); a broken one gives "*0" or NULL. */
    const char *hashed = crypt_rn(job->password, job->stored, scratch, (int)sizeof(*scratch));
    size_t len = strlen(job->stored);

    return hashed && hashed[0] != '*' && strlen(hashed) == len &&
           CRYPTO_memcmp(hashed, job->stored, len) == 0;
}

/* The next job, or NULL when the thread is to end. */
static struct hash_job *take_job(struct hasher *hasher)
{
    pthread_mutex_lock(&hasher->lock);
    while (!hasher->todo && !hasher->stopping)
        pthread_cond_wait(&hasher->work, &hasher->lock);

    /* Stopping wins: what waits is dropped. */
    struct hash_job *job = hasher->stopping ? NULL : hasher->todo;
    if (job) {
        hasher->todo = job->next;
        if (!hasher->todo)
            hasher->todo_end = &hasher->todo;
    }
    pthread_mutex_unlock(&hasher->lock);
    return job;
}

/* The order of the answers does not matter: each account has one job. */
static void give_back(struct hasher *hasher, struct hash_job *job)
{
    pthread_mutex_lock(&hasher->lock);
    job->next = hasher->finished;
    hasher->finished = job;
    pthread_mutex_unlock(&hasher->lock);
    wake_send(&hasher->wake);
}

/* The scratch of crypt(3), 32 KiB, is wiped behind each password. */
static void *hash_thread(void *arg)
{
    struct hasher *hasher = arg;
    struct crypt_data *scratch = mem_new(sizeof(*scratch));
    struct hash_job *job;

    /* On Linux a niceness belongs to the thread; failure costs nothing but fairness. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    while ((job = take_job(hasher))) {
        job->match = password_matches(job, scratch);
        OPENSSL_cleanse(scratch, sizeof(*scratch));
        give_back(hasher, job);
    }
    mem_free(scratch);
    return NULL;
}

/* In the loop; `done` may submit the next job. */
static void jobs_finished(void *arg)
{
    struct hasher *hasher = arg;

    pthread_mutex_lock(&hasher->lock);
    struct hash_job *job = hasher->finished;
    hasher->finished = NULL;
    pthread_mutex_unlock(&hasher->lock);
    while (job) {
        struct hash_job *next = job->next;

        job->done(job->arg);
        job = next;
    }
}

/* A hash of a password that nobody knows, with the default cost of libxcrypt. */
static void make_dummy(struct hasher *hasher)
{
    char secret[33], salt[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *scratch = mem_new(sizeof(*scratch));

    for (size_t i = 0; i + 1 < sizeof(secret); i++)
        secret[i] = (char)('a' + random_below(26));
    secret[sizeof(secret) - 1] = '\0';
    if (!crypt_gensalt_rn("$y$", 0, NULL, 0, salt, (int)sizeof(salt)))
        fatal(EX_SOFTWARE, "libxcrypt offers no yescrypt");

    const char *hashed = crypt_rn(secret, salt, scratch, (int)sizeof(*scratch));
    if (!hashed || strlen(hashed) >= sizeof(hasher->dummy))
        fatal(EX_SOFTWARE, "libxcrypt can not hash");
    memcpy(hasher->dummy, hashed, strlen(hashed) + 1);
    mem_free(scratch);
}

/* The dummy costs one hash, at the start. */
struct hasher *hasher_new(struct loop *loop)
{
    struct hasher *hasher = mem_new(sizeof(*hasher));

    make_dummy(hasher);
    hasher->todo_end = &hasher->todo;
    wake_init(&hasher->wake, loop, jobs_finished, hasher);
    pthread_mutex_init(&hasher->lock, NULL);
    pthread_cond_init(&hasher->work, NULL);
    return hasher;
}

void hasher_start(struct hasher *hasher, unsigned threads)
{
    require(threads >= 1 && threads <= HASHER_THREADS);
    for (unsigned i = 0; i < threads; i++)
        thread_start(&hasher->threads[i], hash_thread, hasher);
    hasher->thread_count = threads;
}

/* Jobs that wait are not begun any more; those under way are waited for. */
void hasher_free(struct hasher *hasher)
{
    pthread_mutex_lock(&hasher->lock);
    hasher->stopping = true;
    /* All of them sleep on the one condition. */
    pthread_cond_broadcast(&hasher->work);
    pthread_mutex_unlock(&hasher->lock);
    for (unsigned i = 0; i < hasher->thread_count; i++)
        pthread_join(hasher->threads[i], NULL);
    wake_stop(&hasher->wake);
    pthread_cond_destroy(&hasher->work);
    pthread_mutex_destroy(&hasher->lock);
    mem_free(hasher);
}

/* The job stays its owner's and must not move until `done`. */
void hasher_submit(struct hasher *hasher, struct hash_job *job)
{
    job->next = NULL;
    job->match = false;
    pthread_mutex_lock(&hasher->lock);
    *hasher->todo_end = job;
    hasher->todo_end = &job->next;
    pthread_cond_signal(&hasher->work);
    pthread_mutex_unlock(&hasher->lock);
}

bool hasher_takes(const char *stored)
{
    int verdict = crypt_checksalt(stored);

    return verdict != CRYPT_SALT_INVALID && verdict != CRYPT_SALT_METHOD_DISABLED;
}

const char *hasher_dummy(const struct hasher *hasher)
{
    return hasher->dummy;
}
