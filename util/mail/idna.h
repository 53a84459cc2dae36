/*
 * idna - domains written in other scripts than ASCII (RFC 5890, RFC 5891).
 */
#ifndef VEREDUS_MAIL_IDNA_H
#define VEREDUS_MAIL_IDNA_H

#include "util/base/span.h"

enum { IDNA_MAX = 255 /* octets of a domain, in either form */ };

/* The form that the DNS knows: each U-label as its A-label ("xn--..."), in lower case. False when
 * it is no domain name, or too long. */
bool idna_to_ascii(struct span domain, char out[IDNA_MAX], size_t *length)
    __attribute__((warn_unused_result));

#endif
