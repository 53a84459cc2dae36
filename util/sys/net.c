/*
 * Addresses enter the program here, as text from the configuration or from accept(2), and are
 * brought into one form on the way: an IPv4 client of an IPv6 socket is an IPv4 client. Whoever
 * compares addresses later can forget that the other form exists.
 *
 * TCP_NODELAY is set on the listening socket, and what is accepted inherits it: a system call less
 * for every connection.
 */
#include "util/sys/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAPPED_BITS = 96, V4_BITS = 32, V6_BITS = 128, PORT_MAX = 65535 };

/* Whatever is not IPv4 is IPv6: no other family gets in here. */
static bool is_v4(const union net_address *address)
{
    return address->any.sa_family == AF_INET;
}

/* ::ffff:192.0.2.1 becomes 192.0.2.1 (RFC 4291 §2.5.5.2). */
void net_unmap(union net_address *address)
{
    if (address->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
        return;
    union net_address v4 = {.v4 = {.sin_family = AF_INET, .sin_port = address->v6.sin6_port}};
    memcpy(&v4.v4.sin_addr, &address->v6.sin6_addr.s6_addr[12], sizeof(v4.v4.sin_addr));
    *address = v4;
}

/* Reads a lone address of either family, as it is written. */
static bool parse_raw(struct span text, union net_address *address)
{
    char copy[INET6_ADDRSTRLEN];
    *address = (union net_address){0};
    if (!span_to_cstr(text, copy, sizeof(copy)))
        return false;

    if (inet_pton(AF_INET, copy, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        return true;
    }
    /* The family is set before the text is read: a failed read leaves nothing that would be
     * used. */
    address->v6.sin6_family = AF_INET6;
    return inet_pton(AF_INET6, copy, &address->v6.sin6_addr) == 1;
}

bool net_parse_address(struct span text, union net_address *address)
{
    if (!parse_raw(text, address))
        return false;
    net_unmap(address);
    return true;
}

/* The two structs keep the port at the same place, but only luck says so. */
static void set_port(union net_address *address, uint16_t port)
{
    if (is_v4(address))
        address->v4.sin_port = htons(port);
    else
        address->v6.sin6_port = htons(port);
}

/* Cuts "[v6]" or "v4" and the port apart (RFC 3986 §3.2.2). */
static bool split_endpoint(struct span text, struct span *host, struct span *port)
{
    size_t colon = span_find_last(text, ':');
    if (colon == text.len)
        return false;
    *port = span_skip(text, colon + 1);
    *host = span_first(text, colon);
    if (!span_has_prefix(*host, SPAN("[")))
        return span_find(*host, ':') == host->len;
    if (!span_has_suffix(*host, SPAN("]")))
        return false;
    *host = span_of(host->data + 1, host->len - 2);
    return span_find(*host, ':') < host->len;
}

bool net_parse_endpoint(struct span text, union net_address *address)
{
    struct span host;
    struct span port;
    uint64_t number;
    if (!split_endpoint(text, &host, &port) || !span_to_u64(port, PORT_MAX, &number) ||
        !net_parse_address(host, address))
        return false;
    set_port(address, (uint16_t)number);
    return true;
}

/* The octets of the address in network order, and their count in bits. */
static const uint8_t *octets_of(const union net_address *address, unsigned *bits)
{
    *bits = is_v4(address) ? V4_BITS : V6_BITS;
    return is_v4(address) ? (const uint8_t *)&address->v4.sin_addr : address->v6.sin6_addr.s6_addr;
}

/* Bit 0 is the highest of the first octet, as networks are written. */
static bool bit_at(const uint8_t *octets, unsigned bit)
{
    return (octets[bit / 8] >> (7 - bit % 8)) & 1;
}

/* "192.0.2.1/24" is refused with this: it is an address or a network, and only its author knows
 * which. */
static bool is_network(const union net_address *address, unsigned bits)
{
    unsigned size;
    const uint8_t *octets = octets_of(address, &size);
    for (unsigned bit = bits; bit < size; bit++)
        if (bit_at(octets, bit))
            return false;
    return true;
}

bool net_parse_prefix(struct span text, struct net_prefix *prefix)
{
    size_t slash = span_find(text, '/');
    if (!parse_raw(span_first(text, slash), &prefix->address))
        return false;

    uint64_t bits = is_v4(&prefix->address) ? V4_BITS : V6_BITS;
    if (slash < text.len && !span_to_u64(span_skip(text, slash + 1), bits, &bits))
        return false;
    if (!is_network(&prefix->address, (unsigned)bits))
        return false;

    /* A mapped address has ones up to bit 96, so its mask can not be shorter. */
    bool mapped = !is_v4(&prefix->address);
    net_unmap(&prefix->address);
    mapped = mapped && is_v4(&prefix->address);
    prefix->bits = (unsigned)bits - (mapped ? MAPPED_BITS : 0);
    return true;
}

bool net_prefix_holds(const struct net_prefix *prefix, const union net_address *address)
{
    if (prefix->address.any.sa_family != address->any.sa_family)
        return false;

    unsigned size;
    const uint8_t *network = octets_of(&prefix->address, &size);
    const uint8_t *octets = octets_of(address, &size);
    unsigned whole = prefix->bits / 8;
    unsigned rest = prefix->bits % 8;
    /* Whole octets first, then the bits that are left of one. */
    if (memcmp(network, octets, whole) != 0)
        return false;
    return rest == 0 || ((network[whole] ^ octets[whole]) >> (8 - rest)) == 0;
}

/* 127.0.0.0/8 (RFC 1122 §3.2.1.3) and ::1 (RFC 4291 §2.5.3). */
bool net_is_loopback(const union net_address *address)
{
    if (is_v4(address))
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

/* Without brackets and port; inet_ntop(3) writes IPv6 in the short form (RFC 4291 §2.2). */
struct span net_text(const union net_address *address, char out[NET_TEXT_MAX])
{
    const void *octets =
        is_v4(address) ? (const void *)&address->v4.sin_addr : &address->v6.sin6_addr;
    if (inet_ntop(address->any.sa_family, octets, out, NET_TEXT_MAX) == NULL)
        out[0] = '\0';
    return span_cstr(out);
}

uint16_t net_port(const union net_address *address)
{
    return ntohs(is_v4(address) ? address->v4.sin_port : address->v6.sin6_port);
}

/* The one set above an IPv4 address makes it a network that IPv6 has reserved (0:1::/32), so that
 * the two families share one space of keys. */
uint64_t net_limit_key(const union net_address *address)
{
    if (is_v4(address))
        return (UINT64_C(1) << V4_BITS) | ntohl(address->v4.sin_addr.s_addr);
    uint64_t key = 0;
    for (size_t i = 0; i < sizeof(key); i++)
        key = key << 8 | address->v6.sin6_addr.s6_addr[i];
    return key != 0 ? key : 1;
}

/* bind(2) wants the size of the family, not that of the union. */
static socklen_t size_of(const union net_address *address)
{
    return is_v4(address) ? sizeof(address->v4) : sizeof(address->v6);
}

/* All our options are switches. */
static bool enable(int fd, int level, int option)
{
    const int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

/* An IPv6 socket is for IPv6 alone, so that 0.0.0.0:25 and [::]:25 can stand side by side. */
static bool serve_on(int fd, const union net_address *address, int backlog)
{
    return enable(fd, SOL_SOCKET, SO_REUSEADDR) && enable(fd, IPPROTO_TCP, TCP_NODELAY) &&
           (is_v4(address) || enable(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
           bind(fd, &address->any, size_of(address)) == 0 && listen(fd, backlog) == 0;
}

/* Close would overwrite the errno that tells what went wrong. */
int net_listen(const union net_address *address, int backlog)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || serve_on(fd, address, backlog))
        return fd;

    int saved_errno = errno;
    (void)close(fd);
    errno = saved_errno;
    return -1;
}

/* A signal is no reason to leave a client waiting in the queue. */
int net_accept(int listener, union net_address *peer)
{
    int fd;
    do {
        *peer = (union net_address){0};
        socklen_t size = sizeof(*peer);
        fd = accept4(listener, &peer->any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        net_unmap(peer);
    return fd;
}
