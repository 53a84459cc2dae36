/*
 * dns_list - what lists in the DNS say of a client (RFC 5782), as one sum of weights.
 *
 * All lists are asked at once. One that lists the client adds its weight, a negative one for those
 * that speak for it; what counts as listed are answers in the ranges of the configuration. Nothing
 * else counts: no answer outside 127.0.0.0/8, none in 127.255.255.0/24 (how lists say "you may not
 * ask"), no trouble, nothing that comes after DNS_LIST_PATIENCE_MS. A list that is gone can so
 * delay a client, but never refuse it.
 *
 * The struct belongs to whoever asks and stays where it is from dns_list_start until `done` or
 * dns_list_cancel. dns_list_cancel also gives back its memory: it is called for every start, be it
 * after `done`.
 */
#ifndef VEREDUS_SMTPD_DNS_LIST_H
#define VEREDUS_SMTPD_DNS_LIST_H

#include "util/conf/conf.h"
#include "util/sys/dns.h"

enum {
    DNS_LIST_PATIENCE_MS = 5000,
    DNS_LIST_TEXT_MAX = 200 /* octets of a list's own words, NUL included */
};

struct dns_list_query;

struct dns_list {
    struct dns *dns;
    const struct conf *conf;
    union net_address client;
    struct dns_list_query *queries; /* as many as lists */
    struct dns_query reason;
    struct timer patience;
    size_t under_way;
    void (*done)(void *arg);
    void *arg;
    /* What is to be read in `done` and later. */
    int64_t sum;
    bool refused;     /* the sum reaches dns_list_reject */
    struct span zone; /* refused: the first list with a positive weight; lives in `conf` */
    char text[DNS_LIST_TEXT_MAX]; /* what that list gives as its reason; empty: nothing. Printable
                                     ASCII, what was not is '?' */
};

/* Says whom to ask, and who is to hear of the result: `done` is called once for every start, from
 * the loop, never from within a call of this module. */
void dns_list_init(struct dns_list *list, struct dns *dns, void (*done)(void *), void *arg);

/* Asks all lists of `conf`, which must outlive the struct, for `client`. Without any list the
 * result is there, with a call of `done`, at once in the next turn of the loop. */
void dns_list_start(struct dns_list *list, const struct conf *conf,
                    const union net_address *client);

/* `done` will not be called any more; started or not. A zeroed struct is fine. */
void dns_list_cancel(struct dns_list *list);

#endif
