/*
 * role - the kinds of processes, and what each may hold.
 *
 * One table says for every role its program, its user, how many there are and whom it talks to;
 * master spawns by it, the sandbox and the privileges follow it (doc/security.md).
 */
#ifndef VEREDUS_SYS_ROLE_H
#define VEREDUS_SYS_ROLE_H

#include <stdbool.h>

enum role {
    ROLE_MASTER,
    ROLE_LOOKUP,
    ROLE_AUTH,
    ROLE_QMGR,
    ROLE_DELIVER, /* local, deliveries */
    ROLE_MAILBOX, /* local, mailboxes for pop3d */
    ROLE_SMTPD,
    ROLE_SUBMISSION, /* smtpd, for those who log in */
    ROLE_POP3D,
    ROLE_COUNT
};

/* Processes of one role that live at a time, those that drain included; each has an index below
 * it. */
enum { ROLE_INDEXES = 192 };

enum role_user { USER_ROOT, USER_SERVICE, USER_QUEUE, USER_MAIL, USER_AUTH };

struct role_info {
    const char *name;    /* "smtpd": in logs, in status */
    const char *program; /* "veredus-smtpd" */
    enum role_user user;
    unsigned peers;  /* bit set of 1u << role: with whom it has a socket; symmetric */
    bool receives;   /* takes mail in: writes segments of the spool, asks lookup and qmgr */
    bool per_worker; /* as many as `workers`, else `count` */
    unsigned count;
};

/* The row of a role; never NULL. */
const struct role_info *role_info(enum role role);

#endif
