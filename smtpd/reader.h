/*
 * reader - what the client sends, cut into commands and message data.
 */
#ifndef VEREDUS_SMTPD_READER_H
#define VEREDUS_SMTPD_READER_H

#include "smtpd/session.h"

/* Serves new input as far as it can be served now; the session keeps the rest. `input` is only
 * borrowed. */
void reader_input(struct session *session, struct span input);

/* Goes on with what the session kept. */
void reader_resume(struct session *session);

#endif
