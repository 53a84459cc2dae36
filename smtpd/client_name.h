/*
 * client_name - what a client is called in the DNS, if it is called that both ways.
 *
 * The name that its address has (PTR) counts when one of the addresses of that name is the
 * client's: whoever owns the reverse zone may write any name into it, but not an address into
 * somebody else's zone (RFC 8601 §3 calls the check "iprev"). Some names have to do: of many, the
 * first CLIENT_NAME_TRIES are looked at, all at once.
 *
 * The struct belongs to whoever asks and stays where it is from client_name_start until `done` or
 * client_name_cancel.
 */
#ifndef VEREDUS_SMTPD_CLIENT_NAME_H
#define VEREDUS_SMTPD_CLIENT_NAME_H

#include "util/sys/dns.h"

enum { CLIENT_NAME_TRIES = 5 };

enum client_name_result {
    CLIENT_NAME_VERIFIED,
    CLIENT_NAME_UNVERIFIED, /* there is none, or none that leads back */
    CLIENT_NAME_TEMPORARY   /* the DNS did not say */
};

/* One name that the address has. */
struct client_name_try {
    struct client_name *client;
    struct dns_query query;
    char name[DNS_NAME_MAX + 1];
};

struct client_name {
    struct dns *dns;
    union net_address address;
    struct dns_query reverse;
    struct client_name_try tries[CLIENT_NAME_TRIES];
    size_t under_way;
    bool trouble;
    void (*done)(void *arg);
    void *arg;
    /* What is to be read in `done` and later. */
    enum client_name_result result;
    char name[DNS_NAME_MAX +
              1]; /* verified; else empty. Letters, digits, hyphens, underscores, dots */
};

/* Says who is to hear of the result: `done` is called once for every start, from the loop, never
 * from within a call of this module. It may free the struct. */
void client_name_init(struct client_name *client, struct dns *dns, void (*done)(void *), void *arg);

/* Asks for the name of `address`. */
void client_name_start(struct client_name *client, const union net_address *address);

/* `done` will not be called any more; started or not. A zeroed struct is fine. */
void client_name_cancel(struct client_name *client);

#endif
