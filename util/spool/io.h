/*
 * io - the system calls by which the spool changes the disk, in one table.
 *
 * Everything that writes, syncs, names or removes goes through it, so that a test can let any of
 * them fail, or record them all and cut the power after each. Calls are as in section 2 of the
 * manual; none may be NULL. fdatasync is called from the committer thread as well.
 */
#ifndef VEREDUS_SPOOL_IO_H
#define VEREDUS_SPOOL_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct spool_io {
    int (*openat)(int directory, const char *path, int flags, mode_t mode);
    int (*mkdirat)(int directory, const char *path, mode_t mode);
    ssize_t (*pwrite)(int fd, const void *octets, size_t size, off_t offset);
    ssize_t (*pwritev)(int fd, const struct iovec *pieces, int count, off_t offset);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    int (*renameat)(int from, const char *old_path, int to, const char *new_path);
    int (*unlinkat)(int directory, const char *path, int flags);
    /* Gives the octets back to the file system, the size stays: fallocate(2), PUNCH_HOLE. */
    int (*punch)(int fd, off_t offset, off_t length);
};

/* The calls of the kernel. */
extern const struct spool_io spool_io_system;

/* Write everything, through short writes and interruptions; 0, or the errno. `pieces` is used up.
 */
int spool_io_write(const struct spool_io *io, int fd, const void *octets, size_t size,
                   uint64_t offset) __attribute__((warn_unused_result));

/* The same from several pieces, in order; any number of them. */
int spool_io_write_pieces(const struct spool_io *io, int fd, struct iovec *pieces, size_t count,
                          uint64_t offset) __attribute__((warn_unused_result));

/* Syncs the data of a file; 0, or the errno. */
int spool_io_sync(const struct spool_io *io, int fd) __attribute__((warn_unused_result));

#endif
