/*
 * reload - a new configuration, a new generation; or the old one, and the reasons.
 */
#ifndef VEREDUS_MASTER_RELOAD_H
#define VEREDUS_MASTER_RELOAD_H

#include "master/master.h"

/* Reads the configuration anew. Good: a new generation takes over. Bad: everything stays as it is,
 * false, and the complaints are added to `complaints`, a line each. */
bool reload(struct master *master, struct buf *complaints) __attribute__((warn_unused_result));

#endif
