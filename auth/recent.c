/*
 * The hash table is keyed by the HMAC itself: knowing is finding. Since every entry lives equally
 * long, the order of insertion (which uthash keeps) is the order of expiry.
 */
#include "auth/recent.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sysexits.h>

#include "util/base/buf.h"
#include "util/base/hash.h"
#include "util/base/panic.h"
#include "util/base/random.h"

enum { DIGEST = 32, KEY = 32 };

/* A login that was right a short while ago; neither name nor password is in it. */
struct entry {
    uint8_t digest[DIGEST];
    int64_t until_ms;
    UT_hash_handle hh;
};

struct recent {
    uint8_t key[KEY];
    EVP_MD *sha256;
    struct entry *entries;
};

/* The three parts with their lengths before them, so that no two logins give the same octets. */
static void digest_of(const struct recent *recent, const struct span parts[3],
                      uint8_t digest[DIGEST])
{
    struct buf text = {0};
    unsigned len = 0;

    /* Room for all of it at once: a buffer that grows leaves a copy of the password behind. */
    require(buf_room(&text, parts[0].len + parts[1].len + parts[2].len + 3 * sizeof(uint64_t)));
    for (int i = 0; i < 3; i++) {
        /* Eight octets of length: "ab" and "c" are not "a" and "bc". */
        uint64_t size = parts[i].len;

        buf_add(&text, span_of(&size, sizeof(size)));
        buf_add(&text, parts[i]);
    }
    struct span octets = buf_span(&text);
    if (!HMAC(recent->sha256, recent->key, KEY, (const unsigned char *)octets.data, octets.len,
              digest, &len) ||
        len != DIGEST)
        fatal(EX_SOFTWARE, "HMAC-SHA-256 failed");
    OPENSSL_cleanse(text.data, text.cap);
    buf_free(&text);
}

/* The key is drawn anew with each process: a copy of the table is worth nothing elsewhere. */
struct recent *recent_new(void)
{
    struct recent *recent = mem_new(sizeof(*recent));
    uint8_t warm[DIGEST];

    random_fill(recent->key, KEY);
    /* Fetched once: a look-up by name with each login would take a lock. */
    recent->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!recent->sha256)
        fatal(EX_SOFTWARE, "OpenSSL has no SHA-256");
    digest_of(recent, (struct span[]){SPAN(""), SPAN(""), SPAN("")}, warm);
    return recent;
}

/* Only digests: nothing to wipe. */
static void drop(struct recent *recent, struct entry *entry)
{
    HASH_DEL(recent->entries, entry);
    mem_free(entry);
}

/* The key is wiped: without it the table says nothing. */
void recent_free(struct recent *recent)
{
    while (recent->entries)
        drop(recent, recent->entries);
    EVP_MD_free(recent->sha256);
    OPENSSL_cleanse(recent->key, KEY);
    mem_free(recent);
}

/* The first entries of the table are the oldest. */
static void drop_expired(struct recent *recent, int64_t now_ms)
{
    while (recent->entries &&
           (recent->entries->until_ms <= now_ms || HASH_COUNT(recent->entries) > RECENT_MOST))
        drop(recent, recent->entries);
}

/* The stored hash is part of the key: a changed password is asked for at once. */
bool recent_knows(struct recent *recent, struct span user, struct span password, struct span stored,
                  int64_t now_ms)
{
    uint8_t digest[DIGEST];
    struct entry *entry;

    drop_expired(recent, now_ms);
    digest_of(recent, (struct span[]){user, password, stored}, digest);
    HASH_FIND(hh, recent->entries, digest, DIGEST, entry);
    return entry != NULL;
}

/* An entry that is there already is replaced, so that it moves to the end. */
void recent_add(struct recent *recent, struct span user, struct span password, struct span stored,
                int64_t now_ms)
{
    struct entry *entry = mem_new(sizeof(*entry)), *old;

    digest_of(recent, (struct span[]){user, password, stored}, entry->digest);
    HASH_FIND(hh, recent->entries, entry->digest, DIGEST, old);
    if (old)
        drop(recent, old);
    entry->until_ms = now_ms + (int64_t)RECENT_SECONDS * 1000;
    HASH_ADD(hh, recent->entries, digest, DIGEST, entry);
    drop_expired(recent, now_ms);
}
