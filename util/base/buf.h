/*
 * buf - octets that grow at the end and are consumed at the front, up to a limit.
 *
 * Owns its memory; zero-initialised is a valid, empty buffer without limit. Appending past `limit`
 * fails and leaves the buffer as it was: a limit is an error to be answered, never a truncation.
 *
 * What was in a secret buffer is nowhere in memory once it was consumed, moved or freed.
 */
#ifndef VEREDUS_BASE_BUF_H
#define VEREDUS_BASE_BUF_H

#include "util/base/span.h"

struct buf {
    char *data;   /* start of the memory */
    size_t start; /* first octet not yet consumed */
    size_t end;   /* behind the last octet */
    size_t cap;
    size_t limit; /* most octets held at once; 0: none */
    bool secret;  /* wiped wherever octets leave; set before the first secret is appended */
};

/* The octets held. Valid until the next call that changes the buffer. */
static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->data ? buf->data + buf->start : "", buf->end - buf->start};
}

/* How many octets that are. */
static inline size_t buf_len(const struct buf *buf)
{
    return buf->end - buf->start;
}

/* Appends all or nothing; false when the limit is in the way. */
bool buf_append(struct buf *buf, struct span s) __attribute__((warn_unused_result));

/* Appends to a buffer without a limit, where nothing can fail.
 * A limit that is in the way is a bug, not an error. */
void buf_add(struct buf *buf, struct span s);

/* Room for `size` more octets, to be filled by read(2) and then announced with buf_filled();
 * NULL when the limit is in the way. */
char *buf_room(struct buf *buf, size_t size) __attribute__((warn_unused_result));
void buf_filled(struct buf *buf, size_t count);

/* Drops `count` octets at the front (at most what is held). */
void buf_consume(struct buf *buf, size_t count);

/* Drops `count` octets at the end (at most what is held). */
void buf_cut(struct buf *buf, size_t count);

/* Empties it, keeps the memory; buf_free also gives the memory back. */
void buf_reset(struct buf *buf);
void buf_free(struct buf *buf);

#endif
