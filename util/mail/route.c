/*
 * Whether mail may come in is asked of the class, where it goes is asked of the routes: two
 * questions with the same parsed address, so that no spelling can pass the first and slip by the
 * second.
 */
#include "util/mail/route.h"

/* An address literal is ours when it is one we listen on, or loopback. One that a wildcard listener
 * merely answers on is not known here: it counts as remote. */
static bool literal_is_ours(const struct conf *conf, struct span literal)
{
    struct span inside = span_first(span_skip(literal, 1), literal.len - 2);
    if (span_has_prefix_nocase(inside, SPAN("IPv6:")))
        inside = span_skip(inside, 5);
    union net_address address;
    if (!net_parse_address(inside, &address))
        return false;
    if (net_is_loopback(&address))
        return true;

    char text[NET_TEXT_MAX], other[NET_TEXT_MAX];
    struct span ours = net_text(&address, text);
    for (size_t i = 0; i < conf->listens.count; i++)
        if (span_equal(ours, net_text(&conf->listens.items[i].address, other)))
            return true;
    return false;
}

/* The host's name counts as local without being in `domains`: bounces and postmaster live there
 * (RFC 5321 §4.5.1). */
enum route_class route_class_of(const struct conf *conf, const struct address *address)
{
    struct span domain = address_domain(address);
    if (address->domain_is_literal)
        return literal_is_ours(conf, domain) ? ROUTE_LOCAL : ROUTE_REMOTE;
    if (span_equal_nocase(domain, conf->hostname) || conf_has_domain(&conf->domains, domain))
        return ROUTE_LOCAL;
    return conf_has_domain(&conf->relay_domains, domain) ? ROUTE_RELAY : ROUTE_REMOTE;
}

/* How specific a pattern is that matches; the length of ".parent" lies between the other ranks,
 * because a domain is never longer. */
enum { RANK_NONE = 0, RANK_ANY = 1, RANK_DOMAIN = 1000, RANK_ADDRESS = 1001 };

/* An address is more than its domain, that more than any parent; among parents the longer is
 * the closer. */
static size_t rank(struct span pattern, struct span key, struct span domain)
{
    if (span_equal(pattern, SPAN("*")))
        return RANK_ANY;
    if (span_equal_nocase(pattern, key))
        return RANK_ADDRESS;
    if (span_equal_nocase(pattern, domain))
        return RANK_DOMAIN;
    /* The dot is part of the suffix: ".example.org" is not a parent of "badexample.org", nor of
     * itself. */
    bool is_parent = span_has_prefix(pattern, SPAN(".")) && pattern.len < domain.len &&
                     span_equal_nocase(pattern, span_skip(domain, domain.len - pattern.len));
    return is_parent ? pattern.len : RANK_NONE;
}

/* "*" is for mail that leaves: a smarthost must not take the mailboxes of this host along. */
static const struct conf_route *most_specific(const struct conf *conf,
                                              const struct address *address)
{
    const size_t least = route_class_of(conf, address) == ROUTE_LOCAL ? RANK_ANY : RANK_NONE;
    char text[ADDRESS_TEXT_MAX];
    struct span key = address_key(address, text);
    const struct conf_route *best = NULL;
    size_t best_rank = least;
    for (size_t i = 0; i < conf->routes.count; i++) {
        const struct conf_route *route = &conf->routes.items[i];
        size_t its_rank = rank(route->pattern, key, address_domain(address));
        if (its_rank > best_rank) {
            best = route;
            best_rank = its_rank;
        }
    }
    return best;
}

/* `nexthop` falls back on the domain for smtp alone: the other transports go nowhere else. */
struct route route_find(const struct conf *conf, const struct address *address)
{
    struct route route = {.class = route_class_of(conf, address)};
    const struct conf_route *rule = most_specific(conf, address);
    if (rule != NULL) {
        route.transport = rule->transport;
        route.nexthop = rule->nexthop;
        route.line = rule->line;
    } else {
        route.transport = route.class == ROUTE_LOCAL ? SPAN("local") : SPAN("smtp");
    }
    if (route.nexthop.len == 0 && span_equal(route.transport, SPAN("smtp")))
        route.nexthop = address_domain(address);
    return route;
}
