/*
 * Segments are read with pread(2): a mapping would turn a truncated file into SIGBUS, and a spool
 * of a million letters into 800 MB of page tables.
 *
 * Header and a usual envelope come with one call; what follows is checked before it is believed.
 */
#include "util/spool/record.h"

#include "util/base/crc32c.h"

#include <errno.h>
#include <unistd.h>

enum { FIRST_READ = 1024, BODY_READ = 65536 };

/* Reads `size` octets, fewer only at the end of the file; -1 with errno. */
static ssize_t read_at(int fd, void *out, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        if (count == 0)
            break;
        done += (size_t)count;
    }
    return (ssize_t)done;
}

/* RECORD_NONE when the header is not of this segment at all, RECORD_BAD when it claims to be. */
static enum record_result judge_header(const struct segment_view *segment, uint64_t offset,
                                       const uint8_t *octets, struct record_header *header)
{
    /* Two short comparisons; most places that are looked at end here. */
    if (!record_header_is_of(octets, segment->number, &segment->salt))
        return RECORD_NONE;
    if (!record_header_decode(octets, header) || header->offset != offset)
        return RECORD_BAD;
    return RECORD_OK;
}

/* Completes `octets`, which hold `have` of the file from `offset` on, to header and envelope. */
static enum record_result complete_envelope(const struct segment_view *segment,
                                            const struct record *record, struct arena *arena,
                                            struct span *octets)
{
    size_t have = octets->len;
    size_t whole = SPOOL_RECORD_HEADER + (size_t)record->header.envelope_len;
    /* The usual case: it came with the header. */
    if (have >= whole)
        return RECORD_OK;
    char *larger = arena_alloc(arena, whole);
    memcpy(larger, octets->data, have);
    ssize_t count = read_at(segment->fd, larger + have, whole - have, record->header.offset + have);
    *octets = span_of(larger, whole);
    if (count < 0)
        return RECORD_IO;
    return (size_t)count == whole - have ? RECORD_OK : RECORD_BAD;
}

enum record_result record_read(const struct segment_view *segment, uint64_t offset,
                               struct arena *arena, struct record *record)
{
    /* A KiB holds the header and the envelope of a letter to a few recipients. */
    char *first = arena_alloc(arena, FIRST_READ);
    ssize_t count = read_at(segment->fd, first, FIRST_READ, offset);
    if (count < 0)
        return RECORD_IO;
    if (count < SPOOL_RECORD_HEADER)
        return RECORD_NONE;

    /* Near the end of a segment there may be fewer than a KiB. */
    struct span octets = span_of(first, (size_t)count);
    enum record_result result =
        judge_header(segment, offset, (const uint8_t *)first, &record->header);
    if (result == RECORD_OK)
        result = complete_envelope(segment, record, arena, &octets);
    if (result != RECORD_OK)
        return result;

    size_t envelope_len = record->header.envelope_len;
    struct span envelope = span_first(span_skip(octets, SPOOL_RECORD_HEADER), envelope_len);
    record->body_offset = offset + SPOOL_RECORD_HEADER + envelope_len;
    /* The checksum before the parser, the parser before the count: each believes the one
     * before it. */
    if (!record_header_check((const uint8_t *)octets.data, envelope) ||
        !envelope_decode(envelope, arena, &record->envelope) ||
        record->envelope.recipient_count != record->header.recipients)
        return RECORD_BAD;
    return RECORD_OK;
}

/* In pieces: a message is never in memory as a whole. */
enum record_result record_check_body(const struct segment_view *segment,
                                     const struct record *record)
{
    char octets[BODY_READ];
    uint32_t crc = 0;
    uint64_t length = record->header.body_len;
    for (uint64_t at = 0; at < length;) {
        size_t want = length - at < sizeof octets ? (size_t)(length - at) : sizeof octets;
        ssize_t count = read_at(segment->fd, octets, want, record->body_offset + at);
        if (count < 0)
            return RECORD_IO;
        /* The segment ends before the message does. */
        if ((size_t)count < want)
            return RECORD_BAD;
        crc = crc32c(crc, octets, want);
        at += want;
    }
    return crc == record->header.crc_body ? RECORD_OK : RECORD_BAD;
}

/* A segment that ends before its record does is an error, not the end of a message. */
ssize_t record_read_body(const struct segment_view *segment, const struct record *record,
                         uint64_t at, void *out, size_t size)
{
    uint64_t length = record->header.body_len;
    /* Behind the end: nothing, and no error. */
    if (at >= length)
        return 0;
    if (size > length - at)
        size = (size_t)(length - at);
    ssize_t count = read_at(segment->fd, out, size, record->body_offset + at);
    if (count >= 0 && (size_t)count < size) {
        errno = EIO;
        return -1;
    }
    return count;
}
