/*
 * writer - letters into segments, by the batch; and the thread that makes them durable.
 *
 * Owned by one process and its loop. What was submitted is written with one pwritev(2) at the end
 * of the loop's turn, or a moment later when more is likely to come (gather.h); unless a sync is
 * under way: then it waits for the end of that sync and goes out with everything that came
 * meanwhile. The committer thread does nothing but fdatasync(2). When it returns, the done
 * callbacks run (in the loop), then `durable`. A batch is written only after the sync before it
 * returned, so a valid record proves all that lies before its batch_start.
 *
 * A failed write or sync seals the segment at its last durable end: its letters get SPOOL_IO or
 * SPOOL_NO_SPACE, their headers are overwritten as far as the disk lets, nothing else is ever
 * written to it, and a later success is never trusted.
 */
#ifndef VEREDUS_SPOOL_WRITER_H
#define VEREDUS_SPOOL_WRITER_H

#include "util/spool/format.h"
#include "util/spool/io.h"
#include "util/sys/loop.h"

enum {
    SPOOL_TRACE_MAX = 16384 /* most octets that a trace may give */
};

enum spool_result {
    SPOOL_OK,
    SPOOL_NO_SPACE,   /* ENOSPC, EDQUOT, EFBIG: 452 4.3.1 */
    SPOOL_NO_SEGMENT, /* qmgr gave none: 452 4.3.1 */
    SPOOL_IO          /* EIO and the rest: 451 4.3.0 */
};

/* One message on its way to the disk; the owner's, and untouched by him from submit to done. */
struct letter {
    struct span envelope; /* encoded */
    struct span body;     /* of a letter that is submitted whole; empty for a stream */
    uint64_t arrival_us;
    uint32_t recipients;
    uint16_t flags;
    /* Called once, when the place is known: gives the octets that go before the body (Received), at
     * most SPOOL_TRACE_MAX, which must stay valid until done. May be NULL. */
    struct span (*trace)(void *arg, uint64_t id);
    /* Called once, in the loop. */
    void (*done)(void *arg, enum spool_result result, uint64_t id);
    void *arg;
    /* The writer's own. */
    struct letter *next;
    struct span trace_octets;
    uint64_t id;
};

/* A segment as qmgr hands it out; the descriptor is write-only and becomes the writer's. */
struct spool_grant {
    int fd;
    uint64_t number;
    struct spool_salt salt;
    enum spool_kind kind;
    uint64_t size; /* octets that may be written; shared: at most SPOOL_SEGMENT_MAX */
};

struct spool_writer_calls {
    /* How many segments of each kind the writer lacks now; asked again only after a change. */
    void (*want)(void *arg, unsigned shared, unsigned private);
    /* Everything before `end` is durable in segment `number`. */
    void (*durable)(void *arg, uint64_t number, uint64_t end);
    /* Nothing will follow in this segment; `end` as above. The descriptor is closed. */
    void (*sealed)(void *arg, uint64_t number, uint64_t end);
    void *arg;
};

struct spool_writer;
struct spool_stream;

/* Makes the writer; its thread starts with the first sync. It keeps `shared_spares` (besides the
 * segment in use) and `private_spares` segments in store. */
struct spool_writer *spool_writer_new(struct loop *loop, const struct spool_writer_calls *calls,
                                      unsigned shared_spares, unsigned private_spares);

/* The same with other system calls, for tests. */
struct spool_writer *spool_writer_new_io(struct loop *loop, const struct spool_io *io,
                                         const struct spool_writer_calls *calls,
                                         unsigned shared_spares, unsigned private_spares);

/* Waits for a sync under way, stops the thread, closes everything. No callback comes after it. */
void spool_writer_free(struct spool_writer *writer);

/* A new segment; may start what waited for it. */
void spool_writer_give(struct spool_writer *writer, const struct spool_grant *grant);

/* Submits a whole letter. Its done comes later, never from within this call. */
void spool_writer_submit(struct spool_writer *writer, struct letter *letter);

/* True while letters are on their way. */
bool spool_writer_busy(const struct spool_writer *writer);

/* Seals what is open (for a graceful stop); call when not busy. Allowed from within a letter's
 * done, like all calls but spool_writer_free. */
void spool_writer_seal(struct spool_writer *writer);

/* Seals the open segment when there are letters in it, as soon as they are durable; those that
 * follow go into a spare. For a writer whose word nobody hears: a sealed segment is looked at. */
void spool_writer_rotate(struct spool_writer *writer);

/* qmgr is a new one: tells it again what is durable in the open segment, and at the end of the turn
 * what is wanted. */
void spool_writer_repeat(struct spool_writer *writer);

/* A large letter goes, streamed, into a segment of its own: opened when its envelope is known (the
 * trace is asked for here), NULL when no private segment is in store. */
struct spool_stream *spool_stream_open(struct spool_writer *writer, struct letter *letter);

/* Writes octets of the message. SPOOL_OK, or why it failed: the stream must be aborted then. */
enum spool_result spool_stream_write(struct spool_stream *stream, struct span octets)
    __attribute__((warn_unused_result));

/* Ends it: header, sync, done. The stream is gone after either call; an aborted one never becomes
 * visible. */
void spool_stream_commit(struct spool_stream *stream);

/* The segment is used again when nothing failed; `done` is not called. */
void spool_stream_abort(struct spool_stream *stream);

#endif
