/*
 * mailbox_daemon - the process of role mailbox: opens mailboxes for pop3d.
 */
#ifndef VEREDUS_LOCAL_MAILBOX_DAEMON_H
#define VEREDUS_LOCAL_MAILBOX_DAEMON_H

#include "util/daemon/daemon.h"

extern const struct daemon_calls mailbox_daemon_calls;

#endif
