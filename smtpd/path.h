/*
 * path - what MAIL and RCPT have in common: "FROM:" or "TO:", a path, parameters (RFC 5321 §4.1.2).
 */
#ifndef VEREDUS_SMTPD_PATH_H
#define VEREDUS_SMTPD_PATH_H

#include "util/mail/address.h"
#include "util/mail/reply.h"

/* Drops `keyword` ("FROM:") at the start of `*arguments`, compared without case; false when it is
 * not there. */
bool path_argument(struct span *arguments, struct span keyword);

/* The next word of the parameters; false at their end. */
bool path_next_parameter(struct span *rest, struct span *word);

/* What is wrong with the path before `rest`, a part of the same `text`, where SMTPUTF8 was not
 * asked for; pending: nothing. */
struct reply path_check_ascii(struct span text, struct span rest);

/* The reply to a path that is none; `enhanced` says whose it is (5.1.3, 5.1.7). */
struct reply path_refusal(enum address_result result, const char *enhanced);

#endif
