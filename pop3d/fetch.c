/*
 * Why a window: a descriptor that has to be asked for costs two messages between processes and two
 * wake-ups. Asked for by the sixteen, that is nothing beside opening the file.
 */
#include "pop3d/fetch.h"

#include <unistd.h>

#include "pop3d/commands.h"
#include "pop3d/peers.h"

static const char unreadable[] = "this message can not be read";

void fetch_forget(struct fetch *fetch, uint32_t index)
{
    uint32_t place = index - fetch->first;
    if (place >= fetch->count || fetch->states[place] != FETCH_HERE)
        return;
    (void)close(fetch->fds[place]);
    fetch->states[place] = FETCH_USED;
}

void fetch_lost(struct fetch *fetch)
{
    for (uint32_t i = 0; i < fetch->count; i++)
        if (fetch->states[i] == FETCH_ASKED)
            fetch->states[i] = FETCH_USED;
}

/* Those that are still on their way find no window, and are closed as they come. */
void fetch_close(struct fetch *fetch)
{
    for (uint32_t i = 0; i < fetch->count; i++)
        fetch_forget(fetch, fetch->first + i);
    fetch->count = 0;
}

/* A window that begins with message `first`. */
static bool ask(struct session *session, uint32_t first)
{
    struct fetch *fetch = &session->fetch;
    struct buf *names = &session->worker->names;
    uint32_t behind = session->maildrop.list.count - first;
    uint32_t count = behind < FETCH_WINDOW ? behind : FETCH_WINDOW;

    fetch_close(fetch);
    buf_reset(names);
    for (uint32_t i = 0; i < count; i++)
        if (!maildrop_add_name(&session->maildrop, first + i, names))
            return false;
    struct mailbox_fetch message = {
        .user = session->user,
        .first = first,
        .names = buf_span(names),
    };
    if (!peers_ask(session, REQUEST_FETCH, &ipc_mailbox_fetch, &message))
        return false;
    fetch->first = first;
    fetch->count = count;
    memset(fetch->states, FETCH_ASKED, sizeof(fetch->states));
    return true;
}

/* The message is there: its line, and behind it its body. */
static struct pop3_reply begin(struct session *session, int fd)
{
    const struct fetch *fetch = &session->fetch;
    struct mailbox_entry entry;
    if (!mailbox_list_entry(&session->maildrop.list, fetch->wanted, &entry))
        return pop3_error(SPAN(""), unreadable);
    session->body = (struct body){
        .fd = fd,
        .next = fetch->wanted,
        .top = {.lines = fetch->wanted_lines},
    };
    if (fetch->wanted_as == BODY_TOP)
        return pop3_ok(SPAN("top of message follows"), BODY_TOP);

    if (session->maildrop.last <= fetch->wanted)
        session->maildrop.last = fetch->wanted + 1;
    session->retrieved++;
    session->retrieved_octets += entry.octets;
    page_add(session->worker->page, PAGE_RETRIEVED, 1);
    return pop3_ok(session_text(session, "%lu octets", (unsigned long)entry.octets), BODY_MESSAGE);
}

/* What the window says about the wanted message; FETCH_USED: nothing, it must be asked for. */
static enum fetch_state wanted_state(const struct fetch *fetch)
{
    uint32_t place = fetch->wanted - fetch->first;
    return place < fetch->count ? (enum fetch_state)fetch->states[place] : FETCH_USED;
}

/* Called when the command comes, and again with the answer: what it says depends on nothing but the
 * window. A window that is asked for already is waited for, not asked for twice. */
static struct pop3_reply serve_wanted(struct session *session)
{
    struct fetch *fetch = &session->fetch;
    switch (wanted_state(fetch)) {
    case FETCH_HERE:
        return begin(session, fetch->fds[fetch->wanted - fetch->first]);
    case FETCH_MISSING:
        return pop3_error(SPAN(""), unreadable);
    case FETCH_USED:
        if (!ask(session, fetch->wanted))
            return pop3_error(POP3_SYS_TEMP, "messages can not be read now, try again later");
        break;
    case FETCH_ASKED:
        break;
    }
    return pop3_pending();
}

struct pop3_reply fetch_again(struct session *session)
{
    return serve_wanted(session);
}

/* An earlier answer may have brought it: then no process but us takes part. */
struct pop3_reply cmd_retr(struct session *session, const struct arguments *arguments)
{
    if (!maildrop_find(&session->maildrop, arguments->words[0], &session->fetch.wanted))
        return pop3_error(SPAN(""), "no such message");
    session->fetch.wanted_as = BODY_MESSAGE;
    return serve_wanted(session);
}

/* Without a number of lines: the header alone, as old clients expect. */
struct pop3_reply cmd_top(struct session *session, const struct arguments *arguments)
{
    struct fetch *fetch = &session->fetch;
    fetch->wanted_lines = 0;
    if (arguments->count == 2 &&
        !span_to_u64(arguments->words[1], UINT64_MAX, &fetch->wanted_lines))
        return pop3_bad("the number of lines is none");
    if (!maildrop_find(&session->maildrop, arguments->words[0], &fetch->wanted))
        return pop3_error(SPAN(""), "no such message");
    fetch->wanted_as = BODY_TOP;
    return serve_wanted(session);
}

/* ---- the answers ---- */

/* Notes what became of message `index`. An answer: when the pending command is about it. */
static struct pop3_reply arrived(struct session *session, uint32_t index, int fd)
{
    struct fetch *fetch = &session->fetch;
    uint32_t place = index - fetch->first;
    if (place >= fetch->count || fetch->states[place] != FETCH_ASKED) {
        if (fd >= 0)
            (void)close(fd);
        return pop3_pending();
    }
    fetch->fds[place] = fd;
    fetch->states[place] = fd >= 0 ? FETCH_HERE : FETCH_MISSING;
    return session->pending && index == fetch->wanted ? serve_wanted(session) : pop3_pending();
}

/* Descriptors nobody takes are closed by the channel: this one is taken whatever becomes of it. */
struct pop3_reply fetch_message(struct session *session, const void *message, struct fd_list *fds)
{
    const struct mailbox_message *there = message;
    return arrived(session, there->index, fd_list_take(fds));
}

/* It was removed behind our back, or its octets can not be read: an error of that message alone. */
struct pop3_reply fetch_missing(struct session *session, const void *message, struct fd_list *fds)
{
    const struct mailbox_missing *missing = message;
    (void)fds;
    return arrived(session, missing->index, -1);
}
