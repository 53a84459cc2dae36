/*
 * verbs - the commands of SMTP, one row each, and the one place that asks whether one is allowed
 * now.
 */
#ifndef VEREDUS_SMTPD_VERBS_H
#define VEREDUS_SMTPD_VERBS_H

#include "smtpd/session.h"

/* What a command needs beside the state of the dialogue. */
enum verb_needs {
    NEEDS_NOTHING,
    NEEDS_CLEAR,   /* a certificate, and no TLS yet: STARTTLS */
    NEEDS_LOGIN,   /* the right to submit: a login, or a trusted network, where mail is submitted */
    NEEDS_EXPN,    /* the setting, and a client that may be told: EXPN */
    NEEDS_ETRN,    /* the setting: ETRN; else it is unknown to everybody, in every state */
    NEEDS_PROXY,   /* one of trusted_proxies: XCLIENT */
    NEEDS_NO_LOGIN /* submission, and nobody has logged in yet: AUTH */
};

/* Where a command is known. */
enum verb_service { EVERYWHERE, SMTP_ALONE, LMTP_ALONE };

/* One row: what a command needs, and what it leads to. Constant. */
struct verb {
    const char *name;
    /* Given what follows the name, without blanks around it; answers, or pending. */
    struct reply (*handle)(struct session *session, struct span arguments);
    /* Refuses it where more than its line has to be dealt with; NULL: the refusal is the answer. */
    struct reply (*refuse)(struct session *session, struct span arguments, struct reply refusal);
    unsigned states;         /* bit set of 1u << state: where it is allowed */
    enum session_state next; /* where a positive reply leads; SESSION_STATES: nowhere else */
    enum verb_needs needs;   /* what else has to hold */
    enum verb_service service;
    bool ends_group;  /* no input may wait behind it (RFC 2920 §3.1) */
    bool overlaps;    /* may be served while recipients are being looked up */
    bool junk;        /* brings no message nearer */
    bool secret;      /* what follows the name is never logged, and wiped */
    const char *help; /* its syntax and where it is defined; NULL: HELP does not show it */
};

/* The row of the command `name`, compared without case; NULL: unknown. */
const struct verb *verb_find(struct span name);

/* The name of a command line, and what follows it. */
struct span verb_name(struct span line, struct span *arguments);

/* The answer to a command line that is refused for `refusal` before anybody looked at it; `verb`
 * may be NULL. */
struct reply verb_refuse(struct session *session, const struct verb *verb, struct span arguments,
                         struct reply refusal);

/* Serves one command line; `verb` may be NULL. */
struct reply verb_serve(struct session *session, const struct verb *verb, struct span arguments);

/* True when HELP shows the command to clients of that service: it is for them. */
bool verb_is_shown(const struct verb *verb, enum conf_service service);

/* The text of HELP: all commands that it shows there. Lives in `arena`. */
const char *verb_topics(enum conf_service service, struct arena *arena);

/* The whole table, for tests; *count is the number of rows. */
const struct verb *verb_table(size_t *count);

#endif
