/*
 * A slot belongs to whoever's hash stands in its first word. Its second word packs all there is to
 * count, so that one compare-and-swap changes it whole:
 *
 *     16 bits window | 8 bits tag | 1 bit told | 19 bits before | 20 bits now
 *
 * `tag` is a part of the owner's hash: counts that another one left behind are not taken for the
 * new owner's, although the two words are not changed in one step. `told` says that the excess of
 * this window was reported. A window that is older than the last one counts for nothing, so a slot
 * becomes free by time alone, and nobody sweeps.
 *
 * Two counters instead of a fixed window, because a fixed one lets through twice the limit around
 * its end; and instead of a token bucket, because that lets through twice the limit in its first
 * hour, which is the hour that a stolen account has.
 */
#include "util/sys/rates.h"

#include "util/base/hash.h"
#include "util/base/panic.h"
#include "util/sys/shared_memory.h"

#include <ctype.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum {
    PLACES = 16,  /* where a key may lie: so many slots from its hash on */
    TRIES = 1000, /* against others that change the same word, for ever if they are hostile */
    NAME_WORDS = RATES_NAME_MAX / 8,
    MINUTE = 60000,
    HOUR = 3600000
};

enum { NOW_BITS = 20, BEFORE_BITS = 19, TAG_BITS = 8, WINDOW_BITS = 16 };
enum {
    BEFORE_AT = NOW_BITS,
    TOLD_AT = BEFORE_AT + BEFORE_BITS,
    TAG_AT = TOLD_AT + 1,
    WINDOW_AT = TAG_AT + TAG_BITS
};

/* Two words, each whole at any moment. */
struct slot {
    _Atomic uint64_t key; /* 0: nobody's */
    _Atomic uint64_t word;
};

/* What `status` shows. */
struct stopped {
    _Atomic uint64_t until;
    _Atomic uint64_t name[NAME_WORDS];
};

/* What is in the memfd. */
struct memory {
    uint8_t hash_key[SHARED_MEMORY_KEY]; /* drawn when it is made */
    struct stopped stopped[RATES_STOPPED];
    struct slot slots[RATE_COUNT][RATES_SLOTS];
};

/* Our own copy of the key: somebody who changes it there does not change where we look. */
struct rates {
    struct memory *memory;
    uint8_t hash_key[SHARED_MEMORY_KEY];
};

static const int64_t windows[RATE_COUNT] = {
    [RATE_CONNECTIONS] = MINUTE,    [RATE_MESSAGES] = MINUTE,         [RATE_RECIPIENTS] = HOUR,
    [RATE_ACCOUNT_MESSAGES] = HOUR, [RATE_ACCOUNT_RECIPIENTS] = HOUR, [RATE_FAILURES] = HOUR,
    [RATE_ACCOUNT_FAILURES] = HOUR,
};

int64_t rates_window_ms(enum rate rate)
{
    require((unsigned)rate < RATE_COUNT);
    return windows[rate];
}

/* ---- the memory ---- */

int rates_create(void)
{
    _Static_assert(offsetof(struct memory, hash_key) == 0, "the key is where it is drawn");
    return shared_memory_create("veredus-rates", sizeof(struct memory));
}

struct rates *rates_map(int fd)
{
    void *memory = shared_memory_map(fd, sizeof(struct memory), true);
    if (memory == NULL)
        return NULL;
    struct rates *rates = mem_new(sizeof(*rates));
    rates->memory = memory;
    memcpy(rates->hash_key, rates->memory->hash_key, sizeof(rates->hash_key));
    return rates;
}

void rates_unmap(struct rates *rates)
{
    if (rates != NULL)
        (void)munmap(rates->memory, sizeof(*rates->memory));
    mem_free(rates);
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* *expected becomes what is there when that was something else. */
static bool swap(_Atomic uint64_t *word, uint64_t *expected, uint64_t value)
{
    return atomic_compare_exchange_strong_explicit(word, expected, value, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* ---- a word ---- */

/* What a word says at a moment, to the owner of `tag`. */
struct counts {
    uint64_t window, tag, before, now;
    bool told;
};

static uint64_t bits(uint64_t word, unsigned at, unsigned count)
{
    return word >> at & ((UINT64_C(1) << count) - 1);
}

static uint64_t window_of(const struct rates_ask *ask)
{
    return (uint64_t)(ask->now / windows[ask->rate]) & ((UINT64_C(1) << WINDOW_BITS) - 1);
}

static uint64_t tag_of(uint64_t key)
{
    return bits(key, 0, TAG_BITS);
}

/* A window ahead of ours is that of a process whose clock was read a moment later. */
static struct counts unpack(uint64_t word, uint64_t key, uint64_t window)
{
    struct counts counts = {.window = window, .tag = tag_of(key)};
    uint64_t age = (window - bits(word, WINDOW_AT, WINDOW_BITS)) & ((1U << WINDOW_BITS) - 1);
    uint64_t most = (UINT64_C(1) << BEFORE_BITS) - 1, now = bits(word, 0, NOW_BITS);
    if (bits(word, TAG_AT, TAG_BITS) != counts.tag)
        return counts;
    if (age == 1) {
        counts.before = now < most ? now : most;
    } else if (age == 0 || age == (1U << WINDOW_BITS) - 1) {
        counts.window = bits(word, WINDOW_AT, WINDOW_BITS);
        counts.before = bits(word, BEFORE_AT, BEFORE_BITS);
        counts.told = bits(word, TOLD_AT, 1) != 0;
        counts.now = now;
    }
    return counts;
}

static uint64_t pack(const struct counts *counts)
{
    return counts->window << WINDOW_AT | counts->tag << TAG_AT | (uint64_t)counts->told << TOLD_AT |
           counts->before << BEFORE_AT | counts->now;
}

/* Of the window before, the share that is still within a window's length of now. */
static uint64_t sum_of(const struct counts *counts, const struct rates_ask *ask)
{
    uint64_t length = (uint64_t)windows[ask->rate], gone = (uint64_t)ask->now % length;
    return counts->now + counts->before * (length - gone) / length;
}

/* ---- finding a slot ---- */

/* Never 0. */
static uint64_t key_of(const struct rates *rates, const struct rates_ask *ask)
{
    const uint64_t parts[] = {(uint64_t)ask->rate, ask->who};
    uint64_t key = siphash(rates->hash_key, parts, sizeof(parts));
    return key != 0 ? key : 1;
}

/* The place at `step` from the key's own; of its rate, whatever the key is. */
static struct slot *place(const struct rates *rates, enum rate rate, uint64_t key, size_t step)
{
    require((unsigned)rate < RATE_COUNT);
    return &rates->memory->slots[rate][((key >> TAG_BITS) + step) % RATES_SLOTS];
}

/* NULL: the key is not there. */
static struct slot *find(const struct rates *rates, enum rate rate, uint64_t key)
{
    for (size_t step = 0; step < PLACES; step++) {
        struct slot *slot = place(rates, rate, key, step);
        if (load(&slot->key) == key)
            return slot;
    }
    return NULL;
}

/* How much would be lost with the slot: 0 for one whose counts are of old. */
static uint64_t worth(const struct slot *slot, uint64_t window)
{
    uint64_t key = load(&slot->key);
    struct counts counts = unpack(load(&slot->word), key, window);
    return key == 0 ? 0 : counts.now + counts.before;
}

/* The first slot that is worth least, or the one that another process took for this key meanwhile:
 * with two slots for one key each would count for itself. */
static struct slot *cheapest(const struct rates *rates, enum rate rate, uint64_t key,
                             uint64_t window)
{
    struct slot *best = NULL;
    uint64_t least = UINT64_MAX;
    for (size_t step = 0; step < PLACES && least > 0; step++) {
        struct slot *slot = place(rates, rate, key, step);
        if (load(&slot->key) == key)
            return slot;
        uint64_t value = worth(slot, window);
        if (value < least) {
            best = slot;
            least = value;
        }
    }
    return best;
}

/* Who comes second to a slot, with the same key, uses it too; with another key, tries once more. */
static struct slot *occupy(const struct rates *rates, enum rate rate, uint64_t key, uint64_t window)
{
    for (int try = 0; try < TRIES; try++) {
        struct slot *slot = cheapest(rates, rate, key, window);
        uint64_t owner = load(&slot->key);
        if (owner == key || swap(&slot->key, &owner, key) || owner == key)
            return slot;
    }
    return NULL;
}

/* ---- counting ---- */

uint64_t rates_account(const struct rates *rates, struct span account)
{
    char lower[RATES_NAME_MAX * 4];
    size_t len = account.len < sizeof(lower) ? account.len : sizeof(lower);
    for (size_t i = 0; i < len; i++)
        lower[i] = (char)tolower((unsigned char)account.data[i]);
    return siphash(rates->hash_key, lower, len);
}

bool rates_is_full(const struct rates *rates, const struct rates_ask *ask)
{
    uint64_t key = key_of(rates, ask);
    const struct slot *slot = find(rates, ask->rate, key);
    if (slot == NULL)
        return false;
    struct counts counts = unpack(load(&slot->word), key, window_of(ask));
    return sum_of(&counts, ask) >= ask->limit;
}

/* Whoever can not change the word, because others change it all the time, is let through. */
enum rates_result rates_take(struct rates *rates, const struct rates_ask *ask)
{
    uint64_t key = key_of(rates, ask), window = window_of(ask);
    struct slot *slot = find(rates, ask->rate, key);
    if (slot == NULL)
        slot = occupy(rates, ask->rate, key, window);
    if (slot == NULL)
        return RATES_OK;
    uint64_t word = load(&slot->word);
    for (int try = 0; try < TRIES; try++) {
        struct counts counts = unpack(word, key, window);
        bool exceeded = sum_of(&counts, ask) >= ask->limit;
        if (exceeded && counts.told)
            return RATES_EXCEEDED;
        if (exceeded)
            counts.told = true;
        else
            counts.now++;
        if (swap(&slot->word, &word, pack(&counts)))
            return exceeded ? RATES_EXCEEDED_FIRST : RATES_OK;
    }
    return RATES_OK;
}

/* ---- what the operator is shown ---- */

/* The place of one that is stopped no more, or of the one that ends first. */
static struct stopped *place_for_stopped(const struct rates *rates)
{
    struct stopped *best = &rates->memory->stopped[0];
    for (size_t i = 1; i < RATES_STOPPED; i++)
        if (load(&rates->memory->stopped[i].until) < load(&best->until))
            best = &rates->memory->stopped[i];
    return best;
}

/* Two at once may mix two names: that is seen by a person, and used by nobody else. */
void rates_note_stopped(struct rates *rates, struct span account, int64_t now, int64_t until)
{
    char name[RATES_NAME_MAX] = {0};
    struct span shown = span_first(account, sizeof(name));
    char out[RATES_NAME_MAX];
    for (size_t i = 0; shown.len > 0 && i < RATES_STOPPED; i++)
        if (span_equal_nocase(rates_stopped(rates, i, now, out), shown)) {
            store(&rates->memory->stopped[i].until, (uint64_t)until);
            return;
        }
    struct stopped *stopped = place_for_stopped(rates);
    for (size_t i = 0; i < shown.len; i++)
        name[i] = shown.data[i];
    for (size_t i = 0; i < NAME_WORDS; i++) {
        uint64_t word;
        memcpy(&word, name + i * sizeof(word), sizeof(word));
        store(&stopped->name[i], word);
    }
    store(&stopped->until, (uint64_t)until);
}

struct span rates_stopped(const struct rates *rates, size_t index, int64_t now,
                          char out[RATES_NAME_MAX])
{
    require(index < RATES_STOPPED);
    const struct stopped *stopped = &rates->memory->stopped[index];
    size_t len = 0;
    if (load(&stopped->until) <= (uint64_t)now)
        return SPAN("");
    for (size_t i = 0; i < NAME_WORDS; i++) {
        uint64_t word = load(&stopped->name[i]);
        memcpy(out + i * sizeof(word), &word, sizeof(word));
    }
    for (; len < RATES_NAME_MAX && out[len] != '\0'; len++)
        if (out[len] <= ' ' || out[len] > '~')
            out[len] = '?';
    return span_of(out, len);
}
