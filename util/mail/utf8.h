/*
 * utf8 - text beyond ASCII in addresses and their parameters (RFC 3629, RFC 6531 §3.3).
 */
#ifndef VEREDUS_MAIL_UTF8_H
#define VEREDUS_MAIL_UTF8_H

#include "util/base/span.h"

/* Octets of the character that `text` begins with, 2 to 4, if it is one beyond ASCII in its one
 * valid form (RFC 3629 §4) and no control; else 0. */
size_t utf8_character(struct span text);

/* True when no octet of `text` is beyond ASCII. */
bool utf8_is_ascii(struct span text);

#endif
