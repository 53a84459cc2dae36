/*
 * rate_limits - may this client do so once more, by the limits of the configuration?
 *
 * Asked by whoever serves the network at each connection, message, recipient and login. Networks
 * are counted by net_limit_key; trusted ones are exempt from what is counted per network, and a
 * session that has logged in is counted by its account alone for what it sends. A refusal is
 * counted (PAGE_RATE_REFUSED) and logged once a window, with the setting and where it is set.
 */
#ifndef VEREDUS_DAEMON_RATE_LIMITS_H
#define VEREDUS_DAEMON_RATE_LIMITS_H

#include "util/conf/conf.h"
#include "util/mail/reply.h"
#include "util/sys/page.h"
#include "util/sys/rates.h"

/* Who asks. A NULL `rates` (a daemon that was handed none) limits nobody. */
struct rate_client {
    struct rates *rates;
    struct page *page; /* the worker's own */
    const struct conf *conf;
    uint64_t network; /* net_limit_key */
    bool trusted;
    struct span session, client; /* for the log; `client` is the address as text */
    struct span account;         /* canonical; empty: not logged in */
};

/* Each counts one, and is pending when there may be one more. At the greeting: 421 4.7.0. */
struct reply rate_limits_connection(const struct rate_client *client);

/* At MAIL, of a message that would be begun: 450 4.7.1. An account that is stopped is shown by
 * `veredus status` until its window ends. */
struct reply rate_limits_message(const struct rate_client *client);

/* The same at RCPT, of a recipient that would be taken. */
struct reply rate_limits_recipient(const struct rate_client *client);

/* Before a password is looked at; counts nothing. `login` is what the client gave, or empty when it
 * did not yet. 454 4.7.0; POP3 has its own words for it. */
struct reply rate_limits_login(const struct rate_client *client, struct span login);

/* A login failed: counts one for the network and one for `login`. */
void rate_limits_login_failed(const struct rate_client *client, struct span login);

#endif
