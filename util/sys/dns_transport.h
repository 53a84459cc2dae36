/*
 * dns_transport - queries to the configured servers and their answers, octets both; for
 * util/sys/dns alone.
 *
 * Hides c-ares: which server is asked, when again, when over TCP. It lives in the loop. What it
 * needs of the file system (servers, randomness) it has read when dns_transport_new returns; later
 * it makes sockets alone.
 */
#ifndef VEREDUS_SYS_DNS_TRANSPORT_H
#define VEREDUS_SYS_DNS_TRANSPORT_H

#include "util/base/span.h"
#include "util/sys/dns.h"

struct dns_transport;

/* One query under way; embedded in its owner, where it stays until `answered` was called. */
struct dns_exchange {
    struct dns_transport *transport;
    /* Called once for each dns_transport_send, be it before that returns. `message` is valid
     * meanwhile; empty: no server had an answer. Nothing may be sent from within. */
    void (*answered)(struct dns_exchange *exchange, struct span message);
};

/* Before chroot and sandbox, after fork; a resolver library that does not start is fatal. */
struct dns_transport *dns_transport_new(struct loop *loop, const struct dns_options *options);

/* Every exchange under way is answered with nothing, and all sockets are closed. */
void dns_transport_free(struct dns_transport *transport);

/* Sends `query`, which is copied; its id must be unpredictable. */
void dns_transport_send(struct dns_transport *transport, struct dns_exchange *exchange,
                        struct span query);

/* As dns_ports. */
void dns_transport_ports(const struct dns_transport *transport, uint16_t out[DNS_SERVERS_MAX]);

/* True when every server is on this host, so that nobody can have changed what they say. */
bool dns_transport_is_local(const struct dns_transport *transport);

#endif
