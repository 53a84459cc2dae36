/*
 * Whole SMTP sessions against a worker in this process. Whatever a client sends: each line of each
 * reply is well-formed, what was taken can be read back from the segment, and no message holds a
 * bare CR or LF unless it was declared binary. The first octet says how it is sent: LF for a line
 * at a time, each answered before the next; else the length of the pieces, 0 for all at once.
 * WITHIN added: LMTP is spoken, by a client that is trusted as one and as a proxy.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/smtpd_rig.h"
#include "util/spool/record.h"

enum {
    QUIET_TURNS = 4,     /* nothing happened for so many: settled */
    COMMIT_TURNS = 2000, /* ms for the committer's thread */
    WITHIN = 0x80,       /* in the first octet */
    SEGMENTS_FRESH = 16, /* a new worker, once so many were used */
    SESSIONS_FRESH = 500 /* or once it served so many */
};

static struct rig *rig;
static unsigned sessions_served;

static struct rig *fresh_rig(struct rig *old)
{
    void *state = old;
    if (old != NULL)
        (void)rig_tear_down(&state);
    (void)rig_set_up(&state);
    return state;
}

/* A pause of the session is over at once. */
static bool skip_pause(struct session *session)
{
    if (session == NULL || session->wait != WAIT_PAUSE || !timer_is_set(&session->timer))
        return false;
    session->timer.expired(session->timer.arg);
    return true;
}

/* Turns until nothing happens any more; a letter on its way to the disk is waited for. */
static void settle(void)
{
    size_t waited = 0;
    for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
        size_t heard = buf_len(&rig->heard);
        struct session *session = LIST_FIRST(&rig->worker.sessions);
        bool committing = session != NULL && session->state == SESSION_COMMIT;
        loop_turn(rig->loop, committing ? 1 : 0);
        (void)rig_listen(rig);
        if (buf_len(&rig->heard) != heard || skip_pause(LIST_FIRST(&rig->worker.sessions)))
            quiet = 0;
        if (committing) {
            quiet = 0;
            require(++waited < COMMIT_TURNS);
        }
    }
}

static void say(struct span octets)
{
    while (octets.len > 0) {
        ssize_t sent = send(rig->client, octets.data, octets.len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return;
        octets = span_skip(octets, sent > 0 ? (size_t)sent : 0);
        settle();
        if (LIST_EMPTY(&rig->worker.sessions))
            return;
    }
}

static void say_lines(struct span octets)
{
    while (octets.len > 0) {
        size_t feed = span_find(octets, '\n');
        say(fuzz_take(&octets, feed + 1));
    }
}

static void say_pieces(struct span octets, size_t size)
{
    for (size_t piece = size > 0 ? size : octets.len; octets.len > 0;)
        say(fuzz_take(&octets, piece));
}

/* "250-text" or "250 text", printable (RFC 5321 §4.2). */
static void check_reply_line(struct span line)
{
    require(line.len >= 4 && line.len <= 510);
    require(line.data[0] >= '2' && line.data[0] <= '5');
    require(line.data[1] >= '0' && line.data[1] <= '5');
    require(line.data[2] >= '0' && line.data[2] <= '9');
    require(line.data[3] == ' ' || line.data[3] == '-');
    for (size_t i = 0; i < line.len; i++)
        require(line.data[i] >= ' ' && line.data[i] <= '~');
}

static void check_message(struct span message)
{
    for (size_t i = 0; i < message.len; i++) {
        if (message.data[i] == '\n')
            require(i > 0 && message.data[i - 1] == '\r');
        if (message.data[i] == '\r')
            require(i + 1 < message.len && message.data[i + 1] == '\n');
    }
}

/* What the client was promised lies in the segment that the id names. */
static void check_letter(struct span id_text)
{
    uint64_t id;
    require(spool_id_parse(id_text, &id));
    struct segment_view view = {.number = spool_id_number(id)};
    require(view.number > 0 && view.number <= rig->segment_count);
    view.fd = rig->segments[view.number - 1];

    struct arena arena = {0};
    struct record record;
    require(record_read(&view, spool_id_offset(id), &arena, &record) == RECORD_OK);
    require(record_check_body(&view, &record) == RECORD_OK);
    require(record.envelope.recipient_count > 0);
    size_t length = (size_t)record.header.body_len;
    char *body = arena_alloc(&arena, length + 1);
    require(record_read_body(&view, &record, 0, body, length) == (ssize_t)length);
    if ((record.header.flags & RECORD_FLAG_BINARY) == 0)
        check_message(span_of(body, length));
    arena_free(&arena);
}

static void check_heard(void)
{
    static const char queued[] = "250 2.0.0 Ok: queued as ";
    struct span rest = buf_span(&rig->heard);
    require(rest.len > 0);
    while (rest.len > 0) {
        size_t feed = span_find(rest, '\n');
        require(feed < rest.len && feed > 0 && rest.data[feed - 1] == '\r');
        struct span line = span_first(rest, feed - 1);
        rest = span_skip(rest, feed + 1);
        check_reply_line(line);
        if (span_has_prefix(line, SPAN(queued)))
            check_letter(span_skip(line, sizeof(queued) - 1));
    }
}

static void hang_up(void)
{
    (void)close(rig->client);
    rig->client = -1;
    for (int turns = 0; !LIST_EMPTY(&rig->worker.sessions); turns++) {
        struct session *session = LIST_FIRST(&rig->worker.sessions);
        loop_turn(rig->loop, session->state == SESSION_COMMIT ? 1 : 0);
        (void)skip_pause(LIST_FIRST(&rig->worker.sessions));
        require(turns < COMMIT_TURNS);
    }
    require(rig->worker.session_count == 0 && rig->worker.buffered == 0);
}

static void connect_client(bool within)
{
    rig->listener.service = within ? SERVICE_LMTP : SERVICE_SMTP;
    rig->conf->trusted_proxies = rig->conf->trusted_networks;
    rig_connect_from(rig, within ? "127.0.0.1" : "192.0.2.1");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    uint8_t manner = fuzz_octet(&input);
    if (rig == NULL || rig->segment_count > SEGMENTS_FRESH || ++sessions_served > SESSIONS_FRESH) {
        rig = fresh_rig(rig);
        sessions_served = 0;
    }
    connect_client(manner & WITHIN);
    settle();
    manner &= WITHIN - 1;
    if (manner == '\n')
        say_lines(input);
    else
        say_pieces(input, manner);
    settle();
    check_heard();
    hang_up();
    return 0;
}
