/*
 * hash - uthash under a key drawn at start: SipHash-2-4, so that nobody outside can choose keys
 * that collide. Include this file, never <uthash.h>.
 */
#ifndef VEREDUS_BASE_HASH_H
#define VEREDUS_BASE_HASH_H

#include "util/base/arena.h"

/* SipHash-2-4 of `size` octets under `key`: the same in every process that has the key. */
uint64_t siphash(const uint8_t key[16], const void *data, size_t size);

/* The same under a key of this process alone (drawn at the first call). */
uint64_t hash_bytes(const void *data, size_t size);

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_bytes((keyptr), (keylen)))
#define uthash_malloc(size)                  mem_new(size)
#define uthash_free(memory, size)            mem_free(memory)
#include <uthash.h>

#endif
