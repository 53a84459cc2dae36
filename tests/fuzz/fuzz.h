/*
 * fuzz - what the fuzz targets share.
 *
 * Each fuzz_*.c is one target: LLVMFuzzerTestOneInput is called with one input after the other in
 * one process and says with require() what must hold for any input. It returns 0 and keeps nothing
 * of an input. Inputs are taken whole unless a target says that it begins with octets of its own.
 */
#ifndef VEREDUS_TESTS_FUZZ_H
#define VEREDUS_TESTS_FUZZ_H

#include <sys/mman.h>
#include <unistd.h>

#include "util/base/buf.h"
#include "util/base/panic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes up to `count` octets off the front of `*input`. */
static inline struct span fuzz_take(struct span *input, size_t count)
{
    struct span taken = span_first(*input, count);
    *input = span_skip(*input, taken.len);
    return taken;
}

/* One octet off the front; 0 at the end. */
static inline uint8_t fuzz_octet(struct span *input)
{
    struct span taken = fuzz_take(input, 1);
    return taken.len > 0 ? (uint8_t)taken.data[0] : 0;
}

/* A memory file that holds `octets`, positioned at its start; the caller closes it. */
static inline int fuzz_file(struct span octets, unsigned flags)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | flags);
    require(fd >= 0);
    require(write(fd, octets.data, octets.len) == (ssize_t)octets.len);
    require(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* True when `part` lies within `whole`. */
static inline bool fuzz_within(struct span part, struct span whole)
{
    return part.len == 0 || (part.data >= whole.data && part.len <= whole.len &&
                             (size_t)(part.data - whole.data) <= whole.len - part.len);
}

/* Reads every octet, for the sanitizer to judge whether it may be read. */
static inline unsigned fuzz_touch(struct span s)
{
    volatile unsigned sum = 0;
    for (size_t i = 0; i < s.len; i++)
        sum += (uint8_t)s.data[i];
    return sum;
}

#endif
