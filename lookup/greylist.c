/*
 * One table holds two kinds of entries, told apart by their keys: letters (network, sender,
 * recipient) and networks. A key is a hash of 64 bits: two letters share one about never, and then
 * one of them is taken sooner.
 *
 *     letter    first = time of the first try    last = time of the latest that was taken, 0: none
 *     network   first = letters that came again  last = time of the latest of them
 *
 * A bucket that is full loses its oldest entry; one that still waits goes before any that has come
 * again, so that a flood of first tries pushes out none of those who proved themselves.
 */
#include "lookup/greylist.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/base/hash.h"
#include "util/base/octets.h"
#include "util/base/random.h"
#include "util/mail/address.h"
#include "util/sys/file.h"

enum {
    MAGIC_SIZE = 8,
    HEAD = 4096, /* magic, key, zeros */
    SLOT = 16,   /* key 8, first 4, last 4 */
    BUCKET = SLOT * GREYLIST_SLOTS,
    V4_BITS = 24,
    V6_BITS = 64
};

static const char magic[MAGIC_SIZE] = {'v', 'e', 'r', 'g', 'r', 'e', 'y', '1'};

struct slot {
    uint64_t key; /* 0: free */
    uint32_t first, last;
};

/* Where a key lies, or may be put. */
struct place {
    off_t at;
    struct slot slot;
    bool found;
};

/* ---- the file ---- */

/* Of a file that was made just now, or whose making was cut short. */
static bool write_head(struct greylist *greylist)
{
    char head[MAGIC_SIZE + GREYLIST_KEY];
    random_fill(greylist->key, sizeof(greylist->key));
    memcpy(head, magic, sizeof(magic));
    memcpy(head + sizeof(magic), greylist->key, sizeof(greylist->key));
    return pwrite(greylist->fd, head, sizeof(head), 0) == sizeof(head) &&
           ftruncate(greylist->fd, HEAD + (off_t)GREYLIST_BUCKETS * BUCKET) == 0;
}

static bool read_head(struct greylist *greylist)
{
    char head[MAGIC_SIZE + GREYLIST_KEY];
    errno = EINVAL;
    if (pread(greylist->fd, head, sizeof(head), 0) != sizeof(head) ||
        memcmp(head, magic, sizeof(magic)) != 0)
        return false;
    memcpy(greylist->key, head + sizeof(magic), sizeof(greylist->key));
    return true;
}

/* The directory belongs to a user with less rights than ours may be: a second link, or anything
 * that is no plain file, would be somebody else's. */
static bool take(struct greylist *greylist)
{
    struct stat status;
    if (fstat(greylist->fd, &status) != 0)
        return false;
    errno = EINVAL;
    if (!S_ISREG(status.st_mode) || status.st_nlink != 1)
        return false;
    return status.st_size == 0 ? write_head(greylist) : read_head(greylist);
}

bool greylist_open(struct greylist *greylist, const char *path)
{
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    greylist->fd = open(path, flags, S_IRUSR | S_IWUSR);
    if (greylist->fd < 0)
        return false;
    if (take(greylist))
        return true;
    int problem = errno;
    greylist_close(greylist);
    errno = problem;
    return false;
}

void greylist_close(struct greylist *greylist)
{
    file_close(&greylist->fd);
}

/* ---- slots ---- */

static struct slot decode(const char octets[SLOT])
{
    return (struct slot){.key = octets_get(octets, 8),
                         .first = (uint32_t)octets_get(octets + 8, 4),
                         .last = (uint32_t)octets_get(octets + 12, 4)};
}

/* Who is worth least has the least time; those that wait are below all others. */
static uint64_t worth(const struct slot *slot)
{
    if (slot->key == 0)
        return 0;
    return slot->last == 0 ? 1 + (uint64_t)slot->first : (UINT64_C(1) << 32) + slot->last;
}

/* The entry of the key, or the place of whoever gives way to it. False: the file can not be
 * read. */
static bool find(const struct greylist *greylist, uint64_t key, struct place *place)
{
    char octets[BUCKET];
    off_t at = HEAD + (off_t)(key % GREYLIST_BUCKETS) * BUCKET;
    uint64_t least = UINT64_MAX;
    if (pread(greylist->fd, octets, sizeof(octets), at) != sizeof(octets))
        return false;
    *place = (struct place){.slot = {.key = key}};
    for (off_t i = 0; i < GREYLIST_SLOTS; i++) {
        struct slot slot = decode(octets + i * SLOT);
        if (slot.key == key) {
            *place = (struct place){.at = at + i * SLOT, .slot = slot, .found = true};
            return true;
        }
        if (worth(&slot) < least) {
            least = worth(&slot);
            place->at = at + i * SLOT;
        }
    }
    return true;
}

/* What can not be written is forgotten: it costs a second try. */
static void store(const struct greylist *greylist, const struct place *place)
{
    char octets[SLOT];
    octets_put(octets, place->slot.key, 8);
    octets_put(octets + 8, place->slot.first, 4);
    octets_put(octets + 12, place->slot.last, 4);
    ssize_t written = pwrite(greylist->fd, octets, sizeof(octets), place->at);
    (void)written;
}

/* ---- keys ---- */

/* The first bits of the address; without padding, so that equal networks are equal octets. */
static size_t network_of(const union net_address *client, uint8_t out[V6_BITS / 8])
{
    bool v4 = client->any.sa_family == AF_INET;
    size_t size = v4 ? V4_BITS / 8 : V6_BITS / 8;
    if (v4)
        memcpy(out, &client->v4.sin_addr, size);
    else
        memcpy(out, &client->v6.sin6_addr, size);
    return size;
}

/* Appends the text in lower case, and its end. */
static size_t append(char *out, size_t used, struct span text)
{
    for (size_t i = 0; i < text.len && i < ADDRESS_TEXT_MAX; i++) {
        char c = text.data[i];
        out[used++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[used++] = '\0';
    return used;
}

/* Never 0, which is a free slot. */
static uint64_t hash(const struct greylist *greylist, const void *octets, size_t size)
{
    uint64_t key = siphash(greylist->key, octets, size);
    return key != 0 ? key : 1;
}

static uint64_t key_of_network(const struct greylist *greylist, const union net_address *client)
{
    uint8_t octets[V6_BITS / 8];
    size_t size = network_of(client, octets);
    return hash(greylist, octets, size);
}

static uint64_t key_of_letter(const struct greylist *greylist, const struct greylist_try *attempt)
{
    uint8_t network[V6_BITS / 8];
    char octets[sizeof(network) + 2 * (ADDRESS_TEXT_MAX + 1)];
    size_t used = network_of(attempt->client, network);
    memcpy(octets, network, used);
    used = append(octets, used, attempt->sender);
    used = append(octets, used, attempt->recipient);
    return hash(greylist, octets, used);
}

/* ---- the judgement ---- */

/* A clock that was set back makes nothing old. */
static uint64_t age(uint32_t now, uint32_t then)
{
    return now > then ? now - then : 0;
}

/* True when everything from there is taken; a letter that is taken so keeps that alive. */
static bool is_proven(const struct greylist *greylist, const struct greylist_rules *rules,
                      const struct greylist_try *attempt)
{
    struct place network;
    if (!find(greylist, key_of_network(greylist, attempt->client), &network))
        return true;
    bool proven = network.found && network.slot.first >= rules->passes &&
                  age(attempt->now, network.slot.last) < rules->life;
    if (proven) {
        network.slot.last = attempt->now;
        store(greylist, &network);
    }
    return proven;
}

/* One more letter came again; what was forgotten begins anew. */
static void count_pass(const struct greylist *greylist, const struct greylist_rules *rules,
                       const struct greylist_try *attempt)
{
    struct place network;
    if (!find(greylist, key_of_network(greylist, attempt->client), &network))
        return;
    if (!network.found || age(attempt->now, network.slot.last) >= rules->life)
        network.slot.first = 0;
    if (network.slot.first < UINT32_MAX)
        network.slot.first++;
    network.slot.last = attempt->now;
    store(greylist, &network);
}

/* A letter that is new, came too late, or is forgotten. */
static uint32_t begin(const struct greylist *greylist, const struct greylist_rules *rules,
                      struct place *letter, uint32_t now)
{
    letter->slot.first = now;
    letter->slot.last = 0;
    store(greylist, letter);
    return (uint32_t)rules->delay;
}

/* An entry whose first try lies in the future was made before the clock was set back. */
static uint32_t judge_letter(const struct greylist *greylist, const struct greylist_rules *rules,
                             const struct greylist_try *attempt)
{
    struct place letter;
    if (!find(greylist, key_of_letter(greylist, attempt), &letter))
        return 0;
    bool taken = letter.slot.last != 0;
    uint64_t waited = age(attempt->now, letter.slot.first);
    bool late = taken ? age(attempt->now, letter.slot.last) >= rules->life : waited > rules->window;
    if (!letter.found || late || letter.slot.first > attempt->now)
        return begin(greylist, rules, &letter, attempt->now);
    if (!taken && waited < rules->delay)
        return (uint32_t)(rules->delay - waited);
    if (!taken)
        count_pass(greylist, rules, attempt);
    letter.slot.last = attempt->now;
    store(greylist, &letter);
    return 0;
}

uint32_t greylist_judge(const struct greylist *greylist, const struct greylist_rules *rules,
                        const struct greylist_try *attempt)
{
    if (greylist->fd < 0 || is_proven(greylist, rules, attempt))
        return 0;
    return judge_letter(greylist, rules, attempt);
}
