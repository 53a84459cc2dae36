/*
 * left - clients that left before auth had answered them: their failures count all the same.
 *
 * Each costs a worker some two hundred octets until auth has answered or is gone, and there are
 * LEFT_MOST at most.
 */
#ifndef VEREDUS_POP3D_LEFT_H
#define VEREDUS_POP3D_LEFT_H

#include "pop3d/session.h"
#include "util/ipc/messages.h"

enum { LEFT_MOST = 4096 };

/* The client of a session that waits for auth is gone; the session may end now. */
void left_note(const struct session *session);

/* A verdict that no session waits for. */
void left_answered(struct worker *worker, const struct channel *channel,
                   const struct verdict *verdict);

/* The process that was asked ended; NULL: forgets all. */
void left_forget(struct worker *worker, const struct channel *channel);

#endif
