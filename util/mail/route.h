/*
 * route - where a recipient goes: transport, destination, and by which setting.
 *
 * Used by lookup alone; everybody else asks lookup.
 */
#ifndef VEREDUS_MAIL_ROUTE_H
#define VEREDUS_MAIL_ROUTE_H

#include "util/conf/conf.h"
#include "util/mail/address.h"

enum route_class {
    ROUTE_LOCAL, /* the domain is one of `domains`, or this host: mailboxes and aliases */
    ROUTE_RELAY, /* one of `relay_domains`: anybody may send to it */
    ROUTE_REMOTE /* the rest: only trusted clients may */
};

struct route {
    enum route_class class;
    struct span transport; /* lives as long as the configuration */
    struct span nexthop;   /* or as the address */
    unsigned line;         /* of the `route` that decided; 0: none did */
};

/* Local, relay or remote. The host's own name and its address literals count as local. */
enum route_class route_class_of(const struct conf *conf, const struct address *address);

/* The most specific `route` wins: address, domain, ".parent", "*" (but for local classes); then the
 * class: local goes to "local", everything else to "smtp" at its domain. */
struct route route_find(const struct conf *conf, const struct address *address);

#endif
