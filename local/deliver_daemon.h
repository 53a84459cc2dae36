/*
 * deliver_daemon - the process of role deliver: takes jobs from qmgr, a batch at a time.
 */
#ifndef VEREDUS_LOCAL_DELIVER_DAEMON_H
#define VEREDUS_LOCAL_DELIVER_DAEMON_H

#include "util/daemon/daemon.h"

extern const struct daemon_calls deliver_daemon_calls;

#endif
