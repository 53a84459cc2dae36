/*
 * Every worker has a page of its own, because a page that several could write would have to trust
 * all of them. Readers take what they find: a count may be a moment old, and nothing but statistics
 * and limits hangs on it, so every access but one is relaxed and nobody waits for a lock that a
 * dead process holds.
 *
 * The connection table is a hash that never moves an entry: a network lives in one of the WINDOW
 * slots that follow its hash, and a slot whose count is zero is free for the next. So a reader
 * needs no tombstones and no order of writes. A network that finds its window full is not counted;
 * at 5,000 networks in one worker that does not happen, and the limit on all sessions holds anyway.
 * The hash is keyed, so that nobody can choose networks that fill one window.
 */
#include "util/sys/page.h"

#include "util/base/hash.h"
#include "util/base/panic.h"
#include "util/sys/shared_memory.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

enum { WINDOW = 32 };

/* Two words, never moved: a reader may look at any moment. */
struct slot {
    _Atomic uint64_t key;
    _Atomic uint64_t count; /* 0: free */
};

struct page {
    uint8_t hash_key[SHARED_MEMORY_KEY]; /* drawn when the page is made */
    _Atomic uint64_t values[PAGE_VALUE_COUNT];
    _Atomic uint64_t beats;
    _Atomic bool queue_counted;
    struct slot slots[PAGE_SLOTS];
};

const char *page_value_name(enum page_value value)
{
    static const char *const names[] = {
#define PAGE_VALUE_NAME(name, text) [PAGE_##name] = (text),
        PAGE_VALUES(PAGE_VALUE_NAME)
#undef PAGE_VALUE_NAME
    };
    require((unsigned)value < PAGE_VALUE_COUNT);
    return names[value];
}

int page_create(void)
{
    _Static_assert(offsetof(struct page, hash_key) == 0, "the key is where it is drawn");
    return shared_memory_create("veredus-page", sizeof(struct page));
}

/* A duplicate would share the right to write; only a new open through /proc drops it. */
int page_reopen_readonly(int fd)
{
    char path[40];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

struct page *page_map(int fd, bool writable)
{
    return shared_memory_map(fd, sizeof(struct page), writable);
}

/* The memory itself lives on in whoever else has it mapped. */
void page_unmap(struct page *page)
{
    if (page != NULL)
        (void)munmap(page, sizeof(*page));
}

/* Unsigned arithmetic wraps, so adding a negative delta subtracts. */
void page_add(struct page *page, enum page_value value, int64_t delta)
{
    atomic_fetch_add_explicit(&page->values[value], (uint64_t)delta, memory_order_relaxed);
}

void page_set(struct page *page, enum page_value value, uint64_t number)
{
    atomic_store_explicit(&page->values[value], number, memory_order_relaxed);
}

uint64_t page_get(const struct page *page, enum page_value value)
{
    return atomic_load_explicit(&page->values[value], memory_order_relaxed);
}

/* ---- signs of life ---- */

void page_beat(struct page *page)
{
    atomic_fetch_add_explicit(&page->beats, 1, memory_order_relaxed);
}

uint64_t page_beats(const struct page *page)
{
    return atomic_load_explicit(&page->beats, memory_order_relaxed);
}

/* The one flag that other values hang on: whoever sees it sees the gauges that were written before.
 */
void page_queue_counted(struct page *page)
{
    atomic_store_explicit(&page->queue_counted, true, memory_order_release);
}

bool page_queue_is_counted(const struct page *page)
{
    return atomic_load_explicit(&page->queue_counted, memory_order_acquire);
}

/* ---- the connection table ---- */

/* Relaxed: no other octet is promised with this one. */
static uint64_t load(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

/* The only writer is the owner, so load and store need not be one step. */
static void store(_Atomic uint64_t *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

/* Where the window of `key` begins. */
static size_t window(const struct page *page, uint64_t key)
{
    return (size_t)(siphash(page->hash_key, &key, sizeof(key)) % PAGE_SLOTS);
}

/* The index of the slot that counts `key`; PAGE_SLOTS when there is none. */
static size_t find(const struct page *page, uint64_t key)
{
    size_t first = window(page, key);
    for (size_t step = 0; step < WINDOW; step++) {
        size_t index = (first + step) % PAGE_SLOTS;
        if (load(&page->slots[index].key) == key && load(&page->slots[index].count) > 0)
            return index;
    }
    return PAGE_SLOTS;
}

/* The key goes before the count: a reader that sees the count sees the key, or at worst an
 * older one that is counted for a moment. */
static void occupy(struct page *page, uint64_t key)
{
    size_t first = window(page, key);
    for (size_t step = 0; step < WINDOW; step++) {
        struct slot *slot = &page->slots[(first + step) % PAGE_SLOTS];
        if (load(&slot->count) > 0)
            continue;
        store(&slot->key, key);
        store(&slot->count, 1);
        return;
    }
}

/* A network that was not counted when it came is not counted down when it goes. */
void page_connections_add(struct page *page, uint64_t key, int delta)
{
    size_t index = find(page, key);
    if (index < PAGE_SLOTS)
        store(&page->slots[index].count, load(&page->slots[index].count) + (uint64_t)delta);
    else if (delta > 0)
        occupy(page, key);
}

unsigned page_connections(const struct page *page, uint64_t key)
{
    size_t index = find(page, key);
    return index < PAGE_SLOTS ? (unsigned)load(&page->slots[index].count) : 0;
}

/* Keys may stay: a slot without a count is free. The gauges of sessions end with their process;
 * counters go on. */
void page_owner_died(struct page *page)
{
    page_set(page, PAGE_SESSIONS, 0);
    atomic_store_explicit(&page->queue_counted, false, memory_order_relaxed);
    for (size_t i = 0; i < PAGE_SLOTS; i++)
        store(&page->slots[i].count, 0);
}
