/*
 * A letter that was accepted and can not be read any more is the worst that can happen here, so its
 * octets are kept, whatever they are, for whoever may still make something of them.
 */
#include "util/spool/store_parts.h"

#include "util/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY = 4096 };

/* What can not be read may be readable another day: then there is no copy, and the original is
 * kept. What lies behind the end of the file is left out. */
static int copy_octets(const struct spool_io *io, int from_fd, int to_fd, uint64_t from,
                       uint64_t to)
{
    int error = 0;
    for (uint64_t at = from; error == 0 && at < to; at += COPY) {
        uint8_t octets[COPY];
        size_t size = to - at < COPY ? (size_t)(to - at) : COPY;
        ssize_t count = pread(from_fd, octets, size, (off_t)at);
        if (count < 0)
            return errno;
        if (count == 0)
            break;
        error = spool_io_write(io, to_fd, octets, (size_t)count, at - from);
    }
    return error;
}

/* 0 when the copy is on the disk; errno when there is none. */
static int copy_aside(const struct spool_store *store, int fd, const char *name, uint64_t from,
                      uint64_t to)
{
    int out = store->io->openat(store->corrupt, name,
                                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out < 0)
        return errno;
    int error = copy_octets(store->io, fd, out, from, to);
    if (error == 0 && store->io->fsync(out) != 0)
        error = errno;
    close(out);
    if (error == 0 && store->io->fsync(store->corrupt) != 0)
        error = errno;
    /* Half a copy would be taken for a whole one. */
    if (error != 0)
        (void)store->io->unlinkat(store->corrupt, name, 0);
    return error;
}

/* The alarm is given before it is known whether the copy went well: that it is damaged is the
 * news. */
int segment_set_aside(struct spool_segment *segment, int fd, uint64_t from, uint64_t to)
{
    char id[SPOOL_ID_MAX];
    struct span text = spool_id_text(spool_id(segment->block.number, from), id);
    int error = copy_aside(segment->store, fd, id, from, to);
    log_event(LOG_ERROR, "record-corrupt", LOG_SPAN("id", text), LOG_UINT("offset", from),
              LOG_UINT("octets", to - from));
    if (error == 0)
        return 0;
    segment->keep = true;
    log_event(LOG_ERROR, "record-not-set-aside", LOG_SPAN("id", text), LOG_ERRNO(error));
    return error;
}

/* The end of a record that can not be asked: the next place in the index, or the end of it. */
static uint64_t end_by_index(const struct spool_segment *segment, uint64_t offset)
{
    uint64_t end = segment->scanned_end;
    for (uint32_t slot = 0; slot < segment->count; slot++) {
        uint64_t place = (uint64_t)segment->entries[slot].place * SPOOL_ALIGN;
        if (place > offset && place < end)
            end = place;
    }
    return end;
}

/* An id is never used twice, so a copy of that name and size is of this letter. */
static bool was_set_aside(const struct spool_segment *segment, uint64_t from, uint64_t to)
{
    char name[SPOOL_ID_MAX];
    struct stat facts;
    (void)spool_id_text(spool_id(segment->block.number, from), name);
    return fstatat(segment->store->corrupt, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
           (uint64_t)facts.st_size == to - from;
}

/* A segment that can not be opened is kept: what is in it may be readable another day. */
bool spool_segment_set_aside(struct spool_segment *segment, uint64_t offset)
{
    uint64_t end = end_by_index(segment, offset);
    if (was_set_aside(segment, offset, end))
        return true;
    int fd = segment->fd >= 0 ? segment->fd : segment_open(segment, O_RDONLY);
    if (fd < 0) {
        segment->keep = true;
        return false;
    }
    bool copied = segment_set_aside(segment, fd, offset, end) == 0;
    if (fd != segment->fd)
        close(fd);
    return copied;
}
