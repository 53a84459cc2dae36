/*
 * What is encoded here is a name that somebody else chose, and it ends in headers and notifications
 * of ours. So an encoded line end is refused where it comes in, and every reader of what was stored
 * decodes with the same strictness.
 */
#include "util/mail/xtext.h"

/* -1: no digit. Lower case is none (RFC 3461 §4). */
static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Cuts one octet off `*rest`. */
static bool next_octet(struct span *rest, char *octet)
{
    *octet = rest->data[0];
    size_t used = 1;
    if (*octet == '+') {
        int high = rest->len > 2 ? digit_of(rest->data[1]) : -1;
        int low = rest->len > 2 ? digit_of(rest->data[2]) : -1;
        if (high < 0 || low < 0)
            return false;
        *octet = (char)(high * 16 + low);
        used = 3;
    } else if (*octet == '=' || *octet == ' ') {
        return false;
    }
    *rest = span_skip(*rest, used);
    return *octet >= ' ' && *octet <= '~';
}

bool xtext_decode(struct span xtext, struct buf *out)
{
    while (xtext.len > 0) {
        char octet;
        if (!next_octet(&xtext, &octet) || !buf_append(out, span_of(&octet, 1)))
            return false;
    }
    return true;
}

bool xtext_is_valid(struct span xtext)
{
    char octet;
    while (xtext.len > 0)
        if (!next_octet(&xtext, &octet))
            return false;
    return true;
}
