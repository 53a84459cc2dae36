/*
 * answer - the one place that writes replies: it logs refusals, counts errors, closes.
 *
 * Replies gather in the session's output and leave in one send(2) when what was read is served.
 */
#ifndef VEREDUS_SMTPD_ANSWER_H
#define VEREDUS_SMTPD_ANSWER_H

#include "smtpd/session.h"

/* No reply at all: the connection is dropped; the text is for the log. */
#define ANSWER_DROP ((struct reply){.close = true, .text = "Not SMTP"})

/* The text is not copied: it is constant, or lives in an arena that outlives the reply. A NULL
 * `enhanced` leaves out the status of RFC 2034, as 220, 354 and the replies to HELO do. */
static inline struct reply answer(uint16_t code, const char *enhanced, const char *text)
{
    return (struct reply){.code = code, .enhanced = enhanced, .text = text};
}

/* The same, and the connection is closed behind it. */
static inline struct reply answer_close(uint16_t code, const char *enhanced, const char *text)
{
    return (struct reply){.code = code, .close = true, .enhanced = enhanced, .text = text};
}

/* The same reply, put down to a setting. */
static inline struct reply answer_by(const char *setting, struct reply reply)
{
    reply.setting = setting;
    return reply;
}

/* Queues the reply to `subject` (a command, a recipient), unless it is pending. */
void answer_write(struct session *session, struct span subject, struct reply reply);

/* The same, said `times` times, and logged and counted once. */
void answer_times(struct session *session, struct span subject, struct reply reply, size_t times);

/* The same without a line in the log: for refusals of which the caller logs the number. */
void answer_unlogged(struct session *session, struct reply reply);

/* Sends what is queued, as far as the client takes it. */
void answer_flush(struct session *session);

#endif
