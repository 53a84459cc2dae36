/*
 * One table for accounts and addresses; a mark before the key keeps them apart. Every failure moves
 * its entry to the end of the table, so that the oldest stand first and are forgotten first, also
 * when somebody tries a million names: memory is bounded.
 */
#include "auth/delays.h"

#include "auth/client.h"
#include "util/base/buf.h"
#include "util/base/hash.h"

enum { KEY_MAX = 64 }; /* of most names; a hundred thousand entries take 15 MB */

/* An account or an address that failed lately. */
struct entry {
    char key[KEY_MAX];
    size_t key_len;
    unsigned failures;
    int64_t last_ms;
    UT_hash_handle hh;
};

struct delays {
    uint64_t first, most;
    struct entry *entries;
};

/* Both in seconds. */
struct delays *delays_new(uint64_t first, uint64_t most)
{
    struct delays *delays = mem_new(sizeof(*delays));

    delays->first = first;
    delays->most = most;
    return delays;
}

static void drop(struct delays *delays, struct entry *entry)
{
    HASH_DEL(delays->entries, entry);
    mem_free(entry);
}

/* Failures are forgotten with the process. */
void delays_free(struct delays *delays)
{
    while (delays->entries)
        drop(delays, delays->entries);
    mem_free(delays);
}

/* Fills key and key_len; a key that is too long is known by its hash. */
static void set_key(struct entry *entry, char mark, struct span name)
{
    entry->key[0] = mark;
    /* Addresses always fit; what does not is somebody's experiment. */
    if (name.len <= KEY_MAX - 1) {
        memcpy(entry->key + 1, name.data, name.len);
        entry->key_len = name.len + 1;
    } else {
        uint64_t hash = hash_bytes(name.data, name.len);

        memcpy(entry->key + 1, &hash, sizeof(hash));
        entry->key_len = sizeof(hash) + 1;
    }
}

/* The key is made on the stack: looking allocates nothing. */
static struct entry *find(struct delays *delays, char mark, struct span name)
{
    struct entry wanted, *found;

    set_key(&wanted, mark, name);
    HASH_FIND(hh, delays->entries, wanted.key, wanted.key_len, found);
    return found;
}

/* By age, then by number: a flood of names pushes out the oldest ones. */
static void forget_old(struct delays *delays, int64_t now_ms)
{
    while (delays->entries &&
           (now_ms - delays->entries->last_ms > (int64_t)DELAYS_FORGET_SECONDS * 1000 ||
            HASH_COUNT(delays->entries) > DELAYS_MOST))
        drop(delays, delays->entries);
}

/* Seconds: first * 2^(failures - 1), at most `most`. */
static uint64_t delay_of(const struct delays *delays, unsigned failures)
{
    uint64_t delay = delays->first;

    for (unsigned i = 1; i < failures && delay < delays->most; i++)
        delay *= 2;
    return delay < delays->most ? delay : delays->most;
}

/* Taken out and put in again, so that it stands at the end. */
static uint64_t count_failure(struct delays *delays, char mark, struct span name, int64_t now_ms)
{
    struct entry *entry = find(delays, mark, name);

    if (entry) {
        HASH_DEL(delays->entries, entry);
    } else {
        entry = mem_new(sizeof(*entry));
        set_key(entry, mark, name);
    }
    entry->failures++;
    entry->last_ms = now_ms;
    HASH_ADD_KEYPTR(hh, delays->entries, entry->key, entry->key_len, entry);
    return delay_of(delays, entry->failures);
}

/* The longer of the two waits: many accounts from one network are as slow as one account from
 * many. */
int64_t delays_failed(struct delays *delays, struct span account, struct span client,
                      int64_t now_ms)
{
    forget_old(delays, now_ms);
    /* Both are counted, whichever of them is the longer wait. */
    uint64_t by_account = count_failure(delays, 'a', account, now_ms);
    uint64_t network = client_network(client);
    uint64_t by_client = count_failure(delays, 'c', span_of(&network, sizeof(network)), now_ms);

    return (int64_t)(by_account > by_client ? by_account : by_client) * 1000;
}

/* The network keeps its failures: one right password must not clear the way for guessing
 * others. */
void delays_succeeded(struct delays *delays, struct span account)
{
    struct entry *entry = find(delays, 'a', account);

    if (entry)
        drop(delays, entry);
}
