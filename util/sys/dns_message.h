/*
 * dns_message - questions to the DNS and what comes back, as octets (RFC 1035 §4).
 *
 * A walk over one message: no socket, no memory but the caller's arena, nothing believed.
 * Compressed names may lead backwards alone, so a walk ends. An answer is one for the question that
 * was asked: aliases are followed within the message, records of other names and types are passed
 * over.
 */
#ifndef VEREDUS_SYS_DNS_MESSAGE_H
#define VEREDUS_SYS_DNS_MESSAGE_H

#include "util/base/arena.h"
#include "util/sys/dns_name.h"

/* RFC 1035 §3.2.2, RFC 3596 §2.1. */
enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };

enum dns_result {
    DNS_FOUND,    /* the name has such records, be it that none of them is usable */
    DNS_NO_DATA,  /* the name is there, without such records */
    DNS_NO_NAME,  /* NXDOMAIN: the name is not there, nor anything beneath it */
    DNS_TEMPORARY /* nobody knows: no answer, SERVFAIL, REFUSED, nonsense. Never take it for "no" */
};

enum {
    DNS_RECORDS_MAX = 256, /* of one answer */
    DNS_PAYLOAD = 1232,    /* octets of a UDP answer that no network cuts up */
    DNS_QUERY_MAX = 12 + 255 + 4 + 11
};

struct dns_record {
    uint16_t preference;       /* MX: the lowest first */
    union net_address address; /* A, AAAA; port 0, an IPv4-mapped one stays what it is */
    struct span text;          /* MX, PTR: a valid name in lower case; TXT: any octets, joined */
};

/* The answer to one question; its records live as long as the arena they were read into, or as the
 * holder of the answer says. */
struct dns_answer {
    enum dns_result result;
    bool authentic; /* AD: the resolver says that it validated (RFC 4035 §3.2.3) */
    bool null_mx;   /* the domain takes no mail at all (RFC 7505 §3); there are no records then */
    uint32_t ttl;   /* seconds, the least on the way; 0: not to be kept */
    size_t count;
    size_t unusable; /* records left out: malformed, invalid names, or above DNS_RECORDS_MAX */
    const struct dns_record *records;
};

/* Writes the question for `name` (without recursion there would be no answer: RD; AD asks for the
 * AD bit, RFC 6840 §5.7; EDNS for answers of DNS_PAYLOAD octets). Returns its length, 0 for a name
 * that is not valid. The name is in lower case and stands with type and class at
 * dns_message_question. */
size_t dns_message_query(uint16_t id, enum dns_type type, struct span name,
                         uint8_t out[DNS_QUERY_MAX]) __attribute__((warn_unused_result));

/* The part of a query that says what is asked: the same for the same question. */
struct span dns_message_question(struct span query);

/* Reads the message that answers `query`. What is not an answer to it, in any way, is
 * DNS_TEMPORARY. */
struct dns_answer dns_message_read(struct span message, struct span query, struct arena *arena);

#endif
