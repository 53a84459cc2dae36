/*
 * base64 - RFC 4648 §4, strict; and the base 32 of queue ids.
 */
#ifndef VEREDUS_BASE_BASE64_H
#define VEREDUS_BASE_BASE64_H

#include "util/base/arena.h"

/* The text of `octets`, with padding, without line breaks; lives in `arena`. */
struct span base64_encode(struct arena *arena, struct span octets);

/* The octets of `text`. False for any octet outside the alphabet, wrong or missing padding, and
 * non-zero bits behind the end (RFC 4648 §3.5). */
bool base64_decode(struct arena *arena, struct span text, struct span *octets)
    __attribute__((warn_unused_result));

enum { BASE32_U64_MAX = 13 };

/* Writes `number` in base 32: the digits, the capital consonants and A, in the order of ASCII
 * (hardly a word can appear); no padding. Returns the count of digits, 1 to BASE32_U64_MAX; no NUL.
 */
size_t base32_u64(uint64_t number, char out[BASE32_U64_MAX]);

/* Reads it back, lower case too; false for a foreign digit, nothing, or overflow. */
bool base32_to_u64(struct span text, uint64_t *number) __attribute__((warn_unused_result));

#endif
