/*
 * delays - how long the answer to a wrong password waits, by account and by network.
 *
 * Each failure doubles the delay of its account and of its network, from `first` to `most` seconds;
 * ten minutes without one forget it. A right password forgets the account's. Others are untouched.
 */
#ifndef VEREDUS_AUTH_DELAYS_H
#define VEREDUS_AUTH_DELAYS_H

#include "util/base/span.h"

enum { DELAYS_FORGET_SECONDS = 600, DELAYS_MOST = 100000 };

struct delays;

/* `first` and `most` in seconds. */
struct delays *delays_new(uint64_t first, uint64_t most);
void delays_free(struct delays *delays);

/* Counts a failure of `account` from `client`, an address as text; returns the milliseconds its
 * answer has to wait. */
int64_t delays_failed(struct delays *delays, struct span account, struct span client,
                      int64_t now_ms);

/* The account's password was right. */
void delays_succeeded(struct delays *delays, struct span account);

#endif
