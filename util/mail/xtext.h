/*
 * xtext - values of ESMTP parameters that may hold any octet (RFC 3461 §4).
 *
 *     xtext   = *( xchar / hexchar )
 *     xchar   = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="
 *     hexchar = "+" and two hexadecimal digits in upper case
 */
#ifndef VEREDUS_MAIL_XTEXT_H
#define VEREDUS_MAIL_XTEXT_H

#include "util/base/buf.h"

/* Appends what `xtext` stands for. False when it is none, when it stands for anything but printable
 * ASCII, or when the buffer's limit is in the way; `out` has a part of it then. */
bool xtext_decode(struct span xtext, struct buf *out) __attribute__((warn_unused_result));

/* True when xtext_decode would take it: no control octet hides in it. */
bool xtext_is_valid(struct span xtext);

#endif
