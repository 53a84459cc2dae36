/*
 * writer_parts - what writer.c (batches) and stream.c (large letters) share; nobody else's.
 */
#ifndef VEREDUS_SPOOL_WRITER_PARTS_H
#define VEREDUS_SPOOL_WRITER_PARTS_H

#include "util/spool/committer.h"
#include "util/spool/gather.h"
#include "util/spool/writer.h"

enum {
    BATCH_LETTERS = 200,
    GROW_PIECES = 8, /* of GROW_PIECE zeros each: a step of growth */
    GROW_PIECE = 128 << 10,
    LETTER_PIECES = 5, /* header, envelope, trace, body, padding: 200 letters stay below IOV_MAX */
    BATCH_OCTETS = 4 << 20, /* enough to keep a disk busy, little enough not to hold up the loop */
    SEGMENT_WAIT_MS = 5000
};

/* A segment in the writer's hands. */
struct held_segment {
    struct spool_grant grant;
    uint64_t end;         /* behind the last record written */
    uint64_t durable_end; /* behind the last record that is durable */
    uint64_t grown_end;   /* behind the last octet that was ever written */
    struct held_segment *next;
};

/* The letters that were written together; at most one batch is on its way to the disk. */
struct batch {
    struct letter *letters;
    struct letter **last;
    uint64_t start;
    uint64_t end; /* behind the last record */
    size_t count;
    size_t piece_count;
    bool syncing;
    struct sync_job job;
    uint8_t headers[BATCH_LETTERS][SPOOL_RECORD_HEADER];
    struct iovec pieces[BATCH_LETTERS * LETTER_PIECES + GROW_PIECES];
};

struct spool_writer {
    struct loop *loop;
    const struct spool_io *io;
    struct spool_writer_calls calls;
    struct committer committer;
    struct turn turn;
    struct timer no_segment; /* runs while letters wait for one */
    struct held_segment *open;
    struct held_segment *shared;  /* spares */
    struct held_segment *private; /* spares */
    unsigned shared_spares, private_spares;
    unsigned shared_asked, private_asked; /* what qmgr was asked for and has not given */
    bool rotate;                          /* the open segment is sealed behind its batch */
    bool sealed;                          /* graceful stop: nothing is wanted any more */
    struct letter *pending;
    struct letter **pending_last;
    size_t pending_count;
    struct gather gather;
    struct spool_stream *streams; /* all that were not freed */
    unsigned committing;          /* of these */
    struct batch batch;
};

struct spool_stream {
    struct spool_writer *writer;
    struct held_segment *segment;
    struct letter *letter;
    uint64_t at;       /* where the next octets of the message go */
    uint64_t body_len; /* trace included */
    uint32_t crc_body;
    enum spool_result result; /* anything but SPOOL_OK is final */
    bool ended;               /* committed without a sync, because it had failed */
    struct sync_job job;
    struct spool_stream *next;
};

/* What the client is told about an errno. */
enum spool_result writer_result(int error);

/* The header of a letter at its place; number, salt and offset come from segment and id. */
void writer_header(const struct held_segment *segment, const struct letter *letter,
                   struct record_header *header);

/* A letter that was written and not accepted: overwrites its header. */
void writer_take_back(const struct spool_writer *writer, const struct held_segment *segment,
                      const struct letter *letter);

/* Asks for the octets that go before the body. */
void writer_trace(struct letter *letter);

/* Tells qmgr that nothing follows, closes and frees the segment. */
void writer_release(struct spool_writer *writer, struct held_segment *segment);

/* Streams that failed before their sync are reported at the end of the turn, like everything. */
void writer_end_streams(struct spool_writer *writer);

/* Closes what is left of the streams; for spool_writer_free. */
void writer_drop_streams(struct spool_writer *writer);

#endif
