/*
 * dns_name - names of the DNS as text, and the names that addresses have there.
 *
 * A name as text is without a dot at its end and at most DNS_NAME_MAX octets long (RFC 1035 §2.3.4
 * counts 255 with lengths and root). Only letters, digits, hyphens and underscores make labels
 * here: other octets are legal in the DNS (RFC 2181 §11), but no host, list or domain of mail has
 * them, and whoever logs, compares or sends a name must not have to think of them.
 */
#ifndef VEREDUS_SYS_DNS_NAME_H
#define VEREDUS_SYS_DNS_NAME_H

#include "util/sys/net.h"

enum { DNS_NAME_MAX = 253, DNS_LABEL_MAX = 63 };

/* True for one or more labels of 1 to 63 such octets, 253 octets in all. */
bool dns_name_is_valid(struct span name) __attribute__((warn_unused_result));

/*
 * The name under which `zone` lists an address: the octets of an IPv4 address, the nibbles of an
 * IPv6 one, the last first (RFC 5782 §2.1, §2.4; RFC 3596 §2.5). An empty zone stands for the one
 * of the family, in-addr.arpa or ip6.arpa. NUL-terminated; empty when the zone is too long.
 */
struct span dns_name_of_address(const union net_address *address, struct span zone,
                                char out[DNS_NAME_MAX + 1]);

#endif
