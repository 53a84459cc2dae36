/*
 * daemon_dns - a daemon's resolver, as the configuration says.
 */
#ifndef VEREDUS_DAEMON_DAEMON_DNS_H
#define VEREDUS_DAEMON_DAEMON_DNS_H

#include "util/daemon/daemon.h"
#include "util/sys/dns.h"

/* Makes it in `prepare`, before privileges go, and lets `sandbox` have the ports of its servers.
 * The daemon ends it with dns_free. */
struct dns *daemon_dns_new(const struct daemon *daemon, struct sandbox *sandbox);

#endif
