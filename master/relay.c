/*
 * Why master rests between two looks into the pipe: a wake-up for each line would cost more than
 * the line. The first line after a pause goes on at once, those behind it a few milliseconds later,
 * all together.
 *
 * Master looks at line feeds and at nothing else: what it passes on is octets to it.
 */
#include "master/relay.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "util/base/log.h"
#include "util/base/panic.h"

enum {
    REST_MS = 5,
    READS_A_TURN = 16,  /* a child that never stops talking must not keep master from its work */
    PIPE_SIZE = 1 << 20 /* what unprivileged pipes may have: the lines of a hundred milliseconds */
};

/* Whole lines, at most PIPE_BUF octets of them; a line that is longer is none of ours and goes in
 * pieces. Empty: the rest of a line is still to come. */
static struct span next_group(struct span held)
{
    struct span most = span_first(held, PIPE_BUF);
    size_t last = span_find_last(most, '\n');
    if (last < most.len)
        return span_first(most, last + 1);
    return most.len == PIPE_BUF ? most : SPAN("");
}

/* What remains is moved to the front: less than a line. */
static void pass_on(struct relay *relay)
{
    struct span held = span_of(relay->octets, relay->held);
    struct span group;

    while ((group = next_group(held)).len > 0) {
        log_pass_on(group);
        held = span_skip(held, group.len);
    }
    memmove(relay->octets, held.data, held.len);
    relay->held = held.len;
}

/* Up to the end of what is there now, or of the patience. */
void relay_take(struct relay *relay)
{
    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t got = read(relay->out, relay->octets + relay->held, RELAY_BUFFER - relay->held);
        if (got <= 0)
            return;
        relay->held += (size_t)got;
        pass_on(relay);
    }
}

/* Level-triggered: unwatched while it rests. */
static void on_lines(void *arg, unsigned events)
{
    struct relay *relay = arg;
    (void)events;
    relay_take(relay);
    io_want(&relay->io, 0);
    timer_set(&relay->rest, REST_MS);
}

static void on_rested(void *arg)
{
    struct relay *relay = arg;
    io_want(&relay->io, IO_READ);
}

/* Both ends belong to master for good, so the pipe has no end before master's own. */
void relay_init(struct relay *relay, struct loop *loop)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        fatal(EX_OSERR, "no pipe for the log of children");
    /* A smaller one loses lines earlier, and says so. */
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
    relay->out = ends[0];
    relay->in = ends[1];
    timer_init(&relay->rest, loop, on_rested, relay);
    io_init(&relay->io, loop, relay->out, on_lines, relay);
    io_want(&relay->io, IO_READ);
}

/* Asked at each start of a child: a reload may have led the log elsewhere. */
int relay_log_of(const struct relay *relay, bool limited)
{
    struct stat status;
    bool to_file = fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode);
    return limited && to_file ? relay->in : STDERR_FILENO;
}

void relay_close(struct relay *relay)
{
    relay_take(relay);
    timer_cancel(&relay->rest);
    io_stop(&relay->io);
    (void)close(relay->out);
    (void)close(relay->in);
}
