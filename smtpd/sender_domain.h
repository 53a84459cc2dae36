/*
 * sender_domain - whether mail could be sent back to the domain of a sender.
 *
 * A domain that has neither a mail exchanger nor an address (RFC 5321 §5.1) can get no bounce, and
 * hardly sends. One with the null MX says itself that it takes no mail: who uses it as a sender
 * forged it, or is misconfigured (RFC 7505 §4.2).
 *
 * The struct belongs to whoever asks and stays where it is from sender_domain_start until `done` or
 * sender_domain_cancel.
 */
#ifndef VEREDUS_SMTPD_SENDER_DOMAIN_H
#define VEREDUS_SMTPD_SENDER_DOMAIN_H

#include "util/mail/reply.h"
#include "util/sys/dns.h"

enum sender_domain_result {
    SENDER_DOMAIN_GOOD,
    SENDER_DOMAIN_NULL_MX,
    SENDER_DOMAIN_UNKNOWN,  /* no such domain, nothing in it that takes mail, no usable exchanger */
    SENDER_DOMAIN_TEMPORARY /* the DNS did not say */
};

struct sender_domain {
    struct dns *dns;
    struct dns_query exchangers, v4, v6;
    bool trouble;
    void (*done)(void *arg);
    void *arg;
    enum sender_domain_result result; /* to be read in `done` and later */
    char name[DNS_NAME_MAX + 1];
};

/* Says who is to hear of the result: `done` is called once for every start, from the loop, never
 * from within a call of this module. It may free the struct. */
void sender_domain_init(struct sender_domain *domain, struct dns *dns, void (*done)(void *),
                        void *arg);

/* Asks for `name`, which is copied. Address literals and the null reverse-path have no domain: they
 * are not to be asked for. A name that can not be in the DNS is SENDER_DOMAIN_UNKNOWN. */
void sender_domain_start(struct sender_domain *domain, struct span name);

/* `done` will not be called any more; started or not. A zeroed struct is fine. */
void sender_domain_cancel(struct sender_domain *domain);

/* The reply to MAIL: 550 5.7.27, 550 5.1.8 or 450 4.1.8 (RFC 7505 §4.2, RFC 3463 §3.2). For a
 * good domain there is none: it is a bug to ask. */
struct reply sender_domain_reply(enum sender_domain_result result)
    __attribute__((warn_unused_result));

#endif
