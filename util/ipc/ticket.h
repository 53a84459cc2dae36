/*
 * ticket - what auth gives to a session whose password was right, and local believes.
 *
 * A ticket is TICKET_SIZE octets: expiry (u64, seconds since 1970), session (u64), both
 * little-endian, and the HMAC-SHA-256 (RFC 2104) of both and the user under the key that master
 * gave to auth and mailbox alone. It is good for one user in one session until its expiry; whoever
 * lacks the key can neither make nor change one. The canonical name of the user counts, octet by
 * octet.
 *
 * The first call of a process makes OpenSSL read its configuration: call ticket_warm_up before the
 * sandbox.
 */
#ifndef VEREDUS_IPC_TICKET_H
#define VEREDUS_IPC_TICKET_H

#include "util/ipc/messages.h"

enum { TICKET_KEY_SIZE = 32 };

/* Lets OpenSSL load what it needs; its failure is fatal. */
void ticket_warm_up(void);

/* Writes the ticket. `key` is TICKET_KEY_SIZE octets: anything else is a bug. */
void ticket_make(struct span key, struct span user, uint64_t session, uint64_t expiry,
                 uint8_t out[TICKET_SIZE]);

/* True when `ticket` was made under `key` for this user and session and `now` is not past its
 * expiry. Takes the same time wherever a forged one differs. A key of another length is a bug. */
bool ticket_check(struct span key, struct span user, uint64_t session, uint64_t now,
                  struct span ticket) __attribute__((warn_unused_result));

#endif
