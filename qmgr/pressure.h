/*
 * pressure - the gauges in the shared page, and what smtpd is asked to do: nothing, to be slow, to
 * refuse.
 */
#ifndef VEREDUS_QMGR_PRESSURE_H
#define VEREDUS_QMGR_PRESSURE_H

#include "qmgr/qmgr.h"

/* As queue_busy counts; beyond it new ones wait cold and smtpd slows down. */
enum { PRESSURE_BUSY_MOST = 20000 };

/* Prepares the gauges and the timer that measures; nothing is measured before recovery is over. */
void pressure_start(struct qmgr *qmgr);

/* Something changed: the gauges are written at the end of this turn. */
void pressure_touch(struct qmgr *qmgr);

/* What smtpd is to do. Pure. */
enum page_pressure pressure_level(unsigned free_percent, uint64_t least_percent, uint64_t busy);

#endif
