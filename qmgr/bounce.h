/*
 * bounce - permanent failures become letters to the sender; so do deliveries of which he asked to
 * be told (RFC 3461 §4.1).
 *
 * Recipients of one record that fail within BOUNCE_GATHER_MS share one bounce. Its letter is
 * committed before their state says that they bounced: a crash between the two writes a second one,
 * never none. A message that has no sender is told to the postmaster of the first domain; a message
 * to that postmaster which fails is dropped, so nothing circles (RFC 5321 §4.5.5, §6.1).
 */
#ifndef VEREDUS_QMGR_BOUNCE_H
#define VEREDUS_QMGR_BOUNCE_H

#include "qmgr/fate.h"
#include "qmgr/qmgr.h"

enum { BOUNCE_GATHER_MS = 80, BOUNCE_AT_ONCE = 16, BOUNCE_TEXT_MOST = 512 };

/* `writer` is qmgr's own. */
struct bounces *bounce_new(struct qmgr *qmgr, struct spool_writer *writer);

/* Frees all that gather or walk; their recipients were not settled and are found again. */
void bounce_free(struct bounces *bounces);

/* A SETTLING entry failed for good, or was delivered and that is to be told; the fate's texts are
 * copied. */
void bounce_add(struct bounces *bounces, uint32_t number, const struct fate *fate);

enum bounce_addressee { BOUNCE_TO_SENDER, BOUNCE_TO_POSTMASTER, BOUNCE_TO_NOBODY };

/* To whom the failure of `message` is told. */
enum bounce_addressee bounce_addressee_of(const struct message *message);

#endif
