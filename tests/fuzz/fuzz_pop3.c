/*
 * Whole POP3 sessions against a worker in this process, with an auth and a mailbox that are played.
 * Whatever a client sends: what it hears are status lines and bodies that end in a dot line, and
 * when it is gone nothing of it is left. The first octet: LF for a line at a time, each answered
 * before the next; odd: logged in already; else 0 for all at once or the length of the pieces.
 */
#include <sys/socket.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/pop3d_rig.h"

enum { SESSIONS_FRESH = 500 };

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

/* A server that has closed hears nothing more; the rest of the input is for nobody. */
static bool say(struct span octets)
{
    ssize_t sent = send(rig->client, octets.data, octets.len, MSG_NOSIGNAL);
    rig_settle(rig);
    return sent == (ssize_t)octets.len && !rig->closed;
}

static void say_lines(struct span octets)
{
    while (octets.len > 0 && say(fuzz_take(&octets, span_find(octets, '\n') + 1)))
        ;
}

static void say_pieces(struct span octets, size_t size)
{
    size_t piece = size > 0 ? size : octets.len;
    while (octets.len > 0 && say(fuzz_take(&octets, piece)))
        ;
}

/* Lines end in CR LF, and each is a status line or one of a body (RFC 1939 §3). */
static void check_heard(struct span heard)
{
    require(heard.len > 0);
    bool in_body = false;
    while (heard.len > 0) {
        size_t feed = span_find(heard, '\n');
        require(feed < heard.len && feed > 0 && heard.data[feed - 1] == '\r');
        struct span line = span_first(heard, feed - 1);
        heard = span_skip(heard, feed + 1);
        bool status = span_has_prefix(line, SPAN("+OK")) || span_has_prefix(line, SPAN("-ERR"));
        if (span_equal(line, SPAN(".")))
            in_body = false;
        else if (status)
            require(line.len <= 510);
        else
            in_body = true;
    }
    require(!in_body);
}

static void start(uint8_t manner)
{
    if (rig == NULL || ++sessions_served > SESSIONS_FRESH) {
        rig = fresh_rig(rig);
        sessions_served = 0;
    }
    rig_forget(rig);
    rig_connect(rig, "127.0.0.1");
    if (manner & 1)
        rig_log_in(rig);
}

static void hang_up(void)
{
    rig_hang_up(rig);
    for (int turns = 0; rig->worker.session_count > 0; turns++) {
        rig_settle(rig);
        require(turns < 100);
    }
    require(rig->lock < 0 || rig_lock_is_free(rig));
    if (rig->lock >= 0)
        (void)close(rig->lock);
    rig->lock = -1;
    buf_reset(&rig->deleted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    uint8_t manner = fuzz_octet(&input);
    start(manner);
    if (manner == '\n')
        say_lines(input);
    else
        say_pieces(input, manner);
    rig_settle(rig);
    if (buf_len(&rig->heard) > 0)
        check_heard(buf_span(&rig->heard));
    hang_up();
    return 0;
}
