/*
 * Whoever can choose the keys of a hash table (addresses, domains, client names) and knows the hash
 * function can make every key collide, and each look-up a walk through all of them. SipHash under a
 * key that nobody outside knows takes that away.
 */
#include "util/base/hash.h"

#include "util/base/random.h"

#include <endian.h>
#include <pthread.h>

/* The state of SipHash: four words, named as in its definition. */
struct sip {
    uint64_t v0, v1, v2, v3;
};

/* The compilers know this form and make one instruction of it; `bits` is never 0. */
static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

/* Additions, rotations, exclusive-ors: the same time for every input, so that it tells nothing
 * of the key. */
static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

/* Two rounds a word: the 2 of SipHash-2-4. */
static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

/* Up to eight octets, the first one lowest, on any machine. */
static uint64_t load_little_endian(const uint8_t *octets, size_t count)
{
    uint64_t word = 0;
    if (count > 0)
        memcpy(&word, octets, count);
    return le64toh(word);
}

uint64_t siphash(const uint8_t key[16], const void *data, size_t size)
{
    const uint8_t *octets = data;
    uint64_t k0 = load_little_endian(key, 8);
    uint64_t k1 = load_little_endian(key + 8, 8);
    /* The constants are the ASCII of "somepseudorandomlygeneratedbytes", by definition. */
    struct sip s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                    k1 ^ 0x7465646279746573};

    size_t at = 0;
    for (; size - at >= 8; at += 8)
        sip_word(&s, load_little_endian(octets + at, 8));
    /* The last word holds what is left, and in its highest octet the size. */
    const uint8_t *left = size > 0 ? octets + at : octets;
    sip_word(&s, (uint64_t)size << 56 | load_little_endian(left, size - at));

    /* The four rounds at the end: the 4 of SipHash-2-4. */
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/*
 * The key belongs to the process, not to a table: uthash calls its hash function with nothing but
 * the key to hash, and a key in each table would buy nothing. It is drawn at the first call, once,
 * also when a thread makes that call, and never changes.
 */
static struct {
    pthread_once_t once;
    uint8_t octets[16];
} process_key = {.once = PTHREAD_ONCE_INIT};

/* Runs once a process; pthread_once(3) holds back whoever comes meanwhile. */
static void draw_process_key(void)
{
    random_fill(process_key.octets, sizeof(process_key.octets));
}

/* A look at one flag, then the hash. */
uint64_t hash_bytes(const void *data, size_t size)
{
    (void)pthread_once(&process_key.once, draw_process_key);
    return siphash(process_key.octets, data, size);
}
