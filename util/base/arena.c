/*
 * An arena is a list of blocks, and an allocation is an addition: a transaction makes dozens of
 * small copies (paths, parameters, replies), and none of them needs to be found again one by one.
 *
 * The first block is small because most sessions say little; each further one doubles, up to a
 * bound that keeps the unused rest of the last block cheap. What does not fit the block that would
 * be next gets a block of its own behind the newest, whose rest stays in use.
 *
 * Under the sanitizers every allocation has a block of its own, of exactly its size, and reset
 * keeps none: then they see each octet read past an end, and each pointer that outlives its arena.
 */
#include "util/base/arena.h"

#include "util/base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

/* Sizes with the block's head; a block of one octet holds nothing. */
#ifdef VEREDUS_SANITIZED
enum { BLOCK_FIRST = 1, BLOCK_MOST = 1, BLOCK_KEPT = 1 };
#else
enum { BLOCK_FIRST = 1024, BLOCK_MOST = 64 * 1024, BLOCK_KEPT = 4 * 1024 };
#endif

enum { ALIGNMENT = _Alignof(max_align_t) };

struct arena_block {
    struct arena_block *older;
    size_t size; /* with this head */
    _Alignas(max_align_t) char octets[];
};

/* The one way out of every allocation in the program: nobody who asks for memory has to look
 * for NULL. */
static void *memory_or_fatal(void *memory, size_t size)
{
    if (memory == NULL)
        fatal(EX_OSERR, "out of memory: %zu octets asked for", size);
    return memory;
}

/* Not zeroed: most of what an arena hands out is written over at once. */
static struct arena_block *block_new(size_t size)
{
    struct arena_block *block = memory_or_fatal(malloc(size), size);
    block->size = size;
    return block;
}

/* The size of the block to follow the newest. */
static size_t block_next_size(const struct arena *arena)
{
    if (arena->blocks == NULL)
        return BLOCK_FIRST;
    size_t doubled = arena->blocks->size * 2;
    return doubled < BLOCK_MOST ? doubled : BLOCK_MOST;
}

/* Makes `block` the one that allocations are cut from; `used` octets of it are taken. */
static void block_push(struct arena *arena, struct arena_block *block, size_t used)
{
    block->older = arena->blocks;
    arena->blocks = block;
    arena->next = block->octets + used;
    arena->left = block->size - sizeof(*block) - used;
}

/* An allocation that the newest block has no room for. */
static void *alloc_in_new_block(struct arena *arena, size_t size, size_t rounded)
{
    size_t ordinary = block_next_size(arena);
    if (sizeof(struct arena_block) + rounded <= ordinary) {
        block_push(arena, block_new(ordinary), rounded);
        return arena->blocks->octets;
    }

    struct arena_block *own = block_new(sizeof(*own) + size);
    if (arena->blocks == NULL) {
        block_push(arena, own, size);
    } else {
        own->older = arena->blocks->older;
        arena->blocks->older = own;
    }
    return own->octets;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    /* Half of the address space is always a sum that wrapped; refused here, so that the
     * rounding below can not wrap as well. */
    if (size > SIZE_MAX / 2)
        fatal(EX_SOFTWARE, "an allocation of %zu octets makes no sense", size);

    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded == 0)
        /* Nothing asked for is still an address of its own. */
        rounded = ALIGNMENT;
    if (rounded > arena->left)
        return alloc_in_new_block(arena, size, rounded);

    void *memory = arena->next;
    arena->next += rounded;
    arena->left -= rounded;
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

/* The NUL is for the calls of the system that want a C string; the span stays the truth. */
struct span arena_copy(struct arena *arena, struct span s)
{
    char *copy = arena_alloc(arena, s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return span_of(copy, s.len);
}

struct span arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    /* Measured first: nothing is printed into room that was guessed. */
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    require(length >= 0);

    size_t size = (size_t)length + 1;
    char *text = arena_alloc(arena, size);
    va_start(arguments, format);
    (void)vsnprintf(text, size, format, arguments);
    va_end(arguments);
    return span_of(text, size - 1);
}

/* The next transaction of a session is as large as this one, mostly: the newest block that is small
 * enough to be held by an idle session stays. */
void arena_reset(struct arena *arena)
{
    struct arena_block *kept = NULL;
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *older = block->older;
        if (kept == NULL && block->size <= BLOCK_KEPT)
            kept = block;
        else
            free(block);
        block = older;
    }
    *arena = (struct arena){0};
    if (kept != NULL)
        block_push(arena, kept, 0);
}

/* The struct is an empty arena again and may be used anew. */
void arena_free(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    *arena = (struct arena){0};
}

/* One way through mem_array, so that zeroing and the check for NULL stand in one place. */
void *mem_new(size_t size)
{
    return mem_array(1, size);
}

/* calloc(3) and reallocarray(3) may answer NULL for nothing; callers may not see NULL, so nothing
 * is asked for as one octet. */
void *mem_array(size_t count, size_t size)
{
    if (count == 0 || size == 0)
        count = size = 1;
    return memory_or_fatal(calloc(count, size), count * size);
}

/* reallocarray(3), because it checks the product that realloc(3) would let wrap. */
void *mem_resize(void *memory, size_t count, size_t size)
{
    if (count == 0 || size == 0)
        count = size = 1;
    return memory_or_fatal(reallocarray(memory, count, size), count * size);
}

void mem_free(void *memory)
{
    free(memory);
}
