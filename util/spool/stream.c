/*
 * A large letter is written as it comes, to a file of its own. Its length and checksum are known
 * only at the end, so the header goes last: before that there is nothing at the place where a
 * reader looks. Header and body reach the disk with the same sync, in any order; the checksum of
 * the body tells a letter that is whole from one whose end was lost.
 *
 * An aborted stream leaves its segment as it was, but for octets behind a header that never came.
 */
#include "util/spool/writer_parts.h"

#include "util/base/crc32c.h"
#include "util/base/panic.h"

#include <unistd.h>

/* The header's place is left free until the end. */
static uint64_t body_start(const struct letter *letter)
{
    return SPOOL_BLOCK + SPOOL_RECORD_HEADER + letter->envelope.len;
}

/* The list is short: as many as large letters are on their way. */
static void unlink_stream(struct spool_stream *stream)
{
    struct spool_stream **link = &stream->writer->streams;
    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
}

/* The letter's place is known at once: a private segment has one record, at its first block. */
struct spool_stream *spool_stream_open(struct spool_writer *writer, struct letter *letter)
{
    struct held_segment *segment = writer->private;
    if (segment == NULL)
        return NULL;
    /* From here on the segment is the stream's alone. */
    writer->private = segment->next;
    segment->next = NULL;

    struct spool_stream *stream = mem_new(sizeof *stream);
    stream->writer = writer;
    stream->segment = segment;
    stream->letter = letter;
    /* The trace goes first, then the message: one body with one checksum. */
    stream->at = body_start(letter);
    stream->next = writer->streams;
    writer->streams = stream;
    letter->id = spool_id(segment->grant.number, SPOOL_BLOCK);
    writer_trace(letter);
    /* A failure is kept and given at the next write or commit. */
    stream->result = spool_stream_write(stream, letter->trace_octets);
    loop_later(writer->loop, &writer->turn);
    return stream;
}

/* Any failure is final: the stream answers it again and again until it is aborted or committed. */
enum spool_result spool_stream_write(struct spool_stream *stream, struct span octets)
{
    const struct held_segment *segment = stream->segment;
    if (stream->result != SPOOL_OK)
        return stream->result;
    if (stream->at > segment->grant.size || octets.len > segment->grant.size - stream->at) {
        stream->result = SPOOL_NO_SPACE;
        return stream->result;
    }
    int error =
        spool_io_write(stream->writer->io, segment->grant.fd, octets.data, octets.len, stream->at);
    stream->result = writer_result(error);
    stream->at += octets.len;
    stream->body_len += octets.len;
    stream->crc_body = crc32c(stream->crc_body, octets.data, octets.len);
    return stream->result;
}

/* The last word to its owner and to qmgr. */
static void finish(struct spool_stream *stream)
{
    struct spool_writer *writer = stream->writer;
    struct held_segment *segment = stream->segment;
    enum spool_result result = stream->result;
    struct letter *letter = stream->letter;
    unlink_stream(stream);
    mem_free(stream);
    writer->committing--;
    if (result == SPOOL_OK)
        segment->durable_end = segment->end;
    else
        writer_take_back(writer, segment, letter);
    /* Who waits for the 250 hears first; the stream is gone by now, so that a callback can open
     * another. */
    letter->done(letter->arg, result, letter->id);
    if (result == SPOOL_OK)
        writer->calls.durable(writer->calls.arg, segment->grant.number, segment->durable_end);
    writer_release(writer, segment);
}

/* In the loop; the stream ends with it. */
static void on_synced(void *arg, int error)
{
    struct spool_stream *stream = arg;
    stream->result = writer_result(error);
    finish(stream);
}

/* Header and envelope together, last of all: until now a reader finds nothing. */
static enum spool_result write_header(struct spool_stream *stream)
{
    struct record_header header;
    uint8_t octets[SPOOL_RECORD_HEADER];
    const struct letter *letter = stream->letter;
    writer_header(stream->segment, letter, &header);
    /* It proves nothing but itself: there is no batch before it. */
    header.batch_start = SPOOL_BLOCK;
    header.body_len = stream->body_len;
    header.crc_body = stream->crc_body;
    record_header_encode(&header, letter->envelope, octets);
    stream->segment->end = SPOOL_BLOCK + record_size(&header);

    struct iovec pieces[] = {
        {octets, sizeof octets},
        {(void *)(uintptr_t)letter->envelope.data, letter->envelope.len},
    };
    return writer_result(spool_io_write_pieces(stream->writer->io, stream->segment->grant.fd,
                                               pieces, 2, SPOOL_BLOCK));
}

/* `done` never comes from within this call, not even on failure. */
void spool_stream_commit(struct spool_stream *stream)
{
    struct spool_writer *writer = stream->writer;
    /* Counted until `done`: the writer is busy as long as somebody waits. */
    writer->committing++;
    if (stream->result == SPOOL_OK)
        stream->result = write_header(stream);
    if (stream->result != SPOOL_OK) {
        stream->ended = true;
        loop_later(writer->loop, &writer->turn);
        return;
    }
    stream->job =
        (struct sync_job){.fd = stream->segment->grant.fd, .finished = on_synced, .arg = stream};
    committer_submit(&writer->committer, &stream->job, false);
}

/* The segment goes back to the spares: what was written lies behind a header that is not there. */
void spool_stream_abort(struct spool_stream *stream)
{
    struct spool_writer *writer = stream->writer;
    struct held_segment *segment = stream->segment;
    unlink_stream(stream);
    if (stream->result == SPOOL_OK) {
        segment->next = writer->private;
        writer->private = segment;
    } else {
        /* Nothing is ever written again to a file that failed once. */
        writer_release(writer, segment);
    }
    mem_free(stream);
    loop_later(writer->loop, &writer->turn);
}

/* Failed commits wait for the end of the turn, so that `done` is not called from within commit. */
void writer_end_streams(struct spool_writer *writer)
{
    struct spool_stream *stream = writer->streams;
    while (stream != NULL) {
        struct spool_stream *next = stream->next;
        if (stream->ended) {
            finish(stream);
            next = writer->streams; /* a callback may have changed the list */
        }
        stream = next;
    }
}

/* Without callbacks: their owners are being freed too. */
void writer_drop_streams(struct spool_writer *writer)
{
    while (writer->streams != NULL) {
        struct spool_stream *stream = writer->streams;
        writer->streams = stream->next;
        close(stream->segment->grant.fd);
        mem_free(stream->segment);
        mem_free(stream);
    }
}
