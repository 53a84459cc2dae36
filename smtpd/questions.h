/*
 * questions - what a worker has asked of lookup and not heard yet, by number.
 *
 * A question outlives the process that was asked: when lookup is started anew, what waits is asked
 * again. Each is answered once, by lookup or by the end of its patience, from the loop and never
 * from within questions_ask.
 *
 * The struct question belongs to whoever asks and stays where it is, with its message and all that
 * the message points to, until it was answered or cancelled.
 */
#ifndef VEREDUS_SMTPD_QUESTIONS_H
#define VEREDUS_SMTPD_QUESTIONS_H

#include "util/base/hash.h"
#include "util/ipc/channel.h"
#include "util/ipc/messages.h"

enum { QUESTION_PATIENCE_MS = 20000 /* less than a session waits for its reply */ };

struct question;

/* One a worker. Zeroed but for `loop` it is ready. */
struct questions {
    struct loop *loop;
    struct channel *channel; /* borrowed; NULL: lookup is not there now */
    struct question *waiting;
    uint32_t last;
};

/* Who asks, what, and who is to hear. */
struct question {
    struct questions *questions;
    const struct ipc_type *type, *answer_type;
    void *message; /* of `type`; its first member is the uint32_t query */
    /* `answer` is of answer_type and ends with the call; NULL: none came in time. The question is
     * over already: it may be asked anew or freed. */
    void (*answered)(struct question *question, const void *answer);
    struct timer patience;
    uint32_t number; /* 0: not waiting */
    UT_hash_handle hh;
};

/* Asks; every member above `patience` is set. */
void questions_ask(struct question *question);

/* `answered` will not be called any more; asked or not. A zeroed question is fine. */
void questions_cancel(struct question *question);

/* Lookup is at `channel` now, or nowhere (NULL): what waits is asked there. To be called with every
 * new channel, and before the old one is freed. */
void questions_connect(struct questions *questions, struct channel *channel);

/* A message of lookup: true when it was an answer to a question of this kind, also one that nobody
 * waits for any more. */
bool questions_heard(struct questions *questions, const struct ipc_type *type, const void *message);

#endif
