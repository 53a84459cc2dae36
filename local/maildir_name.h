/*
 * maildir_name - the names of message files in a Maildir.
 *
 *     1795248000.M<6 digits>V<20 hex digits>.<host>,S=<octets>,W=<octets with CRLF>:2,<flags>
 *     '--------------- unique part ---------------'
 *
 * Seconds and microseconds are those of arrival. The hash covers the letter's place in the spool
 * and the recipient, under the segment's secret salt: the same job gives the same name, always, and
 * nobody outside can foresee it. Other programs deliver and rename here too, so whatever is read is
 * taken as it comes: the unique part is what stands before the first ',' or ':'.
 */
#ifndef VEREDUS_LOCAL_MAILDIR_NAME_H
#define VEREDUS_LOCAL_MAILDIR_NAME_H

#include "util/spool/format.h"

enum {
    MAILDIR_NAME_SIZE = 256, /* NAME_MAX and a NUL */
    MAILDIR_HOST_MOST = 100, /* octets of the host name: the hash alone makes a name unique */
    MAILDIR_UIDL_MOST = 70   /* RFC 1939 §7 */
};

/* What a name is made from. */
struct letter_place {
    struct spool_salt salt;
    uint64_t number; /* of the segment */
    uint64_t offset;
    uint64_t arrival_us;
    uint32_t recipient; /* index in the envelope */
};

/* Writes the unique part, NUL-terminated. '/', ':' and ',' of the host name become \057 \072 \054;
 * what exceeds MAILDIR_HOST_MOST is left out. */
void maildir_name_unique(const struct letter_place *place, struct span hostname,
                         char out[MAILDIR_NAME_SIZE]);

/* Writes the whole name of the new message: unique part and both sizes. */
void maildir_name_final(const char *unique, uint64_t disk, uint64_t wire,
                        char out[MAILDIR_NAME_SIZE]);

/* The unique part of any name. */
struct span maildir_name_unique_part(struct span name);

/* True when the name is made as maildir_name_unique does it, on whatever host. */
bool maildir_name_is_ours(struct span name);

/* The size with CRLF that the name states; false when it states none or an impossible one. */
bool maildir_name_wire_size(struct span name, uint64_t *octets) __attribute__((warn_unused_result));

/* The seconds that the name begins with; 0 when it begins with none. */
uint64_t maildir_name_arrival(struct span name);

/* The UIDL of a unique part: itself when RFC 1939 §7 allows that, else 40 hex digits of its
 * SHA-256, allocated in `arena`. */
struct span maildir_name_uidl(struct span unique, struct arena *arena);

#endif
