/*
 * shared_memory - a memfd that several processes map: sealed against resizing, with a key of its
 * own for the hashes in it.
 */
#ifndef VEREDUS_SYS_SHARED_MEMORY_H
#define VEREDUS_SYS_SHARED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

enum { SHARED_MEMORY_KEY = 16 /* octets */ };

/* Makes memory of `size` octets, zeroed behind a key of SHARED_MEMORY_KEY random octets; `name` is
 * what /proc shows. Its descriptor, or -1 with errno. */
int shared_memory_create(const char *name, size_t size) __attribute__((warn_unused_result));

/* Maps all of it; NULL with errno, EINVAL when it is not of `size` octets. Ends with munmap(2); the
 * descriptor stays the caller's. */
void *shared_memory_map(int fd, size_t size, bool writable) __attribute__((warn_unused_result));

#endif
