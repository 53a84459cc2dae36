/*
 * The resolver does not know the configuration, the configuration not the resolver: they meet here,
 * once for every daemon that asks for names. What people have no reason to set is set here.
 */
#include "util/daemon/daemon_dns.h"

enum {
    QUESTIONS = 4096, /* under way: a tenth of what ids and ports tell apart */
    ENTRIES = 16384,  /* kept: about 10 MiB */
};

_Static_assert((int)SANDBOX_PORTS >= (int)DNS_SERVERS_MAX, "a port for every server");

struct dns *daemon_dns_new(const struct daemon *daemon, struct sandbox *sandbox)
{
    const struct conf_dns *conf = &daemon->conf->dns;
    struct dns_options options = {
        .servers = conf->servers.items,
        .server_count = conf->servers.count,
        .timeout_ms = (uint32_t)conf->timeout * 1000,
        .tries = (uint32_t)conf->tries,
        .questions = QUESTIONS,
        .entries = ENTRIES,
    };
    struct dns *dns = dns_new(daemon->loop, &options);
    dns_ports(dns, sandbox->ports);
    return dns;
}
