/*
 * rates - the one memory of all rates, made at the first need and kept as long as master lives: a
 * client that was too fast stays so over crashes and reloads.
 */
#ifndef VEREDUS_MASTER_RATES_H
#define VEREDUS_MASTER_RATES_H

#include "util/base/buf.h"
#include "util/sys/rates.h"

/* Zeroed: not made yet. */
struct master_rates {
    struct rates *rates; /* master's own mapping */
    int fd;
};

/* Its descriptor, which stays this module's; -1 with errno when it can not be made. */
int master_rates_fd(struct master_rates *rates) __attribute__((warn_unused_result));

/* Appends "stopped-account NAME" for each account that has too many recipients now. */
void master_rates_write(const struct master_rates *rates, struct buf *out);

/* At the end of master. */
void master_rates_free(struct master_rates *rates);

#endif
