/*
 * Why pread and no sendfile: dots must be doubled and line ends may have to be mended on the way
 * out (RFC 1939 §3), so the octets pass through us anyway.
 *
 * A chunk that comes back short is the last one: messages are files, and nobody changes them.
 */
#include "pop3d/body.h"

#include <errno.h>
#include <unistd.h>

#include "pop3d/session.h"

enum {
    TOP_CHUNK = 8192, /* a header is rarely longer */
    NUMBER_MOST = 20
};

/* ---- CAPA (RFC 2449 §6) ---- */

/* USER is announced only where it is taken: a client that sees it would send the password.
 * EXPIRE NEVER, because nothing is ever removed but by DELE and QUIT (RFC 2449 §6.7). */
static bool write_capabilities(struct session *session, struct buf *out)
{
    buf_add(out, SPAN("TOP\r\n"));
    if (session->may_log_in)
        buf_add(out, SPAN("USER\r\n"));
    buf_add(out, SPAN("UIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
                      "IMPLEMENTATION Veredus-" VEREDUS_VERSION "\r\n.\r\n"));
    session->body = (struct body){0};
    return true;
}

/* ---- LIST and UIDL ---- */

/* By hand: a list has two numbers a line, and printf(3) would read its format for each. */
static void add_number(struct buf *out, uint64_t number)
{
    char digits[NUMBER_MOST];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    buf_add(out, span_of(digits + at, sizeof(digits) - at));
}

/* The list may end behind this piece or go on in the next call; which numbers are left out does not
 * change meanwhile, because no command is served before the body is through. */
static bool write_listing(struct session *session, struct buf *out)
{
    struct body *body = &session->body;
    const struct maildrop *maildrop = &session->maildrop;
    size_t until = buf_len(out) + BODY_CHUNK;
    struct mailbox_entry entry;

    for (; body->next < maildrop->list.count && buf_len(out) < until; body->next++) {
        if (maildrop_is_marked(maildrop, body->next))
            continue;
        if (!mailbox_list_entry(&maildrop->list, body->next, &entry))
            return false;
        add_number(out, body->next + UINT64_C(1));
        buf_add(out, SPAN(" "));
        if (body->kind == BODY_LIST)
            add_number(out, entry.octets);
        else
            buf_add(out, entry.uidl);
        buf_add(out, SPAN("\r\n"));
    }
    if (body->next < maildrop->list.count)
        return true;
    buf_add(out, SPAN(".\r\n"));
    *body = (struct body){0};
    return true;
}

/* ---- RETR and TOP ---- */

/* A line ended. False: the top ends with it. */
static bool count_line(struct body_top *top)
{
    bool empty = !top->line_begun;
    top->line_begun = false;
    if (top->in_text)
        top->lines--;
    else
        top->in_text = empty;
    return !top->in_text || top->lines > 0;
}

/* A line may be cut anywhere between two chunks, also between its CR and its LF. So only what was
 * seen of it is remembered: a line of CR LF alone, or of LF alone, is empty and ends the header. */
size_t body_top_cut(struct body_top *top, struct span chunk)
{
    size_t at = 0;
    while (at < chunk.len) {
        struct span rest = span_skip(chunk, at);
        size_t line = span_find(rest, '\n');
        if (line > 1 || (line == 1 && rest.data[0] != '\r'))
            top->line_begun = true;
        if (line == rest.len)
            return chunk.len;
        at += line + 1;
        if (!count_line(top)) {
            top->ended = true;
            return at;
        }
    }
    return at;
}

/* pread, because a TOP and a RETR of the same message share its descriptor. */
static ssize_t read_chunk(const struct body *body, char *chunk, size_t size)
{
    ssize_t got;
    do
        got = pread(body->fd, chunk, size, (off_t)body->offset);
    while (got < 0 && errno == EINTR);
    return got;
}

/* The descriptor of a TOP stays: clients look at the top first, then retrieve the message. */
static bool write_message(struct session *session, struct buf *out)
{
    struct body *body = &session->body;
    char *chunk = session->worker->chunk;
    size_t size = body->kind == BODY_TOP ? TOP_CHUNK : BODY_CHUNK;
    ssize_t got = read_chunk(body, chunk, size);
    if (got < 0)
        return false;

    struct span octets = span_of(chunk, (size_t)got);
    bool last = octets.len < size;
    body->offset += octets.len;
    if (body->kind == BODY_TOP) {
        octets = span_first(octets, body_top_cut(&body->top, octets));
        last = last || body->top.ended;
    }
    dot_encode(&body->encoder, octets, out);
    if (!last)
        return true;
    dot_encode_end(&body->encoder, out);
    if (body->kind == BODY_MESSAGE)
        fetch_forget(&session->fetch, body->next);
    *body = (struct body){0};
    return true;
}

/* One piece a call, whatever the kind: the caller sends it before it asks for more. */
bool body_write(struct session *session)
{
    struct buf *out = &session->worker->out;
    switch (session->body.kind) {
    case BODY_CAPA:
        return write_capabilities(session, out);
    case BODY_LIST:
    case BODY_UIDL:
        return write_listing(session, out);
    case BODY_MESSAGE:
    case BODY_TOP:
        return write_message(session, out);
    case BODY_NONE:
        break;
    }
    return true;
}
