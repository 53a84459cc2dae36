/*
 * lookup - owns the tables; answers every question about addresses and mailboxes.
 *
 * Asked by smtpd (may this recipient be taken, and who are its final recipients), by qmgr (the
 * same, for retries and bounces) and by local (where a user's mailbox lies). The answers of one
 * turn leave together. It never waits but for its embedded tables, which notice by themselves when
 * they were built anew.
 */
#ifndef VEREDUS_LOOKUP_LOOKUP_H
#define VEREDUS_LOOKUP_LOOKUP_H

#include "util/daemon/daemon.h"

/* How the skeleton of all daemons drives lookup. */
extern const struct daemon_calls lookup_calls;

#endif
