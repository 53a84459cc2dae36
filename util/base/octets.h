/*
 * octets - numbers as little-endian octets: the form of all that leaves a process.
 */
#ifndef VEREDUS_BASE_OCTETS_H
#define VEREDUS_BASE_OCTETS_H

#include <stdint.h>

/* Writes the low `count` octets of `value`, lowest first. */
static inline void octets_put(void *out, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ((uint8_t *)out)[i] = (uint8_t)(value >> (8 * i));
}

/* Reads `count` octets back. */
static inline uint64_t octets_get(const void *in, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value |= (uint64_t)((const uint8_t *)in)[i] << (8 * i);
    return value;
}

#endif
