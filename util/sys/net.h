/*
 * net - Internet addresses, networks and non-blocking TCP.
 *
 * IPv4-mapped IPv6 addresses (::ffff:192.0.2.1) are turned into IPv4 ones where they enter, so that
 * a network of one family matches them.
 */
#ifndef VEREDUS_SYS_NET_H
#define VEREDUS_SYS_NET_H

#include <netinet/in.h>
#include <stdbool.h>

#include "util/base/span.h"

union net_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

enum { NET_TEXT_MAX = 64 }; /* "[v6]:port" and a NUL */

/* A network: the address has zeros behind its first `bits` bits (0 to 32, or to 128). */
struct net_prefix {
    union net_address address;
    unsigned bits;
};

/* Reads "192.0.2.1:25", "[2001:db8::1]:25"; names are not looked up. */
bool net_parse_endpoint(struct span text, union net_address *address)
    __attribute__((warn_unused_result));

/* Reads "192.0.2.1" or "2001:db8::1"; the port becomes 0. */
bool net_parse_address(struct span text, union net_address *address)
    __attribute__((warn_unused_result));

/* Reads "192.0.2.0/24", "2001:db8::/32" or a lone address. False for bits behind the mask. */
bool net_parse_prefix(struct span text, struct net_prefix *prefix)
    __attribute__((warn_unused_result));

/* True when the first `bits` bits of both agree; addresses of different families never do. */
bool net_prefix_holds(const struct net_prefix *prefix, const union net_address *address);

/* Turns an IPv4-mapped IPv6 address into the IPv4 one; leaves any other as it is. */
void net_unmap(union net_address *address);

/* True for an address of this host that no network carries. */
bool net_is_loopback(const union net_address *address);

/* The address as text without port, as in Received: "192.0.2.1", "2001:db8::1". NUL-terminated. */
struct span net_text(const union net_address *address, char out[NET_TEXT_MAX]);

/* The port in the order of the host; 0 when none was set. */
uint16_t net_port(const union net_address *address);

/* What a limit per network counts by: the IPv4 address, the IPv6 /64. Never 0. */
uint64_t net_limit_key(const union net_address *address);

/* A listening, non-blocking, close-on-exec socket; -1 with errno. Port 0: any. */
int net_listen(const union net_address *address, int backlog) __attribute__((warn_unused_result));

/* Accepts one connection, non-blocking, close-on-exec, TCP_NODELAY; -1 with errno. */
int net_accept(int listener, union net_address *peer) __attribute__((warn_unused_result));

#endif
