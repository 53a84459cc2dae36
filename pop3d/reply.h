/*
 * reply - what a handler gives back; session.c alone writes it.
 *
 * A reply is one line, "+OK text" or "-ERR [CODE] text" (RFC 1939 §3, RFC 2449 §8), and maybe a
 * body of many lines that is produced while the client takes it (body.h). Its text lives until the
 * next command of its session. A pending reply is none yet: the session waits, and is answered
 * later.
 */
#ifndef VEREDUS_POP3D_REPLY_H
#define VEREDUS_POP3D_REPLY_H

#include "pop3d/body.h"
#include "util/base/span.h"

enum pop3_status { POP3_PENDING, POP3_OK, POP3_ERR };

struct pop3_reply {
    enum pop3_status status;
    enum body_kind body; /* what follows the line of a POP3_OK */
    bool close;          /* the last word */
    bool bad;            /* counts against pop3_bad_commands */
    struct span code;    /* "[IN-USE]", or empty */
    struct span text;
};

/* The response codes of RFC 2449 §8.1 and RFC 3206. */
#define POP3_IN_USE   SPAN("[IN-USE]")
#define POP3_AUTH     SPAN("[AUTH]")
#define POP3_SYS_TEMP SPAN("[SYS/TEMP]")
#define POP3_SYS_PERM SPAN("[SYS/PERM]")

static inline struct pop3_reply pop3_pending(void)
{
    return (struct pop3_reply){.status = POP3_PENDING};
}

static inline struct pop3_reply pop3_ok(struct span text, enum body_kind body)
{
    return (struct pop3_reply){.status = POP3_OK, .body = body, .text = text};
}

static inline struct pop3_reply pop3_error(struct span code, const char *text)
{
    return (struct pop3_reply){.status = POP3_ERR, .code = code, .text = span_cstr(text)};
}

/* A command that is none. */
static inline struct pop3_reply pop3_bad(const char *text)
{
    return (struct pop3_reply){.status = POP3_ERR, .bad = true, .text = span_cstr(text)};
}

/* The same reply, and the connection is closed behind it. */
static inline struct pop3_reply pop3_and_close(struct pop3_reply reply)
{
    reply.close = true;
    return reply;
}

#endif
