/*
 * sender_right - may this login send from that address?
 *
 * Asked at MAIL of an authenticated session, for every reverse-path but the null one, which is
 * anybody's (RFC 5321 §4.5.5). A login's own address is decided here; for any other one lookup is
 * asked for the table `senders`. `login` is canonical, as auth's verdict gave it.
 */
#ifndef VEREDUS_SMTPD_SENDER_RIGHT_H
#define VEREDUS_SMTPD_SENDER_RIGHT_H

#include "smtpd/questions.h"
#include "util/conf/conf.h"
#include "util/mail/address.h"
#include "util/mail/reply.h"

/* Zeroed, or ended by `done` or sender_right_cancel, it can be started. */
struct sender_right {
    struct questions *questions;
    const struct conf *conf;
    struct span session; /* for the log */
    void (*done)(void *arg);
    void *arg;
    struct reply reply; /* in `done` and later: pending when the sender may be used, else 553 5.7.1
                           with the line of the login's entry, or 451 4.3.0 */
    struct sender_ask ask;
    struct question question;
    char address[ADDRESS_TEXT_MAX];
};

/* Begins; the members above `reply` are set, `login` stays valid until the end. True: the reply is
 * there already, and `done` is not called. False: `done` is called once, from the loop. A refusal
 * is logged with the table's file and line. */
bool sender_right_start(struct sender_right *right, struct span login,
                        const struct address *address) __attribute__((warn_unused_result));

/* `done` will not be called any more; started or not. */
void sender_right_cancel(struct sender_right *right);

#endif
