/*
 * intake - segments out to whoever writes letters, their letters in; recovery at the start.
 *
 * The writers are the smtpd processes and qmgr itself (bounces). Nothing is given and nothing is
 * released before every smtpd that was there at the start has said which segments it holds, or is
 * gone, or had its time: then the spool is recovered, all segments are sealed but those that a
 * living process has open for writing. Those that nobody speaks for are scanned to their end when
 * they are let go.
 *
 * A writer has INTAKE_HELD_MOST segments at most, those included that it has given up but not
 * closed: one that is in an attacker's hands fills no disk.
 */
#ifndef VEREDUS_QMGR_INTAKE_H
#define VEREDUS_QMGR_INTAKE_H

#include "qmgr/qmgr.h"

enum {
    INTAKE_STOCK_SHARED = 2, /* segments made ahead, of each kind */
    INTAKE_STOCK_PRIVATE = 1,
    INTAKE_HELD_MOST = 128, /* segments of both kinds that one writer may have */
    INTAKE_MAKE_RETRY_MS = 1000,
    INTAKE_TAIL_RETRY_MS = 250, /* a tail that somebody still writes to is looked at again */
    INTAKE_READ_RETRY_MS = 2000 /* letters that could not be read */
};

/* Also makes qmgr's own writer, with its thread: before the sandbox. */
struct intake *intake_new(struct qmgr *qmgr);

/* Frees it with qmgr's own writer; segments in stock are closed. */
void intake_free(struct intake *intake);

/* qmgr's own writer, for bounces; lives as long as the intake. */
struct spool_writer *intake_writer(struct intake *intake);

/* A socket to an smtpd; it becomes the intake's. */
void intake_connect(struct intake *intake, int fd);

/* The smtpds known by now are the initial ones: recovery begins when they have reported, or after
 * qmgr->gather_ms. */
void intake_start(struct intake *intake);

/* Gives nothing any more. */
void intake_drain(struct intake *intake);

/* Seals qmgr's own segment, when no letter is on its way into it: true then. */
bool intake_seal(struct intake *intake) __attribute__((warn_unused_result));

#endif
