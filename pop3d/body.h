/*
 * body - the lines behind a reply (RFC 1939 §3), written piece by piece as the client takes them.
 *
 * The list of a hundred thousand messages and a message of fifty megabytes have this in common:
 * neither is ever held in memory. A body remembers where it is; each call goes on from there.
 */
#ifndef VEREDUS_POP3D_BODY_H
#define VEREDUS_POP3D_BODY_H

#include "util/mail/dot.h"

enum { BODY_CHUNK = 65536 /* octets read from a message at once, and written by one call */ };

enum body_kind { BODY_NONE, BODY_CAPA, BODY_LIST, BODY_UIDL, BODY_MESSAGE, BODY_TOP };

struct session;

/* How much of a message TOP still wants; it ends with a header or with a line. */
struct body_top {
    uint64_t lines;  /* of the text, still to come */
    bool in_text;    /* behind the empty line */
    bool line_begun; /* the current line holds something other than CR */
    bool ended;
};

struct body {
    enum body_kind kind;
    uint32_t next; /* the entry of a listing; of a message, its index */
    int fd;        /* of a message: the cache's (fetch.h), not owned */
    uint64_t offset;
    struct dot_encoder encoder;
    struct body_top top;
};

/* Appends the next piece to the worker's output; at its end the body is zeroed. False: what the
 * body comes from can not be read any more, the client must be cut off. */
bool body_write(struct session *session) __attribute__((warn_unused_result));

/* The first octets of `chunk` that belong to the top of the message. */
size_t body_top_cut(struct body_top *top, struct span chunk);

#endif
