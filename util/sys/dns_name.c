/*
 * Names of addresses are what a mail server asks for most: the name of a client, and each list that
 * it may be on. They are made here once, for all who ask.
 */
#include "util/sys/dns_name.h"

#include <ctype.h>

/* The underscore is of services and policies (RFC 8552), not of hosts; it does no harm. */
static bool label_is_valid(struct span label)
{
    if (label.len == 0 || label.len > DNS_LABEL_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++) {
        unsigned char octet = (unsigned char)label.data[i];
        if (!(octet < 0x80 && isalnum(octet)) && octet != '-' && octet != '_')
            return false;
    }
    return true;
}

bool dns_name_is_valid(struct span name)
{
    struct span rest = name;
    struct span label;
    /* span_next does not see that nothing follows the last dot. */
    if (name.len == 0 || name.len > DNS_NAME_MAX || name.data[name.len - 1] == '.')
        return false;
    while (span_next(&rest, '.', &label))
        if (!label_is_valid(label))
            return false;
    return true;
}

/* "1.2.0.192.": at most 16 octets. */
static size_t put_octets(const uint8_t octets[4], char *out)
{
    size_t used = 0;
    for (int i = 3; i >= 0; i--) {
        unsigned octet = octets[i];
        if (octet >= 100)
            out[used++] = (char)('0' + octet / 100);
        if (octet >= 10)
            out[used++] = (char)('0' + octet / 10 % 10);
        out[used++] = (char)('0' + octet % 10);
        out[used++] = '.';
    }
    return used;
}

/* "1.0.0. ... 8.b.d.0.1.0.0.2.": 64 octets. */
static size_t put_nibbles(const uint8_t octets[16], char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    for (int i = 15; i >= 0; i--) {
        out[used++] = digits[octets[i] & 15];
        out[used++] = '.';
        out[used++] = digits[octets[i] >> 4];
        out[used++] = '.';
    }
    return used;
}

struct span dns_name_of_address(const union net_address *address, struct span zone,
                                char out[DNS_NAME_MAX + 1])
{
    bool v4 = address->any.sa_family == AF_INET;
    size_t used = v4 ? put_octets((const uint8_t *)&address->v4.sin_addr, out)
                     : put_nibbles(address->v6.sin6_addr.s6_addr, out);
    if (zone.len == 0)
        zone = v4 ? SPAN("in-addr.arpa") : SPAN("ip6.arpa");
    if (zone.len > DNS_NAME_MAX - used)
        used = 0;
    else
        memcpy(out + used, zone.data, zone.len);
    size_t len = used > 0 ? used + zone.len : 0;
    out[len] = '\0';
    return span_of(out, len);
}
