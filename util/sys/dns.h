/*
 * dns - the resolver of a process: asks the configured servers, keeps what they say as long as they
 * allow.
 *
 * A query is embedded in its owner, who may cancel it at any time; its answer comes at the end of a
 * turn of the loop, never from within dns_ask. Several queries for the same records share one
 * question to the servers. Answers are kept for their TTL, "no" too (RFC 2308); the cache has a
 * greatest number of entries, and whoever was asked for least recently goes first. What is
 * DNS_TEMPORARY is never kept. With `questions` under way, new ones are answered DNS_TEMPORARY at
 * once.
 *
 * It is made before chroot and sandbox (/etc/resolv.conf, randomness) and works behind them: it
 * needs sockets of the Internet families and nothing else.
 */
#ifndef VEREDUS_SYS_DNS_H
#define VEREDUS_SYS_DNS_H

#include <bsd/sys/queue.h>

#include "util/sys/dns_message.h"
#include "util/sys/loop.h"

struct dns;
struct dns_entry;

enum { DNS_SERVERS_MAX = 8 };

struct dns_options {
    const union net_address *servers; /* in the order to ask them; read by dns_new alone */
    size_t server_count;              /* 0: those of /etc/resolv.conf */
    uint32_t timeout_ms;              /* of the first try; it doubles each time all were asked */
    uint32_t tries;                   /* of each server */
    size_t questions;                 /* under way at once */
    size_t entries;                   /* of the cache */
};

/* One query. Zeroed: not asked. Neither moved nor freed between dns_ask and its answer or
 * dns_cancel. */
struct dns_query {
    TAILQ_ENTRY(dns_query) link;
    struct dns_entry *entry; /* NULL: not under way */
    /* The answer is valid until this returns. Everything is allowed here: to ask anew with the same
     * query, to cancel others, to free the query; but for dns_free. */
    void (*answered)(void *arg, const struct dns_answer *answer);
    void *arg;
};

/* Makes the resolver; one that can not start is fatal. */
struct dns *dns_new(struct loop *loop, const struct dns_options *options);

/* Ends it; queries under way are dropped without an answer. NULL is fine. */
void dns_free(struct dns *dns);

/* Says who gets the answers of `query`. */
void dns_query_init(struct dns_query *query, void (*answered)(void *, const struct dns_answer *),
                    void *arg);

/* Asks for the records of a name. A name that is not valid has none: DNS_NO_NAME. The query must
 * not be under way. The answer's AD bit is believed of servers on this host alone. */
void dns_ask(struct dns *dns, struct dns_query *query, enum dns_type type, struct span name);

/* No answer will come; under way or not. The servers' answer may still enter the cache. */
void dns_cancel(struct dns_query *query);

/* True from dns_ask until its answer or dns_cancel. */
bool dns_is_asked(const struct dns_query *query);

/* The loop it lives in: for time limits of those who ask. */
struct loop *dns_loop(const struct dns *dns);

/* The TCP ports of the servers, in `out`, the rest zero: what the sandbox has to know. */
void dns_ports(const struct dns *dns, uint16_t out[DNS_SERVERS_MAX]);

/* What happened so far, for the metrics. */
struct dns_counts {
    uint64_t asked;     /* by dns_ask */
    uint64_t sent;      /* to the servers: the rest came from the cache or was shared */
    uint64_t temporary; /* sent without an answer of use */
    size_t kept;        /* entries of the cache */
    size_t under_way;
};

/* As of now. */
struct dns_counts dns_counts(const struct dns *dns);

#endif
