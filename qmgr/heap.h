/*
 * heap - who is due next: a binary heap of times, eight octets an entry.
 *
 * Nothing is ever taken out of its middle: an entry leaves when it is due. But it may be hastened,
 * by whoever knows where it lies. Zero-initialised is a valid, empty heap.
 */
#ifndef VEREDUS_QMGR_HEAP_H
#define VEREDUS_QMGR_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `value` is the caller's: the number of a queue entry. */
struct heap_item {
    uint32_t time; /* in seconds, of any clock */
    uint32_t value;
};

struct heap {
    struct heap_item *items; /* the earliest first */
    size_t count, cap;
    /* Told where an item lies now, whenever that changes; may be NULL. */
    void (*placed)(void *arg, uint32_t value, size_t at);
    void *arg;
};

/* Adds an item; O(log n), on average less than two moves. */
void heap_push(struct heap *heap, struct heap_item item);

/* The item that lies at `at` gets an earlier time. */
void heap_hasten(struct heap *heap, size_t at, uint32_t time);

/* The earliest item; the heap must not be empty. */
struct heap_item heap_first(const struct heap *heap);

/* Takes the earliest item out when it is due at `now`; false when there is none. */
bool heap_take_due(struct heap *heap, uint32_t now, struct heap_item *item)
    __attribute__((warn_unused_result));

/* Gives the memory back; the heap is empty and can be used again. */
void heap_free(struct heap *heap);

#endif
