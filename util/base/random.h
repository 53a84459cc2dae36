/*
 * random - unpredictable octets and fair choices, from getrandom(2).
 */
#ifndef VEREDUS_BASE_RANDOM_H
#define VEREDUS_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `out` with `size` octets. A kernel without randomness is fatal. */
void random_fill(void *out, size_t size);

/* Each of the 2^32 numbers with the same chance; for salts, ids and jitter. A kernel without
 * randomness is fatal, here as above. */
uint32_t random_u32(void);

/* The same of 2^64. */
uint64_t random_u64(void);

/* A fair choice of 0 .. bound - 1; bound must not be 0. */
uint32_t random_below(uint32_t bound);

#endif
