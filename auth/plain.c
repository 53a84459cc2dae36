/*
 * A third NUL makes the message wrong, not the password shorter: what crypt(3) would not see must
 * not count either.
 */
#include "auth/plain.h"

/* Cuts the part before the next NUL off `*rest`; false when there is none. */
static bool take_part(struct span *rest, struct span *part)
{
    size_t end = span_find(*rest, '\0');

    if (end == rest->len)
        return false;
    *part = span_first(*rest, end);
    *rest = span_skip(*rest, end + 1);
    return true;
}

/* message = [authzid] NUL authcid NUL passwd */
bool plain_parse(struct span message, struct plain *plain)
{
    if (!take_part(&message, &plain->authzid) || !take_part(&message, &plain->authcid))
        return false;
    plain->password = message;
    return plain->authcid.len > 0 && message.len > 0 && span_find(message, '\0') == message.len;
}
