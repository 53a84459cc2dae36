/*
 * TRANSACTION (RFC 1939 §5): everything that the list alone can answer.
 */
#include "pop3d/commands.h"

enum { UIDL_MOST = 70 /* octets, RFC 1939 §7 */ };

static const char no_such_message[] = "no such message";

/* "+OK N messages (X octets)" */
static struct pop3_reply summary(struct session *session, enum body_kind body)
{
    return pop3_ok(session_text(session, "%lu messages (%lu octets)",
                                (unsigned long)session->maildrop.left,
                                (unsigned long)session->maildrop.octets),
                   body);
}

/* The message that the first argument names. */
static bool entry_of(const struct session *session, const struct arguments *arguments,
                     uint32_t *index, struct mailbox_entry *entry)
{
    return maildrop_find(&session->maildrop, arguments->words[0], index) &&
           mailbox_list_entry(&session->maildrop.list, *index, entry);
}

/* RFC 2449 §5: in both states, and the answer depends on neither. */
struct pop3_reply cmd_capa(struct session *session, const struct arguments *arguments)
{
    (void)session, (void)arguments;
    return pop3_ok(SPAN("capability list follows"), BODY_CAPA);
}

/* RFC 1939 §5: two numbers and nothing behind them, because clients parse this line. Messages that
 * are marked are counted in neither. */
struct pop3_reply cmd_stat(struct session *session, const struct arguments *arguments)
{
    (void)arguments;
    return pop3_ok(session_text(session, "%lu %lu", (unsigned long)session->maildrop.left,
                                (unsigned long)session->maildrop.octets),
                   BODY_NONE);
}

/* The sizes are those on the wire, line ends mended (RFC 1939 §11), so that a client can show how
 * far it has come. */
struct pop3_reply cmd_list(struct session *session, const struct arguments *arguments)
{
    uint32_t index;
    struct mailbox_entry entry;
    if (arguments->count == 0)
        return summary(session, BODY_LIST);
    if (!entry_of(session, arguments, &index, &entry))
        return pop3_error(SPAN(""), no_such_message);
    return pop3_ok(
        session_text(session, "%lu %lu", (unsigned long)index + 1, (unsigned long)entry.octets),
        BODY_NONE);
}

/* A uidl that is too long for the RFC is not shortened: two might become one, and a client would
 * take the second message for one that it has. */
struct pop3_reply cmd_uidl(struct session *session, const struct arguments *arguments)
{
    uint32_t index;
    struct mailbox_entry entry;
    if (arguments->count == 0)
        return pop3_ok(SPAN("unique-id listing follows"), BODY_UIDL);
    if (!entry_of(session, arguments, &index, &entry) || entry.uidl.len > UIDL_MOST)
        return pop3_error(SPAN(""), no_such_message);
    return pop3_ok(
        session_text(session, "%lu %.*s", (unsigned long)index + 1, SPAN_ARG(entry.uidl)),
        BODY_NONE);
}

/* Marks and no more: until QUIT nobody but this session knows. */
struct pop3_reply cmd_dele(struct session *session, const struct arguments *arguments)
{
    uint32_t index;
    struct mailbox_entry entry;
    if (!entry_of(session, arguments, &index, &entry))
        return pop3_error(SPAN(""), no_such_message);
    maildrop_mark(&session->maildrop, index, entry.octets);
    return pop3_ok(SPAN("message deleted"), BODY_NONE);
}

/* Its use is that it came: the time of idleness begins anew. */
struct pop3_reply cmd_noop(struct session *session, const struct arguments *arguments)
{
    (void)session, (void)arguments;
    return pop3_ok(SPAN(""), BODY_NONE);
}

/* All marks at once; there is no way to take back a single one (RFC 1939 §5). */
struct pop3_reply cmd_rset(struct session *session, const struct arguments *arguments)
{
    (void)arguments;
    maildrop_unmark_all(&session->maildrop);
    return summary(session, BODY_NONE);
}

/* Gone from RFC 1939, but old clients find with it what is new to them. */
struct pop3_reply cmd_last(struct session *session, const struct arguments *arguments)
{
    (void)arguments;
    return pop3_ok(session_text(session, "%lu", (unsigned long)session->maildrop.last), BODY_NONE);
}
