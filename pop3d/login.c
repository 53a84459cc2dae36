/*
 * AUTHORIZATION (RFC 1939 §4): a name, a password, auth's verdict, and the mailbox that the
 * verdict's ticket opens. Whatever goes wrong on the way, USER must come again.
 */
#include "pop3d/commands.h"

#include "pop3d/peers.h"
#include "util/base/log.h"

/* RFC 1939 §7 allows to say here that there is no such user; that would tell names to whoever asks.
 * Where passwords are not taken the name is not either: a client that is refused here sends no
 * password. */
struct pop3_reply cmd_user(struct session *session, const struct arguments *arguments)
{
    if (!session->may_log_in)
        return pop3_error(POP3_AUTH, "passwords are not taken from here without TLS");
    arena_reset(&session->arena);
    session->user = SPAN("");
    session->name = arena_copy(&session->arena, arguments->words[0]);
    return pop3_ok(SPAN("send the password"), BODY_NONE);
}

/* Too many have failed, of its network or at this account: pending when it may go on. A right
 * password and a wrong one are told the same, and it is no word on either (RFC 3206 §4). */
static struct pop3_reply limit(const struct session *session, struct span user)
{
    const struct rate_client client = session_rate_client(session);
    if (reply_is_pending(rate_limits_login(&client, user)))
        return pop3_pending();
    return pop3_error(POP3_SYS_TEMP, "too many failed logins, try again later");
}

/* The name is spent with it: a client that guesses says USER for each guess, and auth, which sees
 * all workers, decides how long each takes. */
struct pop3_reply cmd_pass(struct session *session, const struct arguments *arguments)
{
    if (!session->may_log_in)
        return pop3_error(POP3_AUTH, "passwords are not taken from here without TLS");
    if (session->name.len == 0)
        return pop3_bad("USER comes first");
    struct verify verify = {
        .user = session->name,
        .password = arguments->words[0],
        .client = span_cstr(session->client),
        .session = session->id,
    };
    session->name = SPAN("");
    struct pop3_reply limited = limit(session, SPAN(""));
    if (limited.status != POP3_PENDING)
        return limited;
    if (!peers_ask(session, REQUEST_VERIFY, &ipc_verify, &verify))
        return pop3_error(POP3_SYS_TEMP, "logins are not possible now, try again later");
    return pop3_pending();
}

/* The greeting has no timestamp (RFC 1939 §7), so a client that tries has not looked. */
struct pop3_reply cmd_apop(struct session *session, const struct arguments *arguments)
{
    (void)session, (void)arguments;
    return pop3_error(SPAN(""), "APOP is not offered");
}

struct pop3_reply login_again(struct session *session)
{
    struct mailbox_open open = {
        .user = session->user,
        .session = session->id,
        .ticket = session->ticket,
    };
    if (!peers_ask(session, REQUEST_OPEN, &ipc_mailbox_open, &open))
        return pop3_error(POP3_SYS_TEMP, "the maildrop can not be opened now, try again later");
    return pop3_pending();
}

/* The verdict lies in the packet, the ticket may be needed once more. */
static struct pop3_reply open_mailbox(struct session *session, const struct verdict *verdict)
{
    session->user = arena_copy(&session->arena, verdict->user);
    session->ticket = arena_copy(&session->arena, verdict->ticket);
    return login_again(session);
}

/* Judged by its network and by its account, which is known only now. */
static struct pop3_reply judge(struct session *session, const struct verdict *verdict)
{
    const struct rate_client client = session_rate_client(session);
    struct pop3_reply limited = limit(session, verdict->user);
    if (limited.status != POP3_PENDING)
        return limited;
    if (verdict->status == VERIFY_OK)
        return open_mailbox(session, verdict);
    rate_limits_login_failed(&client, verdict->user);
    return pop3_error(POP3_AUTH, "authentication failed");
}

/* A failure is the same whether the user or the password is wrong (RFC 3206 §5); SYS/TEMP keeps
 * a client from asking its user for another password. */
struct pop3_reply login_verdict(struct session *session, const void *message, struct fd_list *fds)
{
    const struct verdict *verdict = message;
    (void)fds;
    session->request = (struct request){0};
    if (verdict->status == VERIFY_OK || verdict->status == VERIFY_FAILED)
        return judge(session, verdict);
    return pop3_error(POP3_SYS_TEMP, "the password can not be verified now, try again later");
}

/* From here on the session holds the lock, by an open descriptor: however we end, it goes with us.
 */
struct pop3_reply login_opened(struct session *session, const void *message, struct fd_list *fds)
{
    struct maildrop *maildrop = &session->maildrop;
    (void)message;
    session->request = (struct request){0};
    int lock = fd_list_take(fds);
    if (!maildrop_open(maildrop, lock, fd_list_take(fds)))
        return pop3_error(POP3_SYS_TEMP, "the maildrop can not be opened now, try again later");

    session->state = SESSION_TRANSACTION;
    log_event(LOG_INFO, "login", LOG_SPAN("user", session->user),
              LOG_STR("client", session->client), LOG_ID("session", session->id),
              LOG_UINT("messages", maildrop->left));
    return pop3_ok(session_text(session, "maildrop has %lu messages (%lu octets)",
                                (unsigned long)maildrop->left, (unsigned long)maildrop->octets),
                   BODY_NONE);
}

struct pop3_reply login_refused(struct session *session, const void *message, struct fd_list *fds)
{
    const struct mailbox_refused *refused = message;
    (void)fds;
    session->request = (struct request){0};
    if (refused->status == MAILBOX_IN_USE)
        return pop3_error(POP3_IN_USE, "the maildrop is in use by another session");
    if (refused->status == MAILBOX_DENIED)
        return pop3_error(POP3_SYS_PERM, "the maildrop can not be opened");
    return pop3_error(POP3_SYS_TEMP, "the maildrop can not be opened now, try again later");
}
