/*
 * arena - memory with one lifetime; and the one place that calls malloc.
 *
 * Veredus knows three lifetimes: the process, the session and the transaction. Each of the last two
 * has an arena; what is allocated in it is never freed singly. An arena that is not used costs
 * nothing but its struct: the first block comes with the first allocation, so that ten thousand
 * idle sessions stay cheap. Memory that runs out is fatal(): master starts the process anew, and
 * what was accepted lies in the spool.
 */
#ifndef VEREDUS_BASE_ARENA_H
#define VEREDUS_BASE_ARENA_H

#include "util/base/span.h"

struct arena_block;

/* Zero-initialised is a valid, empty arena. */
struct arena {
    struct arena_block *blocks; /* newest first */
    char *next;                 /* first free octet of the newest block */
    size_t left;                /* octets free behind it */
};

/* `size` octets, aligned for any type, not initialised. They live until reset or free. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));

/* The same, zeroed. */
void *arena_zalloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));

/* A copy of `s`, followed by a NUL that the span does not count. */
struct span arena_copy(struct arena *arena, struct span s);

/* A formatted text, NUL-terminated behind its end. */
struct span arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Forgets everything, keeps at most one small block for the next transaction. */
void arena_reset(struct arena *arena);

/* Forgets everything and gives all memory back. */
void arena_free(struct arena *arena);

/* Memory for objects with a life of their own (sessions, queue entries): zeroed; mem_free(NULL) is
 * fine. mem_resize keeps the old octets, does not zero the new. Overflow of count * size is fatal.
 */
void *mem_new(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_resize(void *memory, size_t count, size_t size) __attribute__((returns_nonnull));
void mem_free(void *memory);

#endif
