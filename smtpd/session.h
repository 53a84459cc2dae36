/*
 * session - one client: what it has said so far, and what it waits for.
 *
 * Owned by its worker from session_new until it frees itself, which is when the client is gone and
 * no letter of it is on its way to the disk any more. Two lifetimes hang on it: its arena (the name
 * it gave in HELO) and the transaction, made at MAIL and gone at RSET, a new HELO, or the end of
 * the message (RFC 5321 §3.3, §4.1.4). A session that is idle holds no buffer at all.
 */
#ifndef VEREDUS_SMTPD_SESSION_H
#define VEREDUS_SMTPD_SESSION_H

#include <bsd/sys/queue.h>

#include "smtpd/worker.h"
#include "util/mail/dot.h"
#include "util/mail/header.h"
#include "util/mail/line_ends.h"
#include "util/mail/originator.h"
#include "util/mail/reply.h"
#include "util/spool/envelope.h"
#include "util/sys/stream.h"

/* How far the dialogue is; the order is that of RFC 5321 §4.1.4. */
enum session_state {
    SESSION_START,   /* greeted, HELO not yet given */
    SESSION_READY,   /* between transactions */
    SESSION_MAIL,    /* MAIL was accepted, RCPT not yet given */
    SESSION_REFUSED, /* and every RCPT so far was refused */
    SESSION_RCPT,    /* and at least one RCPT was accepted */
    SESSION_CHUNKS,  /* a part of the message came by BDAT, and more will */
    SESSION_DATA,    /* the client sends its message */
    SESSION_COMMIT,  /* the message is on its way to the disk */
    SESSION_STATES
};

/* How the octets travel. */
enum session_channel {
    CHANNEL_CLEAR,
    CHANNEL_PROXY,   /* a proxy is to say first for whom it speaks: entry.h */
    CHANNEL_SILENT,  /* not greeted yet: the client has to be silent */
    CHANNEL_TURNING, /* 220 to STARTTLS is on its way out; what comes behind it is TLS */
    CHANNEL_HANDSHAKE,
    CHANNEL_SECURE
};

/* The end of a connection: the last reply goes out; then what still comes is thrown away for a
 * moment, because a socket closed with unread input takes the reply back from the client. */
enum session_end { SESSION_OPEN, SESSION_CLOSING, SESSION_LINGERING, SESSION_GONE };

/* What the timer runs for. */
enum session_wait {
    WAIT_NOTHING,
    WAIT_PROXY,
    WAIT_GREETING, /* the client waits for it */
    WAIT_HANDSHAKE,
    WAIT_COMMAND,
    WAIT_LINE, /* the rest of a command */
    WAIT_DATA,
    WAIT_LOOKUP,
    WAIT_LOGIN,   /* for auth */
    WAIT_SEGMENT, /* to stream the message into, or for room in memory */
    WAIT_PAUSE,
    WAIT_OUTPUT,
    WAIT_LINGER,
    SESSION_WAITS
};

struct recipient;      /* recipients.h */
struct login;          /* login.c */
struct inquiry;        /* inquiry.c */
struct queue_run_wait; /* queue_run.c */
struct client_checks;  /* client_checks.c */
struct sender_checks;  /* sender_checks.c */
struct spool_stream;

/* One message on its way in. Lives in the session's transaction arena. */
struct transaction {
    struct span sender;           /* as text; empty: the null reverse-path */
    uint16_t flags;               /* RECORD_FLAG_..., as the client declared and we decided */
    uint8_t ret;                  /* ENVELOPE_RET_... */
    struct span envid;            /* RFC 3461 §4.4, as given */
    struct span submitter;        /* of AUTH=, where it may be said; empty: unknown */
    struct sender_checks *checks; /* of MAIL; NULL: it was answered */

    struct recipient *waiting, **waiting_end; /* RCPTs not answered yet, in their order */
    size_t waiting_count;
    struct recipient *last_asked;      /* RCPTs asked about, backwards: recipient.before */
    size_t accepted;                   /* RCPTs answered with 250 */
    size_t put_off;                    /* RCPTs answered with 4yz */
    struct envelope_recipient *finals; /* without duplicates */
    size_t final_count, final_room;
    size_t final_octets; /* of the envelope that they will take */

    struct dot_decoder decoder;   /* of DATA */
    struct line_ends line_ends;   /* of BDAT */
    struct header_scan header;    /* of what was decoded */
    struct originator originator; /* of what is submitted: completion.c */
    struct buf envelope, trace, message;
    uint64_t size;               /* octets of the message so far */
    int64_t started;             /* of the data, loop_now() */
    struct reply verdict;        /* not pending: it will be refused with this */
    struct spool_stream *stream; /* NULL while it fits the buffer */
    struct letter letter;
};

/* The octets behind a BDAT (RFC 3030 §2); chunk.c. */
struct chunk {
    bool open; /* they come, or are served: no command is before their end */
    bool last;
    uint64_t size, left;
    int64_t started;      /* loop_now() */
    struct reply refusal; /* not pending: they are thrown away, and this is said behind them */
};

/* Everything that belongs to one connection. Made by session_new; freed at the end of a turn, never
 * from outside. */
struct session {
    LIST_ENTRY(session) entry;
    TAILQ_ENTRY(session) starved_entry; /* while it is starved */
    struct worker *worker;
    const struct daemon_listener *listener; /* where it came in */
    struct stream stream;
    struct timer timer;
    struct turn turn;
    struct buf in;  /* what could not be served yet */
    struct buf out; /* replies not sent yet */
    struct arena arena, transaction_arena;
    struct transaction *transaction; /* NULL outside of one */
    struct chunk chunk;
    struct inquiry *inquiry;          /* of VRFY or EXPN; NULL: none waits */
    struct queue_run_wait *queue_run; /* of ETRN; NULL: none waits */
    struct span helo;
    struct span user;             /* authenticated as; empty: nobody */
    struct login *login;          /* login.c; NULL before the first AUTH */
    struct client_checks *checks; /* NULL: there is nothing to find out */
    struct span client_name;      /* verified, or "unknown" */
    uint64_t number;              /* `id` is its text */
    uint64_t network;             /* what connections are counted by; 0: not counted */
    uint64_t account;             /* the same of a login; 0: not counted */
    enum session_state state;
    enum session_end end;
    enum session_channel channel;
    enum session_wait wait;
    unsigned errors, errors_judged, junk;
    uint64_t transactions; /* begun so far */
    size_t swallowed;      /* octets of a command that is too long */
    bool trusted, loopback, local /* on a UNIX socket */, extended /* EHLO */;
    bool proxy;      /* it may say for whom it speaks */
    bool spoken_for; /* and did: the client is not the one at the other end of the socket */
    bool paused, progress, quit;
    bool behind;  /* there is input behind the command being served */
    bool stalled; /* input waits for replies to be sent first */
    bool starved; /* no segment and no room for what its message holds: nothing is read */
    char id[SPOOL_ID_MAX];
    char client[NET_TEXT_MAX];
};

/* A client was accepted: greets it, or tells it why not. Takes `fd` over; `listener` outlives the
 * session. */
struct session *session_new(struct worker *worker, int fd, const union net_address *client,
                            const struct daemon_listener *listener);

/* Serves at the end of this turn what can be served then: a lookup or a commit came back. */
void session_wake(struct session *session);

/* Nothing is sent and nothing served for a moment: how errors and pressure slow a client down. */
void session_pause(struct session *session);

/* The client has no more time than limits_wait_ms gives now, from now on. */
void session_hurry(struct session *session);

/* No further word: the client is gone or not worth one. */
void session_drop(struct session *session);

/* Forgets the transaction, if there is one, in whatever state it is but SESSION_COMMIT. */
void session_reset(struct session *session);

/* True while the session may take input for serving. */
bool session_serves(const struct session *session);

/* Who may send to anywhere. */
static inline bool session_may_relay(const struct session *session)
{
    return session->trusted || session->user.len > 0;
}

/* The texts of the session for log lines. */
static inline struct span session_id(const struct session *session)
{
    return span_cstr(session->id);
}

static inline struct span session_client(const struct session *session)
{
    return span_cstr(session->client);
}

#endif
