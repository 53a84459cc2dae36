/*
 * pairs - what lies in the spool's queue directory, by number: for recovery alone.
 */
#ifndef VEREDUS_SPOOL_PAIRS_H
#define VEREDUS_SPOOL_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_store;

/* The two names that a number may have. */
struct pair {
    uint64_t number;
    bool letters, state;
};

/* All numbers of the directory; the pairs are the caller's to free. */
struct pair_list {
    struct pair *pairs;
    size_t count, cap;
};

/* Adds every pair to the empty `list`, one item a number and by age, and removes spares of an
 * earlier life. What is not the spool's is logged and left alone. False with errno; the list holds
 * what was read so far. */
bool pairs_read(struct spool_store *store, struct pair_list *list)
    __attribute__((warn_unused_result));

#endif
