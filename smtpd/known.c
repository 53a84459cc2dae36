/*
 * A table of fixed size, one place for each hash: a newcomer takes the place of whoever had it. No
 * list, no clean-up, and a flood of different recipients costs nothing but the hits of others.
 */
#include "smtpd/known.h"

#include "util/base/arena.h"
#include "util/base/hash.h"

enum { TRANSPORT_MAX = 32, NEXTHOP_MAX = 512 };

/* Fixed places for the texts: a slot owns no memory, so nothing is allocated for a flood. */
struct slot {
    int64_t until; /* 0: empty */
    uint64_t epoch;
    bool trusted;
    struct address address;
    size_t final_len, transport_len, nexthop_len;
    char final[ADDRESS_TEXT_MAX], transport[TRANSPORT_MAX], nexthop[NEXTHOP_MAX];
};

/* Allocated once for a worker: its size never depends on what clients ask. */
struct known {
    struct slot slots[KNOWN_SLOTS];
};

/* All zero: every slot is empty. */
struct known *known_new(void)
{
    return mem_new(sizeof(struct known));
}

void known_free(struct known *known)
{
    mem_free(known);
}

/* The local part with its case: two spellings take two places, and the answer keeps the spelling.
 */
static size_t place_of(const struct address *address)
{
    return (hash_bytes(address->local, address->local_len) ^
            hash_bytes(address->domain, address->domain_len)) %
           KNOWN_SLOTS;
}

/* Octet by octet, as the place was chosen: only the owner of a mailbox may say that case does not
 * matter in a local part (RFC 5321 §2.4). */
static bool same_address(const struct address *a, const struct address *b)
{
    return span_equal(address_local(a), address_local(b)) &&
           span_equal(address_domain(a), address_domain(b));
}

/* Whatever differs from the question as it was remembered is a miss, and lookup is asked. */
bool known_find(const struct known *known, const struct known_key *key, struct resolved *answer)
{
    const struct slot *slot = &known->slots[place_of(key->address)];

    /* An empty slot has 0 here, which is never later than now. What a trusted client may do says
     * nothing about others. */
    if (slot->until <= key->now || slot->epoch != key->epoch || slot->trusted != key->trusted ||
        !same_address(&slot->address, key->address))
        return false;
    *answer = (struct resolved){
        .status = RESOLVE_OK,
        .address = span_of(slot->final, slot->final_len),
        .transport = span_of(slot->transport, slot->transport_len),
        .nexthop = span_of(slot->nexthop, slot->nexthop_len),
    };
    return true;
}

/* The texts are copied: those of the answer end with its packet. */
void known_add(struct known *known, const struct known_key *key, const struct resolved *answer)
{
    struct slot *slot = &known->slots[place_of(key->address)];

    /* Emptied first: an answer that does not fit must not leave the old one half in place. */
    slot->until = 0;
    if (answer->address.len > sizeof(slot->final) ||
        answer->transport.len > sizeof(slot->transport) ||
        answer->nexthop.len > sizeof(slot->nexthop))
        return;
    slot->final_len = answer->address.len;
    slot->transport_len = answer->transport.len;
    slot->nexthop_len = answer->nexthop.len;
    memcpy(slot->final, answer->address.data, answer->address.len);
    memcpy(slot->transport, answer->transport.data, answer->transport.len);
    memcpy(slot->nexthop, answer->nexthop.data, answer->nexthop.len);
    slot->address = *key->address;
    slot->trusted = key->trusted;
    slot->epoch = key->epoch;
    /* From the answer on, in milliseconds of the loop's clock. */
    slot->until = key->now + KNOWN_MS;
}
