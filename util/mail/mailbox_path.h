/*
 * mailbox_path - where a mailbox lies beneath the mail root: which paths may name one.
 *
 * lookup refuses any other, so that a typing error in a table is found by whoever reads it first;
 * local checks again before it opens anything.
 */
#ifndef VEREDUS_MAIL_MAILBOX_PATH_H
#define VEREDUS_MAIL_MAILBOX_PATH_H

#include "util/base/span.h"

enum {
    MAILBOX_PATH_MOST = 512,
    MAILBOX_PATH_PARTS = 8,
    MAILBOX_PATH_PART_MOST = 255 /* NAME_MAX */
};

/* True when `path` can not leave the directory that it is relative to: 1 to MAILBOX_PATH_PARTS
 * parts, none of them empty, too long, beginning with '.' or holding control octets. */
bool mailbox_path_is_sound(struct span path);

#endif
