/*
 * Why no part may begin with a dot, when "." and ".." alone are dangerous: in a Maildir such names
 * are subfolders, and a mailbox inside another one would be read by its owner. Control octets would
 * reach the log and the terminal of whoever looks at the directory.
 */
#include "util/mail/mailbox_path.h"

static bool part_is_sound(struct span part)
{
    if (part.len == 0 || part.len > MAILBOX_PATH_PART_MOST || part.data[0] == '.')
        return false;
    for (size_t i = 0; i < part.len; i++)
        if ((unsigned char)part.data[i] < 0x20 || part.data[i] == 0x7f)
            return false;
    return true;
}

/* A '/' at the front makes an empty part, which is refused; one at the end makes none. */
bool mailbox_path_is_sound(struct span path)
{
    if (path.len == 0 || path.len > MAILBOX_PATH_MOST || path.data[path.len - 1] == '/')
        return false;
    size_t parts = 0;
    struct span part;
    while (span_next(&path, '/', &part))
        if (!part_is_sound(part) || ++parts > MAILBOX_PATH_PARTS)
            return false;
    return true;
}
