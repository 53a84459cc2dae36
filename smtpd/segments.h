/*
 * segments - between the spool writer and qmgr: segments come, what is durable goes back.
 */
#ifndef VEREDUS_SMTPD_SEGMENTS_H
#define VEREDUS_SMTPD_SEGMENTS_H

#include "smtpd/worker.h"

enum {
    SEGMENTS_TELL_MS = 5,       /* between two words to qmgr about what is durable */
    SEGMENTS_UNHEARD_MS = 10000 /* without qmgr, segments with letters are let go so often */
};

/* What the writer calls; worker_init makes the writer with it. */
struct spool_writer_calls segments_calls(struct worker *worker);

/* A socket to qmgr, the first or a new one: told first which segments are in hand. Takes `fd`. */
void segments_connect(struct worker *worker, int fd);

#endif
