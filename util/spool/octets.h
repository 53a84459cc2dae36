/*
 * octets - numbers as little-endian octets; for the files of this folder alone.
 */
#ifndef VEREDUS_SPOOL_OCTETS_H
#define VEREDUS_SPOOL_OCTETS_H

#include <stdint.h>

/* Writes the low `count` octets of `value`, lowest first. */
static inline void octets_put(uint8_t *out, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

/* Reads `count` octets back. */
static inline uint64_t octets_get(const uint8_t *in, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

#endif
