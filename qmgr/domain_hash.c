/*
 * Two halves, because one hash of the whole name says nothing about the names beneath it, and a
 * hash of its end alone would make all hosts of a large organisation one. Nobody gains by two names
 * with the same hash: mail for one is tried when the other is asked for, and that is all.
 */
#include "qmgr/domain_hash.h"

enum { HALF = 16, CASE_BIT = 0x20 };

/* The domain alone is a name without "@": it is all of it. */
struct span domain_of_address(struct span address)
{
    size_t at = span_find_last(address, '@');
    return at < address.len ? span_skip(address, at + 1) : address;
}

/* FNV-1a, its 32 bits folded into 16. */
static uint32_t hash_of(struct span text)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = (uint8_t)text.data[i];
        bool is_upper = octet >= 'A' && octet <= 'Z';
        hash = (hash ^ (is_upper ? octet | CASE_BIT : octet)) * UINT32_C(16777619);
    }
    return (hash >> HALF ^ hash) & UINT16_MAX;
}

/* "c.d" of "a.b.c.d". */
static struct span last_two_labels(struct span domain)
{
    size_t dot = span_find_last(domain, '.');
    size_t before = span_find_last(span_first(domain, dot), '.');
    return dot == domain.len || before == dot ? domain : span_skip(domain, before + 1);
}

/* Zero means that it is not known. */
uint32_t domain_hash(struct span domain)
{
    uint32_t hash = hash_of(last_two_labels(domain)) << HALF | hash_of(domain);
    return hash != DOMAIN_HASH_UNKNOWN ? hash : 1;
}

bool domain_hash_may_be_under(uint32_t hash, uint32_t parent)
{
    return hash >> HALF == parent >> HALF;
}

bool domain_is_under(struct span domain, struct span parent)
{
    if (domain.len <= parent.len)
        return span_equal_nocase(domain, parent);
    size_t head = domain.len - parent.len;
    return domain.data[head - 1] == '.' && span_equal_nocase(span_skip(domain, head), parent);
}
