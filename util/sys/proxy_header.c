/*
 * A header is believed whole or not at all: one that is nearly right would let whoever stands
 * behind the proxy choose an address. So numbers and addresses have their one canonical form, as
 * the definition asks, and everything else ends the connection.
 *
 *     version 1    "PROXY" SP ("TCP4" / "TCP6") SP source SP destination SP port SP port CRLF
 *                  "PROXY" SP "UNKNOWN" [whatever] CRLF
 *     version 2    12 octets of signature, version and command, family and protocol, the size of
 *                  the rest in network order; then addresses, ports and TLVs
 */
#include "util/sys/proxy_header.h"

#include <arpa/inet.h>

enum {
    LINE_MOST = 107, /* the longest line of version 1, with its end */
    FIXED = 16,      /* octets of version 2 before the addresses */
    PORT_MOST = 65535
};

/* The two octets of version 2 behind the signature. */
enum { VERSION_2 = 0x20, COMMAND_LOCAL = VERSION_2, COMMAND_PROXY };

/* Family in the upper half, protocol in the lower one: unspecified, stream, datagram. */
enum { FAMILY_MOST = 3, PROTOCOL_MOST = 2, TCP_OVER_V4 = 0x11, TCP_OVER_V6 = 0x21 };

static const struct span line_start = SPAN_INIT("PROXY ");
static const struct span signature = SPAN_INIT("\r\n\r\n\0\r\nQUIT\n");

/* True when all there is agrees with `start`, as far as it goes. */
static bool may_begin_with(struct span input, struct span start)
{
    size_t common = input.len < start.len ? input.len : start.len;
    return span_equal(span_first(input, common), span_first(start, common));
}

/* ---- version 1 ---- */

/* Digits without a zero before them. */
static bool read_port(struct span text, in_port_t *port)
{
    uint64_t number;
    bool padded = text.len > 1 && text.data[0] == '0';
    if (padded || !span_to_u64(text, PORT_MOST, &number))
        return false;
    *port = htons((uint16_t)number);
    return true;
}

/* An address of the family that the line names, and its port. */
static bool read_endpoint(struct span host, struct span port, bool v6, union net_address *address)
{
    bool has_colon = span_find(host, ':') < host.len;
    if (has_colon != v6 || !net_parse_address(host, address))
        return false;
    /* A mapped address is one of IPv4 by now (RFC 4291 §2.5.5.2). */
    return read_port(port, address->any.sa_family == AF_INET ? &address->v4.sin_port
                                                             : &address->v6.sin6_port);
}

/* What stands between "PROXY " and the end of the line. */
static enum proxy_result read_line(struct span rest, struct proxy_header *header)
{
    struct span words[5];
    size_t count = 0;
    bool padded = span_has_suffix(rest, SPAN(" "));
    if (span_equal(span_first(rest, span_find(rest, ' ')), SPAN("UNKNOWN"))) {
        header->source = PROXY_SOMEBODY;
        return PROXY_OK;
    }
    while (count < 5 && span_next(&rest, ' ', &words[count]))
        count++;
    bool v6 = count > 0 && span_equal(words[0], SPAN("TCP6"));
    if (padded || count < 5 || rest.len > 0 || (!v6 && !span_equal(words[0], SPAN("TCP4"))))
        return PROXY_BAD;
    header->source = PROXY_CLIENT;
    bool good = read_endpoint(words[1], words[3], v6, &header->client) &&
                read_endpoint(words[2], words[4], v6, &header->server);
    return good ? PROXY_OK : PROXY_BAD;
}

static enum proxy_result parse_line(struct span input, struct proxy_header *header)
{
    struct span start = span_first(input, LINE_MOST);
    size_t feed = span_find(start, '\n');
    if (feed == start.len)
        return start.len < LINE_MOST ? PROXY_MORE : PROXY_BAD;
    struct span line = span_first(start, feed);
    if (!span_has_suffix(line, SPAN("\r")))
        return PROXY_BAD;
    header->size = feed + 1;
    return read_line(span_skip(span_first(line, feed - 1), line_start.len), header);
}

/* ---- version 2 ---- */

static uint8_t octet_at(struct span input, size_t at)
{
    return (uint8_t)input.data[at];
}

/* Source, destination, and the port of each: 4 + 4 + 2 + 2 octets. */
static bool take_v4(struct span addresses, struct proxy_header *header)
{
    union net_address *client = &header->client, *server = &header->server;
    if (addresses.len < 12)
        return false;
    *client = *server = (union net_address){.v4 = {.sin_family = AF_INET}};
    memcpy(&client->v4.sin_addr, addresses.data, 4);
    memcpy(&server->v4.sin_addr, addresses.data + 4, 4);
    memcpy(&client->v4.sin_port, addresses.data + 8, 2);
    memcpy(&server->v4.sin_port, addresses.data + 10, 2);
    return true;
}

/* The same with 16 octets each; mapped ones become what they map. */
static bool take_v6(struct span addresses, struct proxy_header *header)
{
    union net_address *client = &header->client, *server = &header->server;
    if (addresses.len < 36)
        return false;
    *client = *server = (union net_address){.v6 = {.sin6_family = AF_INET6}};
    memcpy(&client->v6.sin6_addr, addresses.data, 16);
    memcpy(&server->v6.sin6_addr, addresses.data + 16, 16);
    memcpy(&client->v6.sin6_port, addresses.data + 32, 2);
    memcpy(&server->v6.sin6_port, addresses.data + 34, 2);
    net_unmap(client);
    net_unmap(server);
    return true;
}

/* A family or protocol that is defined and of no use to us (datagrams, UNIX sockets) counts as
 * unspecified. */
static enum proxy_result take_addresses(uint8_t family, struct span addresses,
                                        struct proxy_header *header)
{
    if (family >> 4 > FAMILY_MOST || (family & 0x0f) > PROTOCOL_MOST)
        return PROXY_BAD;
    header->source = PROXY_CLIENT;
    if (family == TCP_OVER_V4)
        return take_v4(addresses, header) ? PROXY_OK : PROXY_BAD;
    if (family == TCP_OVER_V6)
        return take_v6(addresses, header) ? PROXY_OK : PROXY_BAD;
    header->source = PROXY_SOMEBODY;
    return PROXY_OK;
}

/* The size stands early in the header: one that is too long is refused before it has come. */
static enum proxy_result parse_binary(struct span input, struct proxy_header *header)
{
    if (input.len < FIXED)
        return PROXY_MORE;
    uint8_t command = octet_at(input, 12);
    size_t rest = (size_t)octet_at(input, 14) << 8 | octet_at(input, 15);
    if ((command != COMMAND_LOCAL && command != COMMAND_PROXY) || FIXED + rest > PROXY_HEADER_MOST)
        return PROXY_BAD;
    if (input.len < FIXED + rest)
        return PROXY_MORE;
    header->size = FIXED + rest;
    header->source = PROXY_ITSELF;
    if (command == COMMAND_LOCAL)
        return PROXY_OK;
    struct span addresses = span_first(span_skip(input, FIXED), rest);
    return take_addresses(octet_at(input, 13), addresses, header);
}

/* The first octet already tells the versions apart. */
enum proxy_result proxy_header_parse(struct span input, struct proxy_header *header)
{
    struct proxy_header parsed = {0};
    enum proxy_result result = PROXY_BAD;
    if (input.len == 0)
        return PROXY_MORE;
    if (may_begin_with(input, line_start))
        result = parse_line(input, &parsed);
    else if (may_begin_with(input, signature))
        result = parse_binary(input, &parsed);
    if (result == PROXY_OK)
        *header = parsed;
    return result;
}
