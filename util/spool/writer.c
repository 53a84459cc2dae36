/*
 * A batch is laid out at the end of the turn in which its letters were submitted: by then all
 * sessions that ended their message in this turn are in. It begins on a page of its own and is
 * padded with zeros to the end of its last one: no page is written by two batches (a torn write of
 * the second can not harm the first), no page must be read before it is written, and no octet of a
 * former life of the segment stays between its records.
 *
 * At most one batch is on its way to the disk. That makes its start a proof: whatever lies before
 * it was synced before it was written (recovery builds on this, README.md).
 */
#include "util/spool/writer_parts.h"

#include "util/base/crc32c.h"
#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t zeros[GROW_PIECE];

/* A full disk is the sender's to wait out (452), all else is ours (451). */
enum spool_result writer_result(int error)
{
    if (error == 0)
        return SPOOL_OK;
    bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    return full ? SPOOL_NO_SPACE : SPOOL_IO;
}

/* What batch and stream have in common; lengths and checksum are the caller's to fill in. */
void writer_header(const struct held_segment *segment, const struct letter *letter,
                   struct record_header *header)
{
    *header = (struct record_header){
        .number = segment->grant.number,
        .salt = segment->grant.salt,
        .offset = spool_id_offset(letter->id),
        .arrival_us = letter->arrival_us,
        .envelope_len = (uint32_t)letter->envelope.len,
        .recipients = letter->recipients,
        .flags = letter->flags,
    };
}

/* Not synced: a failing disk may not take it, but whoever reads through the cache does not see the
 * letter any more. */
void writer_take_back(const struct spool_writer *writer, const struct held_segment *segment,
                      const struct letter *letter)
{
    char id[SPOOL_ID_MAX];
    int error = spool_io_write(writer->io, segment->grant.fd, zeros, SPOOL_RECORD_HEADER,
                               spool_id_offset(letter->id));
    if (error != 0)
        log_event(LOG_WARN, "letter-not-taken-back", LOG_SPAN("id", spool_id_text(letter->id, id)),
                  LOG_ERRNO(error));
}

/* Called once, when the id is known: Received names it. */
void writer_trace(struct letter *letter)
{
    letter->trace_octets = SPAN("");
    if (letter->trace != NULL)
        letter->trace_octets = letter->trace(letter->arg, letter->id);
    require(letter->trace_octets.len <= SPOOL_TRACE_MAX);
}

/* ---- segments ---- */

/* From the front: the oldest grant is used first. */
static struct held_segment *take_spare(struct held_segment **spares)
{
    struct held_segment *segment = *spares;
    if (segment != NULL) {
        *spares = segment->next;
        segment->next = NULL;
    }
    return segment;
}

/* A handful. */
static unsigned count_spares(const struct held_segment *spares)
{
    unsigned count = 0;
    for (; spares != NULL; spares = spares->next)
        count++;
    return count;
}

/* Closed before it is said: who hears "sealed" may look at the lock. */
void writer_release(struct spool_writer *writer, struct held_segment *segment)
{
    close(segment->grant.fd);
    writer->calls.sealed(writer->calls.arg, segment->grant.number, segment->durable_end);
    mem_free(segment);
}

/* Nothing is written to it any more; what is durable in it stays so. */
static void seal_open(struct spool_writer *writer)
{
    struct held_segment *segment = writer->open;
    writer->open = NULL;
    writer->rotate = false;
    if (segment != NULL)
        writer_release(writer, segment);
}

static void release_spares(struct spool_writer *writer, struct held_segment **spares)
{
    struct held_segment *segment;
    while ((segment = take_spare(spares)) != NULL)
        writer_release(writer, segment);
}

/* Asks qmgr for what is missing and was not asked for yet. */
static void tell_wants(struct spool_writer *writer)
{
    unsigned shared = count_spares(writer->shared) + (writer->open != NULL ? 1 : 0);
    unsigned private = count_spares(writer->private);
    unsigned lack_shared =
        shared < writer->shared_spares + 1 ? writer->shared_spares + 1 - shared : 0;
    unsigned lack_private = private < writer->private_spares ? writer->private_spares - private : 0;
    bool more = lack_shared > writer->shared_asked || lack_private > writer->private_asked;
    writer->shared_asked = lack_shared;
    writer->private_asked = lack_private;
    if (more)
        writer->calls.want(writer->calls.arg, lack_shared, lack_private);
}

/* ---- one batch ---- */

/* The most room a letter can take; its trace is not known before its place is. */
static uint64_t room_for(const struct letter *letter)
{
    uint64_t trace = letter->trace != NULL ? SPOOL_TRACE_MAX : 0;
    return spool_align(SPOOL_RECORD_HEADER + letter->envelope.len + trace + letter->body.len,
                       SPOOL_BLOCK);
}

/* Subtracted, not added: no sum can wrap. */
static bool fits(const struct held_segment *segment, uint64_t at, const struct letter *letter)
{
    return at < segment->grant.size && room_for(letter) <= segment->grant.size - at;
}

/* pwritev(2) takes no pointer to const, and does not write through it. */
static void add_piece(struct batch *batch, const void *octets, size_t size)
{
    if (size == 0)
        return;
    batch->pieces[batch->piece_count].iov_base = (void *)(uintptr_t)octets;
    batch->pieces[batch->piece_count].iov_len = size;
    batch->piece_count++;
}

/* Zeros, so that nothing of a former life shows between two records. */
static void add_padding(struct batch *batch, uint64_t from, uint64_t to)
{
    add_piece(batch, zeros, (size_t)(to - from));
}

/* The place first, because the trace names it; then lengths, checksums, pieces, in the order
 * they lie on the disk. */
static void add_letter(struct spool_writer *writer, struct letter *letter)
{
    struct batch *batch = &writer->batch;
    struct record_header header;
    letter->id = spool_id(writer->open->grant.number, batch->end);
    writer_trace(letter);
    writer_header(writer->open, letter, &header);
    header.batch_start = batch->start;
    header.body_len = letter->trace_octets.len + letter->body.len;
    header.crc_body = crc32c(0, letter->trace_octets.data, letter->trace_octets.len);
    header.crc_body = crc32c(header.crc_body, letter->body.data, letter->body.len);

    uint8_t *octets = batch->headers[batch->count++];
    record_header_encode(&header, letter->envelope, octets);
    add_piece(batch, octets, SPOOL_RECORD_HEADER);
    add_piece(batch, letter->envelope.data, letter->envelope.len);
    add_piece(batch, letter->trace_octets.data, letter->trace_octets.len);
    add_piece(batch, letter->body.data, letter->body.len);
    uint64_t used = SPOOL_RECORD_HEADER + letter->envelope.len + header.body_len;
    add_padding(batch, used, record_size(&header));

    batch->end += record_size(&header);
    letter->next = NULL;
    *batch->last = letter;
    batch->last = &letter->next;
}

static struct letter *take_pending(struct spool_writer *writer)
{
    struct letter *letter = writer->pending;
    writer->pending = letter->next;
    writer->pending_count--;
    if (writer->pending == NULL)
        writer->pending_last = &writer->pending;
    return letter;
}

/* By number and by size: the pieces have a bound, and so has the patience of the loop. */
static bool takes_more(const struct batch *batch)
{
    return batch->count < BATCH_LETTERS && batch->end - batch->start < BATCH_OCTETS;
}

/* A segment grows a step ahead of its letters, by zeros in the batch that reaches its end: a sync
 * of octets that were written before changes no size and no extent, which costs a file system with
 * a journal a commit each time. Recycled segments have their full size already. */
static void grow_ahead(struct spool_writer *writer, uint64_t at)
{
    struct held_segment *segment = writer->open;
    if (at <= segment->grown_end)
        return;
    for (unsigned i = 0; i < GROW_PIECES && segment->grant.size - at >= GROW_PIECE; i++) {
        add_piece(&writer->batch, zeros, GROW_PIECE);
        at += GROW_PIECE;
    }
    segment->grown_end = at;
}

/* The first letter that does not fit ends the batch: letters never overtake each other. */
static void lay_out(struct spool_writer *writer)
{
    struct batch *batch = &writer->batch;
    batch->letters = NULL;
    batch->last = &batch->letters;
    batch->count = batch->piece_count = 0;
    batch->start = batch->end = spool_align(writer->open->end, SPOOL_BLOCK);
    while (writer->pending != NULL && takes_more(batch) &&
           fits(writer->open, batch->end, writer->pending))
        add_letter(writer, take_pending(writer));
    add_padding(batch, batch->end, spool_align(batch->end, SPOOL_BLOCK));
    grow_ahead(writer, spool_align(batch->end, SPOOL_BLOCK));
}

/* `next` is read before: the callback may free the letter. */
static void finish_letters(struct letter *letter, enum spool_result result)
{
    while (letter != NULL) {
        struct letter *next = letter->next;
        letter->done(letter->arg, result, letter->id);
        letter = next;
    }
}

/* The segment is sealed first, so that no letter that a callback submits can get into it. */
static void fail_batch(struct spool_writer *writer, int error)
{
    struct letter *letters = writer->batch.letters;
    for (const struct letter *letter = letters; letter != NULL; letter = letter->next)
        writer_take_back(writer, writer->open, letter);
    writer->batch.letters = NULL;
    seal_open(writer);
    finish_letters(letters, writer_result(error));
}

/* Owners first, then qmgr: the 250 is what somebody waits for. */
static void on_synced(void *arg, int error)
{
    struct spool_writer *writer = arg;
    struct letter *letters = writer->batch.letters;
    writer->batch.syncing = false;
    loop_later(writer->loop, &writer->turn);
    if (error != 0) {
        fail_batch(writer, error);
        return;
    }
    writer->batch.letters = NULL;
    writer->open->durable_end = writer->open->end;
    finish_letters(letters, SPOOL_OK);
    /* A callback may have sealed it: then qmgr has heard its end. */
    if (writer->open == NULL)
        return;
    writer->calls.durable(writer->calls.arg, writer->open->grant.number, writer->open->durable_end);
    if (writer->rotate)
        seal_open(writer);
}

/* The batch's end is noted before the write: a failed one must never be written over. */
static void write_batch(struct spool_writer *writer)
{
    struct batch *batch = &writer->batch;
    lay_out(writer);
    gather_end(&writer->gather, batch->count);
    writer->open->end = batch->end;
    int error = spool_io_write_pieces(writer->io, writer->open->grant.fd, batch->pieces,
                                      batch->piece_count, batch->start);
    if (error != 0) {
        fail_batch(writer, error);
        return;
    }
    batch->syncing = true;
    batch->job =
        (struct sync_job){.fd = writer->open->grant.fd, .finished = on_synced, .arg = writer};
    committer_submit(&writer->committer, &batch->job, true);
}

/* ---- turn by turn ---- */

/* True when the first letter that waits has room in the open segment; what can never have room is
 * refused here. */
static bool have_room(struct spool_writer *writer)
{
    struct letter *letter = writer->pending;
    if (writer->open != NULL &&
        !fits(writer->open, spool_align(writer->open->end, SPOOL_BLOCK), letter))
        seal_open(writer);
    if (writer->open == NULL)
        writer->open = take_spare(&writer->shared);
    if (writer->open == NULL) {
        if (!timer_is_set(&writer->no_segment))
            timer_set(&writer->no_segment, SEGMENT_WAIT_MS);
        return false;
    }
    timer_cancel(&writer->no_segment);
    if (writer->open->end > SPOOL_BLOCK || fits(writer->open, SPOOL_BLOCK, letter))
        return true;
    letter = take_pending(writer);
    letter->done(letter->arg, SPOOL_NO_SPACE, 0);
    return false;
}

/* One batch, unless it failed at once; then the next segment is tried in the same turn. */
static void at_turn_end(void *arg)
{
    struct spool_writer *writer = arg;
    writer_end_streams(writer);
    while (writer->pending != NULL && !writer->batch.syncing &&
           !gather_waits(&writer->gather, writer->pending_count)) {
        if (have_room(writer))
            write_batch(writer);
        else if (writer->open == NULL)
            break;
    }
    if (writer->sealed) {
        release_spares(writer, &writer->shared);
        release_spares(writer, &writer->private);
    } else {
        tell_wants(writer);
    }
}

/* The letters that wait go out with what came meanwhile. */
static void on_gathered(void *arg)
{
    struct spool_writer *writer = arg;
    loop_later(writer->loop, &writer->turn);
}

/* Nobody waits for ever: after SEGMENT_WAIT_MS clients are told to come back. */
static void on_no_segment(void *arg)
{
    struct spool_writer *writer = arg;
    struct letter *letters = writer->pending;
    writer->pending = NULL;
    writer->pending_last = &writer->pending;
    writer->pending_count = 0;
    finish_letters(letters, SPOOL_NO_SEGMENT);
}

/* ---- the owner's calls ---- */

/* The turn runs once at the start: it asks for the first segments. */
struct spool_writer *spool_writer_new_io(struct loop *loop, const struct spool_io *io,
                                         const struct spool_writer_calls *calls,
                                         unsigned shared_spares, unsigned private_spares)
{
    struct spool_writer *writer = mem_new(sizeof *writer);
    writer->loop = loop;
    writer->io = io;
    writer->calls = *calls;
    writer->shared_spares = shared_spares;
    writer->private_spares = private_spares;
    writer->pending_last = &writer->pending;
    writer->turn = (struct turn){.run = at_turn_end, .arg = writer};
    timer_init(&writer->no_segment, loop, on_no_segment, writer);
    gather_init(&writer->gather, loop, on_gathered, writer);
    committer_init(&writer->committer, loop, io);
    loop_later(loop, &writer->turn);
    return writer;
}

struct spool_writer *spool_writer_new(struct loop *loop, const struct spool_writer_calls *calls,
                                      unsigned shared_spares, unsigned private_spares)
{
    return spool_writer_new_io(loop, &spool_io_system, calls, shared_spares, private_spares);
}

/* Without a word to qmgr: it sees the end of the process by itself. */
static void drop_segments(struct held_segment *segment)
{
    while (segment != NULL) {
        struct held_segment *next = segment->next;
        close(segment->grant.fd);
        mem_free(segment);
        segment = next;
    }
}

/* The thread first: behind it nothing can be finished any more. */
void spool_writer_free(struct spool_writer *writer)
{
    committer_stop(&writer->committer);
    timer_cancel(&writer->no_segment);
    gather_stop(&writer->gather);
    loop_forget(writer->loop, &writer->turn);
    writer_drop_streams(writer);
    drop_segments(writer->open);
    drop_segments(writer->shared);
    drop_segments(writer->private);
    mem_free(writer);
}

/* Without an answer it is taken for empty, and grown: more work, no harm. */
static uint64_t size_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* At the end of the list, so that grants are used in the order they came. */
void spool_writer_give(struct spool_writer *writer, const struct spool_grant *grant)
{
    bool shared = grant->kind == SPOOL_SHARED;
    struct held_segment **spares = shared ? &writer->shared : &writer->private;
    unsigned *asked = shared ? &writer->shared_asked : &writer->private_asked;
    struct held_segment *segment = mem_new(sizeof *segment);
    segment->grant = *grant;
    segment->end = segment->durable_end = SPOOL_BLOCK;
    segment->grown_end = size_of(grant->fd);
    if (shared && segment->grant.size > SPOOL_SEGMENT_MAX)
        segment->grant.size = SPOOL_SEGMENT_MAX;
    /* Batches are padded to whole pages, so a part of one at the end is of no use to them. */
    if (shared)
        segment->grant.size -= segment->grant.size % SPOOL_BLOCK;
    while (*spares != NULL)
        spares = &(*spares)->next;
    *spares = segment;
    if (*asked > 0)
        (*asked)--;
    loop_later(writer->loop, &writer->turn);
}

/* Only queued: the batch is laid out when the turn is over. */
void spool_writer_submit(struct spool_writer *writer, struct letter *letter)
{
    letter->next = NULL;
    letter->id = 0;
    *writer->pending_last = letter;
    writer->pending_last = &letter->next;
    writer->pending_count++;
    loop_later(writer->loop, &writer->turn);
}

/* Streams that are still being written are their owners' to finish. */
bool spool_writer_busy(const struct spool_writer *writer)
{
    return writer->pending != NULL || writer->batch.syncing || writer->committing > 0;
}

/* Not while a sync is under way: its end would be said of a segment already given up. */
void spool_writer_seal(struct spool_writer *writer)
{
    require(!writer->batch.syncing);
    writer->sealed = true;
    seal_open(writer);
    loop_later(writer->loop, &writer->turn);
}

/* While a sync is under way the segment is sealed behind it: its letters are accepted there. */
void spool_writer_rotate(struct spool_writer *writer)
{
    if (writer->open == NULL || writer->open->end == SPOOL_BLOCK)
        return;
    if (writer->batch.syncing)
        writer->rotate = true;
    else
        seal_open(writer);
    loop_later(writer->loop, &writer->turn);
}

/* Wants are forgotten, so that the new qmgr is asked for all of them. */
void spool_writer_repeat(struct spool_writer *writer)
{
    if (writer->open != NULL)
        writer->calls.durable(writer->calls.arg, writer->open->grant.number,
                              writer->open->durable_end);
    writer->shared_asked = writer->private_asked = 0;
    loop_later(writer->loop, &writer->turn);
}
