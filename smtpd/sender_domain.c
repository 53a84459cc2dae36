/*
 * "No" is said only when the DNS said it. Trouble with the exchangers is not a reason to look at
 * the addresses: the domain may have exchangers, or a null one.
 */
#include "smtpd/sender_domain.h"

#include "util/base/panic.h"

static void finish(struct sender_domain *domain, enum sender_domain_result result)
{
    sender_domain_cancel(domain);
    domain->result = result;
    domain->done(domain->arg);
}

/* Either family will do; the other is not waited for then. */
static void on_addresses(void *arg, const struct dns_answer *answer)
{
    struct sender_domain *domain = arg;
    domain->trouble = domain->trouble || answer->result == DNS_TEMPORARY;
    if (answer->count > 0)
        finish(domain, SENDER_DOMAIN_GOOD);
    else if (!dns_is_asked(&domain->v4) && !dns_is_asked(&domain->v6))
        finish(domain, domain->trouble ? SENDER_DOMAIN_TEMPORARY : SENDER_DOMAIN_UNKNOWN);
}

/* RFC 5321 §5.1: without an exchanger the domain is its own. */
static void ask_addresses(struct sender_domain *domain)
{
    struct span name = span_cstr(domain->name);
    dns_query_init(&domain->v4, on_addresses, domain);
    dns_query_init(&domain->v6, on_addresses, domain);
    dns_ask(domain->dns, &domain->v4, DNS_A, name);
    dns_ask(domain->dns, &domain->v6, DNS_AAAA, name);
}

static void on_exchangers(void *arg, const struct dns_answer *answer)
{
    struct sender_domain *domain = arg;
    switch (answer->result) {
    case DNS_FOUND:
        if (answer->null_mx)
            finish(domain, SENDER_DOMAIN_NULL_MX);
        else
            finish(domain, answer->count > 0 ? SENDER_DOMAIN_GOOD : SENDER_DOMAIN_UNKNOWN);
        break;
    case DNS_NO_DATA:
        ask_addresses(domain);
        break;
    case DNS_NO_NAME:
        finish(domain, SENDER_DOMAIN_UNKNOWN);
        break;
    case DNS_TEMPORARY:
        finish(domain, SENDER_DOMAIN_TEMPORARY);
        break;
    }
}

void sender_domain_init(struct sender_domain *domain, struct dns *dns, void (*done)(void *),
                        void *arg)
{
    *domain = (struct sender_domain){.dns = dns, .done = done, .arg = arg};
}

/* A name that is too long is left empty, which is not a name either: the answer is the same. */
void sender_domain_start(struct sender_domain *domain, struct span name)
{
    domain->trouble = false;
    if (!span_to_cstr(name, domain->name, sizeof(domain->name)))
        domain->name[0] = '\0';
    dns_query_init(&domain->exchangers, on_exchangers, domain);
    dns_ask(domain->dns, &domain->exchangers, DNS_MX, span_cstr(domain->name));
}

void sender_domain_cancel(struct sender_domain *domain)
{
    dns_cancel(&domain->exchangers);
    dns_cancel(&domain->v4);
    dns_cancel(&domain->v6);
}

struct reply sender_domain_reply(enum sender_domain_result result)
{
    static const struct reply replies[] = {
        [SENDER_DOMAIN_NULL_MX] = {.code = 550,
                                   .enhanced = "5.7.27",
                                   .text = "Sender's domain takes no mail",
                                   .setting = "sender_domain_required"},
        [SENDER_DOMAIN_UNKNOWN] = {.code = 550,
                                   .enhanced = "5.1.8",
                                   .text = "Sender's domain does not exist",
                                   .setting = "sender_domain_required"},
        [SENDER_DOMAIN_TEMPORARY] = {.code = 450,
                                     .enhanced = "4.1.8",
                                     .text = "Sender's domain can not be looked up",
                                     .setting = "sender_domain_required"},
    };
    require(result != SENDER_DOMAIN_GOOD);
    return replies[result];
}
