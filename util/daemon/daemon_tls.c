/*
 * A daemon that can not serve its certificates ends: to go on in plaintext would give away what the
 * operator wants encrypted. As the first of a new generation that ends, too, it leaves the old one
 * serving with what it read long ago.
 */
#include "util/daemon/daemon_tls.h"

#include <sysexits.h>

#include "util/base/panic.h"

/* Also for what is only a warning: the sentence says so. */
static void complain(void *arg, const char *message)
{
    (void)arg;
    log_event(LOG_WARN, "certificate", LOG_STR("reason", message));
}

struct tls_server *daemon_tls_new(const struct daemon *daemon, struct span protocol)
{
    const struct conf_voice voice = {complain, NULL};

    if (daemon->conf->tls.count == 0)
        return NULL;
    /* Each worker with keys of its own would take no other's tickets. */
    require(daemon->ratchet != NULL);
    struct tls_server *server = conf_tls_server(daemon->conf, daemon->ratchet, protocol, &voice);
    if (server == NULL)
        fatal(EX_CONFIG, "the certificates can not be served");
    return server;
}
