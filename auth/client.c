/*
 * Why the network: whoever has one IPv6 address has 2^64 of them, and a limit by address would be
 * none for him.
 */
#include "auth/client.h"

#include "util/base/hash.h"
#include "util/sys/net.h"

uint64_t client_network(struct span client)
{
    union net_address address;

    return net_parse_address(client, &address) ? net_limit_key(&address)
                                               : hash_bytes(client.data, client.len);
}
