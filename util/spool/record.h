/*
 * record - reading one letter from a segment with pread(2), never through a mapping.
 *
 * For whoever was handed a read-only descriptor of a segment with its number and salt: qmgr's
 * helper, the delivery agents.
 */
#ifndef VEREDUS_SPOOL_RECORD_H
#define VEREDUS_SPOOL_RECORD_H

#include <sys/types.h>

#include "util/spool/envelope.h"
#include "util/spool/format.h"

struct segment_view {
    int fd; /* not owned */
    uint64_t number;
    struct spool_salt salt;
};

struct record {
    struct record_header header;
    struct envelope envelope; /* in the arena */
    uint64_t body_offset;
};

enum record_result {
    RECORD_OK,
    RECORD_NONE, /* no header of this segment at this place */
    RECORD_BAD,  /* a header that is damaged, or an envelope that is */
    RECORD_IO    /* errno says why */
};

/* Reads header and envelope at `offset`, checks them against number, salt and checksum. */
enum record_result record_read(const struct segment_view *segment, uint64_t offset,
                               struct arena *arena, struct record *record)
    __attribute__((warn_unused_result));

/* Reads the whole message and compares its checksum: RECORD_OK, RECORD_BAD or RECORD_IO. */
enum record_result record_check_body(const struct segment_view *segment,
                                     const struct record *record)
    __attribute__((warn_unused_result));

/* Reads up to `size` octets of the message from `at`; the count, or -1 with errno. A short segment
 * is EIO. */
ssize_t record_read_body(const struct segment_view *segment, const struct record *record,
                         uint64_t at, void *out, size_t size) __attribute__((warn_unused_result));

#endif
