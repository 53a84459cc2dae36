/*
 * A write that is cut short says nothing about why; the call is repeated with the rest, and either
 * that goes well or the errno comes now. Results are errno values, because the errors travel: from
 * the committer thread to the loop, from there to a reply.
 */
#include "util/spool/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* openat(2) takes its mode as a variable argument, which a pointer to a function can not. */
static int system_openat(int directory, const char *path, int flags, mode_t mode)
{
    return openat(directory, path, flags, mode);
}

/* The size stays: readers of records behind the hole find them where they were. */
static int system_punch(int fd, off_t offset, off_t length)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

const struct spool_io spool_io_system = {
    .openat = system_openat,
    .mkdirat = mkdirat,
    .pwrite = pwrite,
    .pwritev = pwritev,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .renameat = renameat,
    .unlinkat = unlinkat,
    .punch = system_punch,
};

int spool_io_write(const struct spool_io *io, int fd, const void *octets, size_t size,
                   uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count =
            io->pwrite(fd, (const char *)octets + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : EIO;
        done += (size_t)count;
    }
    return 0;
}

/* Drops `count` octets at the front of the pieces. */
static void drop_written(struct iovec **pieces, size_t *pieces_left, size_t count)
{
    while (*pieces_left > 0 && count >= (*pieces)->iov_len) {
        count -= (*pieces)->iov_len;
        (*pieces)++;
        (*pieces_left)--;
    }
    if (count > 0) {
        (*pieces)->iov_base = (char *)(*pieces)->iov_base + count;
        (*pieces)->iov_len -= count;
    }
}

/* IOV_MAX pieces at a time; the batch stays below it, so that it goes out with one call. */
int spool_io_write_pieces(const struct spool_io *io, int fd, struct iovec *pieces, size_t count,
                          uint64_t offset)
{
    drop_written(&pieces, &count, 0);
    while (count > 0) {
        int some = count < IOV_MAX ? (int)count : IOV_MAX;
        ssize_t written = io->pwritev(fd, pieces, some, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : EIO;
        offset += (uint64_t)written;
        drop_written(&pieces, &count, (size_t)written);
    }
    return 0;
}

/* fdatasync(2) also writes the size when it changed: a record behind the old end is durable
 * with it. */
int spool_io_sync(const struct spool_io *io, int fd)
{
    while (io->fdatasync(fd) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}
