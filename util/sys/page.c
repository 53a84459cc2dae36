/*
 * Every worker has a page of its own, because a page that several could write would have to trust
 * all of them. Readers take what they find: a count may be a moment old, and nothing but statistics
 * and limits hangs on it, so every access is relaxed and nobody waits for a lock that a dead
 * process holds.
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
#include "util/base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WINDOW = 32, HASH_KEY_SIZE = 16 };

/* Two words, never moved: a reader may look at any moment. */
struct slot {
    _Atomic uint64_t key;
    _Atomic uint64_t count; /* 0: free */
};

struct page {
    uint8_t hash_key[HASH_KEY_SIZE]; /* drawn when the page is made */
    _Atomic uint64_t values[PAGE_VALUE_COUNT];
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

/* A memfd is born with mode 0777: whoever holds it for reading could open it anew for writing. */
static bool prepare(int fd)
{
    uint8_t hash_key[HASH_KEY_SIZE];
    random_fill(hash_key, sizeof(hash_key));
    return fchmod(fd, S_IRUSR | S_IWUSR) == 0 && ftruncate(fd, sizeof(struct page)) == 0 &&
           pwrite(fd, hash_key, sizeof(hash_key), offsetof(struct page, hash_key)) ==
               (ssize_t)sizeof(hash_key) &&
           fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

/* The size is sealed: nobody who holds the descriptor can make the readers' mapping fault. */
int page_create(void)
{
    int fd = memfd_create("veredus-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || prepare(fd))
        return fd;

    int saved_errno = errno;
    (void)close(fd);
    errno = saved_errno;
    return -1;
}

/* A duplicate would share the right to write; only a new open through /proc drops it. */
int page_reopen_readonly(int fd)
{
    char path[40];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* A page of another size is of another build: refused before it is misread. */
struct page *page_map(int fd, bool writable)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return NULL;
    if (status.st_size != (off_t)sizeof(struct page)) {
        errno = EINVAL;
        return NULL;
    }
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *page = mmap(NULL, sizeof(struct page), protection, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
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
    for (size_t i = 0; i < PAGE_SLOTS; i++)
        store(&page->slots[i].count, 0);
}
