/*
 * checks - what the checks of a session have in common: how the table `access` is asked, and how a
 * refusal is put down to whoever wrote the rule.
 */
#ifndef VEREDUS_SMTPD_CHECKS_H
#define VEREDUS_SMTPD_CHECKS_H

#include "smtpd/access.h"
#include "smtpd/session.h"

/* Who hears that a check has come to its end. */
struct checks_calls {
    void (*done)(void *arg);
    void *arg;
};

/* A question of this session to the table, to be started with access_start; the text of a refusal
 * will live in `arena`. */
struct access_check checks_access(const struct session *session, struct arena *arena,
                                  const struct checks_calls *calls);

/* Marks the letter of the transaction when the verdict wants it held. */
void checks_hold(struct session *session, const struct access_verdict *verdict);

#endif
