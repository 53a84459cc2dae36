/*
 * session - one client: what it may do, what it waits for, what it was told.
 *
 * Owned by its worker, frees itself when the client is gone. An idle session holds no buffer: input
 * is read into the worker's, replies are gathered in the worker's, and only what is left over of
 * either is kept here. Deletions happen at QUIT and nowhere else (RFC 1939 §6).
 */
#ifndef VEREDUS_POP3D_SESSION_H
#define VEREDUS_POP3D_SESSION_H

#include "pop3d/fetch.h"
#include "pop3d/maildrop.h"
#include "pop3d/reply.h"
#include "pop3d/worker.h"
#include "util/base/arena.h"
#include "util/base/base64.h"
#include "util/daemon/rate_limits.h"

/* RFC 1939 §3. UPDATE takes no commands. */
enum session_state { SESSION_AUTHORIZATION, SESSION_TRANSACTION, SESSION_UPDATE };

enum {
    SESSION_COMMAND_MOST = 255, /* octets of a line with its CR LF, RFC 2449 §4 */
    SESSION_TEXT_MOST = 128     /* octets of a reply's text */
};

/* What another process was asked. */
enum request_kind { REQUEST_NONE, REQUEST_VERIFY, REQUEST_OPEN, REQUEST_FETCH, REQUEST_DELETE };

struct request {
    enum request_kind kind;
    uint32_t query;
    struct channel *channel; /* whom; only compared */
    bool again;              /* the process asked first is gone, unheard */
};

struct session {
    struct worker *worker;
    struct io io;
    struct timer timer; /* idle, and until the login no longer than pop3_login */
    struct turn turn;
    struct buf in;  /* not served yet */
    struct buf out; /* not sent yet; nothing is served until it is */
    struct arena arena;
    struct span name;   /* of USER; empty: PASS makes no sense */
    struct span user;   /* canonical; empty until auth has vouched for it */
    struct span ticket; /* auth's, for the mailbox to be opened */
    struct request request;
    struct pop3_reply answer; /* to the pending command, once it is there */
    struct body body;
    struct maildrop maildrop;
    struct fetch fetch;
    uint64_t id;
    uint64_t network; /* what connections are counted by */
    uint64_t retrieved_octets;
    int64_t login_until; /* loop_now() */
    uint32_t retrieved;
    uint32_t deleted;     /* durably */
    uint32_t update_next; /* QUIT: the first message not asked about yet */
    uint32_t update_part; /* and the first of the request under way */
    uint32_t swallowed;   /* octets of a line that is too long */
    uint32_t bad_commands;
    uint16_t slot; /* in the worker's table */
    enum session_state state;
    bool pending;        /* a command waits for its answer */
    bool closing;        /* the last reply was written */
    bool ended;          /* and nothing is left but its memory */
    bool update_partial; /* QUIT: some could not be removed */
    bool may_log_in;     /* plaintext_auth allows this client its password */
    bool trusted;        /* by trusted_networks: not counted by its network */
    char client[NET_TEXT_MAX];
    char number[BASE32_U64_MAX + 1]; /* `id` as the log has it */
    char text[SESSION_TEXT_MOST];
};

/* A client was accepted: greets it. Takes `fd` over. */
void session_new(struct worker *worker, int fd, const union net_address *client);

/* The pending command's answer, written at the end of this turn; a pending one changes nothing. Its
 * text must last that long: only literals and what session_text made. */
void session_answer(struct session *session, struct pop3_reply reply);

/* The other process ended amid a request. If the client waits for it, another one is asked, once;
 * else it is told so, and the session ends. */
void session_peer_lost(struct session *session);

/* Shutdown: who has not logged in is sent away. */
void session_drain(struct session *session);

/* Who is counted, and by what; valid as long as the session. */
struct rate_client session_rate_client(const struct session *session);

/* Cuts the client off; nothing is deleted. `reason` is for the log. */
void session_end(struct session *session, const char *reason);

/* A text for the next reply, less than SESSION_TEXT_MOST octets; the session has one. */
struct span session_text(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
