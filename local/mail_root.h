/*
 * mail_root - what both roles of local do before the sandbox.
 */
#ifndef VEREDUS_LOCAL_MAIL_ROOT_H
#define VEREDUS_LOCAL_MAIL_ROOT_H

#include "util/daemon/daemon.h"

/* Opens the mail root and names it as the only place of the sandbox; sets the umask, allows as many
 * descriptors as the process may have, lets OpenSSL load what it needs. Returns the descriptor; a
 * mail root that is missing is fatal. */
int mail_root_prepare(const struct daemon *daemon, struct sandbox *sandbox);

#endif
