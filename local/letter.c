/*
 * Why a fixed block: a message may be as large as the site allows, and a batch has many of them.
 * What is at hand is converted block by block, so a delivery needs the same memory for a kilobyte
 * and for a gigabyte; a usual letter is one pread(2) and one write(2).
 */
#include "local/letter.h"

#include "util/sys/file.h"

#include <errno.h>
#include <unistd.h>

enum { BLOCK = 65536 };

/* By memchr(3): most octets are no line feeds. */
void wire_count_add(struct wire_count *count, struct span octets)
{
    const char *at = octets.data;
    const char *end = octets.data + octets.len;
    count->octets += octets.len;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        /* The octet before may have come with an earlier piece. */
        char before = at > octets.data ? at[-1] : count->last;
        count->octets += before != '\r';
        at++;
    }
    if (octets.len > 0)
        count->last = octets.data[octets.len - 1];
}

/* RFC 1939 §3: what is sent ends in CR LF, so a last line without an end gets one. */
uint64_t wire_count_end(const struct wire_count *count)
{
    bool unfinished = count->octets > 0 && count->last != '\n';
    return count->octets + (unfinished ? 2 : 0);
}

/* Where the octets of one letter go. */
struct output {
    int fd;
    struct buf *buf;
    uint64_t written;
    struct wire_count wire;
    bool exact;   /* octets that look like line ends may be none */
    bool cr_held; /* the last octet that came was CR: what follows decides */
};

/* Octets are counted as they are written: the name of the file states both sizes. */
static bool flush(struct output *output)
{
    struct span octets = buf_span(output->buf);
    wire_count_add(&output->wire, octets);
    output->written += octets.len;
    if (!file_write(output->fd, octets))
        return false;
    buf_reset(output->buf);
    return true;
}

/* Appends `octets` with each CR LF as LF; a CR at their end is held until more is known. */
static void add_lines(struct output *output, struct span octets)
{
    while (octets.len > 0) {
        /* A CR on its own stays: it belongs to the message. */
        if (output->cr_held && octets.data[0] != '\n')
            buf_add(output->buf, SPAN("\r"));
        size_t plain = span_find(octets, '\r');
        buf_add(output->buf, span_first(octets, plain));
        output->cr_held = plain < octets.len;
        octets = span_skip(octets, plain + 1);
    }
}

/* The checksum was compared before (deliver.c): here the octets are only converted. */
static bool copy_body(struct output *output, const struct letter *letter)
{
    char block[BLOCK];
    uint64_t at = 0;
    uint64_t size = letter->record->header.body_len;
    while (at < size) {
        size_t wanted = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
        ssize_t got = record_read_body(letter->segment, letter->record, at, block, wanted);
        /* Less than was written to the spool: errno is EIO then. */
        if (got <= 0)
            return false;
        if (output->exact)
            buf_add(output->buf, span_of(block, (size_t)got));
        else
            add_lines(output, span_of(block, (size_t)got));
        at += (uint64_t)got;
        if (buf_len(output->buf) >= BLOCK && !flush(output))
            return false;
    }
    if (output->cr_held)
        buf_add(output->buf, SPAN("\r"));
    return flush(output);
}

/* Both come from the envelope, which holds no CR, LF or NUL (util/spool/envelope.h). */
static void add_field(struct buf *out, struct span name, struct span value)
{
    buf_add(out, name);
    buf_add(out, value);
}

/* RFC 5321 §4.4: the final delivery adds Return-Path, at the top; Delivered-To lets loops be
 * seen. */
bool letter_write(const struct letter *letter, int fd, struct letter_size *size)
{
    const struct envelope *envelope = &letter->record->envelope;
    bool exact = (letter->record->header.flags & RECORD_FLAG_BINARY) != 0;
    struct output output = {.fd = fd, .buf = letter->scratch, .exact = exact};
    struct span end = exact ? SPAN("\r\n") : SPAN("\n");
    buf_reset(letter->scratch);
    add_field(letter->scratch, SPAN("Return-Path: <"), envelope->sender);
    add_field(letter->scratch, SPAN(">"), end);
    add_field(letter->scratch, SPAN("Delivered-To: "),
              envelope->recipients[letter->recipient].address);
    buf_add(letter->scratch, end);
    if (!copy_body(&output, letter))
        return false;
    *size = (struct letter_size){output.written, wire_count_end(&output.wire)};
    return true;
}
