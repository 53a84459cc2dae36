/*
 * commands - the handlers of the verb table, and of the answers that other processes give to them.
 *
 * A handler is called only where its row allows it, with as many arguments as its row says.
 */
#ifndef VEREDUS_POP3D_COMMANDS_H
#define VEREDUS_POP3D_COMMANDS_H

#include "pop3d/session.h"
#include "util/ipc/messages.h"

enum { ARGUMENTS_MOST = 2 };

struct arguments {
    size_t count;
    struct span words[ARGUMENTS_MOST];
};

/* ---- login.c: AUTHORIZATION ---- */

/* RFC 1939 §7 */
struct pop3_reply cmd_user(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_pass(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_apop(struct session *session, const struct arguments *arguments);

/* Asks another process of mailbox to open the maildrop, with the same ticket. */
struct pop3_reply login_again(struct session *session);

/* auth's verdict; then what mailbox made of it. */
struct pop3_reply login_verdict(struct session *session, const void *message, struct fd_list *fds);
struct pop3_reply login_opened(struct session *session, const void *message, struct fd_list *fds);
struct pop3_reply login_refused(struct session *session, const void *message, struct fd_list *fds);

/* ---- commands.c: TRANSACTION, and CAPA ---- */

/* RFC 1939 §5 and §7, RFC 2449 §5, LAST of RFC 1460 */
struct pop3_reply cmd_capa(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_stat(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_list(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_uidl(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_dele(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_noop(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_rset(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_last(struct session *session, const struct arguments *arguments);

/* ---- fetch.c ---- */

/* RFC 1939 §5, §7 */
struct pop3_reply cmd_retr(struct session *session, const struct arguments *arguments);
struct pop3_reply cmd_top(struct session *session, const struct arguments *arguments);
/* Asks anew for the message that the pending command is about. */
struct pop3_reply fetch_again(struct session *session);

/* The answers to it: the message as a descriptor, taken out of `fds`; or that it is gone or can
 * not be read, which is an error of that message alone. */
struct pop3_reply fetch_message(struct session *session, const void *message, struct fd_list *fds);
struct pop3_reply fetch_missing(struct session *session, const void *message, struct fd_list *fds);

/* ---- update.c: UPDATE ---- */

/* RFC 1939 §6 */
struct pop3_reply cmd_quit(struct session *session, const struct arguments *arguments);
/* Asks anew for the removals that were under way: a name that is gone already counts as removed. */
struct pop3_reply update_again(struct session *session);

/* The answer to a batch of removals: counted, then the next batch or the end. One that failed
 * makes the reply to QUIT say that some messages were kept. */
struct pop3_reply update_deleted(struct session *session, const void *message, struct fd_list *fds);

#endif
