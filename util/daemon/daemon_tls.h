/*
 * daemon_tls - a daemon's certificates, as the configuration says.
 */
#ifndef VEREDUS_DAEMON_DAEMON_TLS_H
#define VEREDUS_DAEMON_DAEMON_TLS_H

#include "util/daemon/daemon.h"

/* Reads them in `prepare`, before privileges go; what is wrong with them is logged. NULL when there
 * are none; ends the process when they can not be served. `protocol` is for ALPN, such as "smtp".
 * The daemon ends it with tls_server_free. */
struct tls_server *daemon_tls_new(const struct daemon *daemon, struct span protocol);

#endif
