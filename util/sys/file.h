/*
 * file - what write(2) and close(2) leave to their callers.
 */
#ifndef VEREDUS_SYS_FILE_H
#define VEREDUS_SYS_FILE_H

#include "util/base/span.h"

/* Writes all of `octets` to a blocking descriptor, however many calls it takes and whatever signals
 * come. False with errno; some may have been written then. */
bool file_write(int fd, struct span octets) __attribute__((warn_unused_result));

/* Closes it, unless it is -1, which it is then. */
void file_close(int *fd);

#endif
