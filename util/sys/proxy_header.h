/*
 * proxy_header - what a proxy says of its client before the client's own octets: the PROXY
 * protocol, versions 1 (a line) and 2 (binary), as haproxy's proxy-protocol.txt defines them.
 *
 * Nothing is read here: the caller gathers octets until the header is whole, and stops at
 * PROXY_HEADER_MOST. What the proxy adds behind the addresses (TLVs) is passed over.
 */
#ifndef VEREDUS_SYS_PROXY_HEADER_H
#define VEREDUS_SYS_PROXY_HEADER_H

#include "util/sys/net.h"

enum { PROXY_HEADER_MOST = 4096 /* octets of a whole header */ };

enum proxy_result {
    PROXY_MORE, /* a part of a header */
    PROXY_OK,
    PROXY_BAD /* whatever follows, it is none */
};

/* For whom the proxy speaks. */
enum proxy_source {
    PROXY_ITSELF,   /* it looks whether we are there: its own address counts */
    PROXY_SOMEBODY, /* a client that it does not name, or not in a way that we could use */
    PROXY_CLIENT    /* the client of the two addresses */
};

struct proxy_header {
    enum proxy_source source;
    union net_address client, server; /* where the client came from, and where it went to */
    size_t size;                      /* octets of the header: behind them the client speaks */
};

/* Parses the header at the front of `input`; *header is set with PROXY_OK alone. */
enum proxy_result proxy_header_parse(struct span input, struct proxy_header *header)
    __attribute__((warn_unused_result));

#endif
