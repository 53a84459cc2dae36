/*
 * UPDATE (RFC 1939 §6): the one place where messages are removed. The client hears +OK when they
 * are gone durably, so that a power cut behind it brings none of them back.
 */
#include "pop3d/commands.h"

#include "pop3d/peers.h"

/* The lock goes before the reply: a client that comes again at once is not to find the maildrop in
 * use, and one that never takes the reply does not keep it. */
static struct pop3_reply sign_off(struct session *session)
{
    struct maildrop *maildrop = &session->maildrop;
    maildrop_unlock(maildrop);
    if (session->update_partial)
        return pop3_error(SPAN(""), "some deleted messages not removed");
    if (maildrop->left == 0)
        return pop3_ok(SPAN("POP3 server signing off (maildrop empty)"), BODY_NONE);
    return pop3_ok(session_text(session, "POP3 server signing off (%lu messages left)",
                                (unsigned long)maildrop->left),
                   BODY_NONE);
}

/* Asks for the next part of the removals, or says how they went. */
static struct pop3_reply go_on(struct session *session)
{
    struct buf *names = &session->worker->names;
    buf_reset(names);
    session->update_part = session->update_next;
    maildrop_add_marked(&session->maildrop, &session->update_next, names);
    if (buf_len(names) == 0 && session->update_next < session->maildrop.list.count)
        session->update_partial = true; /* a name that can not be told */
    if (buf_len(names) == 0)
        return pop3_and_close(sign_off(session));

    struct mailbox_delete message = {.user = session->user, .names = buf_span(names)};
    if (!peers_ask(session, REQUEST_DELETE, &ipc_mailbox_delete, &message))
        return pop3_and_close(pop3_error(POP3_SYS_TEMP, "some deleted messages not removed"));
    return pop3_pending();
}

struct pop3_reply update_again(struct session *session)
{
    session->update_next = session->update_part;
    return go_on(session);
}

/* The state changes first: from here on no command is served, whatever the client sends. */
struct pop3_reply cmd_quit(struct session *session, const struct arguments *arguments)
{
    (void)arguments;
    if (session->state == SESSION_AUTHORIZATION)
        return pop3_and_close(pop3_ok(SPAN("POP3 server signing off"), BODY_NONE));
    session->state = SESSION_UPDATE;
    return go_on(session);
}

/* One part that failed does not keep the others: what can be removed is removed. */
struct pop3_reply update_deleted(struct session *session, const void *message, struct fd_list *fds)
{
    const struct mailbox_deleted *deleted = message;
    (void)fds;
    session->request = (struct request){0};
    session->deleted += deleted->count;
    page_add(session->worker->page, PAGE_DELETED, deleted->count);
    if (deleted->status != MAILBOX_OK)
        session->update_partial = true;
    return go_on(session);
}
