/*
 * status - what `veredus status` shows: uptime, generation, children, counters.
 */
#ifndef VEREDUS_MASTER_STATUS_H
#define VEREDUS_MASTER_STATUS_H

#include "util/base/buf.h"

struct master;

/* Adds lines "uptime SECONDS", "generation N", one "child ROLE INDEX PID STATE RESTARTS" a process,
 * and one "NAME VALUE" a counter, summed over all pages. STATE is starting, ready, draining, silent
 * (no sign of life for some seconds) or recovering (a qmgr that still reads its spool); until it
 * has, the VALUE of the queue's gauges is "unknown". */
void status_write(const struct master *master, struct buf *out);

#endif
