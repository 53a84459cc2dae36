/*
 * recent - logins that were right a short while ago, so that a client that polls costs no hash.
 *
 * What is kept is not the password but HMAC-SHA-256(user, password, stored hash) under a key of
 * this process: a stored hash that changed no longer matches, and a dump of the memory gives
 * nothing that could be used elsewhere. Entries live RECENT_SECONDS; at most RECENT_MOST are kept,
 * the oldest go.
 */
#ifndef VEREDUS_AUTH_RECENT_H
#define VEREDUS_AUTH_RECENT_H

#include "util/base/span.h"

enum { RECENT_SECONDS = 600, RECENT_MOST = 100000 };

struct recent;

/* The key is drawn here; call before the sandbox, OpenSSL reads its configuration. */
struct recent *recent_new(void);
void recent_free(struct recent *recent);

/* True when this very login was remembered less than RECENT_SECONDS before `now_ms`. */
bool recent_knows(struct recent *recent, struct span user, struct span password, struct span stored,
                  int64_t now_ms);

/* Remembers it. */
void recent_add(struct recent *recent, struct span user, struct span password, struct span stored,
                int64_t now_ms);

#endif
