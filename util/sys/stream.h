/*
 * stream - the octets of one connection, in the clear or under TLS, to read and write alike.
 *
 * Embedded in its owner, which asks for IO_READ and IO_WRITE as of a plain socket; what TLS needs
 * instead (to write before it can read) stays in here. Owns the descriptor and the TLS session from
 * stream_init and stream_secure to stream_close. What OpenSSL has read ahead is not seen by
 * poll(2): who stops reading looks at stream_pending before it waits again.
 */
#ifndef VEREDUS_SYS_STREAM_H
#define VEREDUS_SYS_STREAM_H

#include "util/sys/loop.h"
#include "util/sys/tls.h"

enum stream_result {
    STREAM_OK,
    STREAM_AGAIN, /* the owner is called when it can go on */
    STREAM_END,   /* the other side said that nothing follows, in whatever way */
    STREAM_ERROR  /* only stream_close is left; stream_reason says why when TLS does */
};

struct stream {
    struct io io;
    struct tls *tls;      /* NULL: in the clear */
    bool is_secure;       /* the handshake is done */
    bool is_drained;      /* the last read took all there was */
    unsigned wanted;      /* by the owner: IO_READ | IO_WRITE */
    unsigned needs_read;  /* what the socket must be ready for, for the owner to read */
    unsigned needs_write; /* and to write */
    void (*ready)(void *arg, unsigned events);
    void *arg;
};

/* Takes the non-blocking socket over; `ready` is called with what the owner wanted and can do. */
void stream_init(struct stream *stream, struct loop *loop, int fd,
                 void (*ready)(void *arg, unsigned events), void *arg);

/* From here on octets are encrypted; stream_handshake comes first. Nothing may be buffered. */
void stream_secure(struct stream *stream, struct tls_server *server);

/* STREAM_OK once it is done; on STREAM_AGAIN the owner is called, with IO_READ, to ask again. */
enum stream_result stream_handshake(struct stream *stream) __attribute__((warn_unused_result));

/* Reads 1 to `size` octets; *count says how many. */
enum stream_result stream_read(struct stream *stream, void *out, size_t size, size_t *count)
    __attribute__((warn_unused_result));

/* Writes a part; *count says how much. */
enum stream_result stream_write(struct stream *stream, struct span octets, size_t *count)
    __attribute__((warn_unused_result));

/* Calls the owner when it can read, write, or either; 0: not at all. */
void stream_want(struct stream *stream, unsigned events);

/* True when octets are there already: no event will tell. */
bool stream_pending(const struct stream *stream);

/* Tells the other side that nothing follows; its own octets can still be read. */
void stream_end_output(struct stream *stream);

/* Why TLS failed: static text; "" when it did not, or is not in use. */
const char *stream_reason(const struct stream *stream);

/* Closes the descriptor, stops all calls, frees what TLS holds. Once. */
void stream_close(struct stream *stream);

#endif
