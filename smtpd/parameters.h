/*
 * parameters - what extensions let a client say with MAIL and RCPT (RFC 5321 §4.1.2).
 *
 *     esmtp-param = esmtp-keyword ["=" esmtp-value]
 *
 * One row each. A parameter that was not offered is refused (§4.1.1.11): what it asks for would not
 * be done. Values are spans of the command line.
 */
#ifndef VEREDUS_SMTPD_PARAMETERS_H
#define VEREDUS_SMTPD_PARAMETERS_H

#include "smtpd/session.h"
#include "util/mail/address.h"

/* What came with MAIL; zero where it did not come. */
struct mail_parameters {
    uint64_t size;  /* RFC 1870, octets */
    uint16_t flags; /* RECORD_FLAG_...: BODY, SMTPUTF8, REQUIRETLS */
    uint8_t ret;    /* ENVELOPE_RET_... */
    struct span envid;
    struct address submitter; /* of AUTH=; without a local part: unknown, or not given */
};

/* What came with RCPT (RFC 3461 §4.1, §4.2). */
struct rcpt_parameters {
    uint8_t notify; /* ENVELOPE_NOTIFY_... */
    struct span orcpt;
};

/* Reads what follows the path of MAIL. Pending: all of it is fine. */
struct reply parameters_of_mail(struct span text, struct mail_parameters *parameters);

/* The same for RCPT. */
struct reply parameters_of_rcpt(struct span text, struct rcpt_parameters *parameters);

#endif
