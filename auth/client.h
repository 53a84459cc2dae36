/*
 * client - what those who log in are counted by.
 */
#ifndef VEREDUS_AUTH_CLIENT_H
#define VEREDUS_AUTH_CLIENT_H

#include "util/base/span.h"

/* The number of the network of `client`, an address as text: the IPv4 address, the IPv6 /64. What
 * is no address (the name of a local user) has a number of its own. */
uint64_t client_network(struct span client);

#endif
