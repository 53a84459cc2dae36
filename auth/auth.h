/*
 * auth - verifies passwords; the only process that ever sees a stored hash.
 *
 * pop3d asks (verify), auth answers (verdict) with a ticket when the password is right: what local
 * demands before it opens a mailbox. The submission service carries SASL exchanges (sasl_begin to
 * verdict) and gets no ticket. The loop never hashes (hasher.h), never waits for a delay
 * (attempt.h), and says nothing about why a login failed.
 */
#ifndef VEREDUS_AUTH_AUTH_H
#define VEREDUS_AUTH_AUTH_H

#include "util/daemon/daemon.h"

extern const struct daemon_calls auth_calls;

#endif
