/*
 * fetch - descriptors of messages, asked for a window ahead of the client.
 *
 * A client that retrieves message n will retrieve n + 1 next. So one question brings a window of
 * descriptors; a new window closes the old one. Each is closed behind its RETR; TOP leaves it.
 */
#ifndef VEREDUS_POP3D_FETCH_H
#define VEREDUS_POP3D_FETCH_H

#include "pop3d/body.h"

enum { FETCH_WINDOW = 16 };

enum fetch_state { FETCH_ASKED, FETCH_HERE, FETCH_MISSING, FETCH_USED };

struct fetch {
    uint32_t first;  /* index of the first message of the window */
    uint32_t count;  /* 0: no window */
    uint32_t wanted; /* the message that RETR or TOP is about */
    enum body_kind wanted_as;
    uint64_t wanted_lines; /* of TOP */
    int fds[FETCH_WINDOW];
    uint8_t states[FETCH_WINDOW]; /* enum fetch_state */
};

/* Closes the descriptor of one message: it will not be read again. */
void fetch_forget(struct fetch *fetch, uint32_t index);

/* What was asked for and has not come will not come: it may be asked for again. */
void fetch_lost(struct fetch *fetch);

/* Closes all of them. */
void fetch_close(struct fetch *fetch);

#endif
