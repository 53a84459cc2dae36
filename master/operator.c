/*
 * Why the socket is reached through /proc/self/fd: the name of a UNIX socket holds 107 octets, and
 * a run directory may be deeper than that.
 */
#include "master/operator.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/master.h"
#include "master/reload.h"
#include "master/status.h"

/* Octets of text in one message, well below what a packet holds; connections waiting for
 * accept. */
enum { ANSWER_PART = 2048, BACKLOG = 16 };

static const char socket_name[] = "master.sock";

/* ---- answers ---- */

/* The next part of an answer: whole lines if they fit. */
static struct span next_part(struct span text)
{
    struct span part = span_first(text, ANSWER_PART);
    size_t end = span_find_last(part, '\n');
    /* A line longer than a part is cut: better in two pieces than not at all. */
    return part.len < text.len && end < part.len ? span_first(part, end + 1) : part;
}

/* An empty text is still one message, for the asker waits for the one that says it is the last. */
static void answer(struct channel *channel, bool ok, struct span text)
{
    bool more = true;

    while (more) {
        struct span part = next_part(text);
        text = span_skip(text, part.len);
        more = text.len > 0;
        const struct operator_answer message = {.ok = ok, .more = more, .text = part};
        /* One who hung up gets no further parts. */
        more = channel_send(channel, &ipc_operator_answer, &message, NULL) && more;
    }
}

/* An octet that stands for no request gets no answer. */
static void serve(struct master *master, struct channel *channel, uint8_t what)
{
    struct buf text = {0};
    bool good;

    switch ((enum operator_request)what) {
    case OPERATOR_STATUS:
        status_write(master, &text);
        answer(channel, true, buf_span(&text));
        break;
    case OPERATOR_RELOAD:
        good = reload(master, &text);
        answer(channel, good, buf_span(&text));
        break;
    case OPERATOR_STOP:
        answer(channel, true, SPAN("stopping\n"));
        /* At once, since stopping may end the loop before it comes to write. */
        channel_flush(channel);
        master_stop(master);
        break;
    }
    buf_free(&text);
}

/* ---- connections ---- */

/* The order of the connections is that of their age; closing the gap keeps it. */
static void hang_up(struct operators *operators, struct channel *channel)
{
    for (size_t i = 0; i < operators->count; i++) {
        if (operators->connections[i] != channel)
            continue;
        operators->count--;
        memmove(&operators->connections[i], &operators->connections[i + 1],
                (operators->count - i) * sizeof(struct channel *));
        channel_free(channel);
        return;
    }
}

/* May free the channel that it was called for: nothing is touched after that. */
static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct master *master = arg;
    const struct operator_ask *ask = message;
    (void)fds;

    if (type == &ipc_operator_ask)
        serve(master, channel, ask->what);
    else
        hang_up(&master->operators, channel);
}

static void on_closed(void *arg, struct channel *channel)
{
    struct master *master = arg;
    hang_up(&master->operators, channel);
}

/* The newest is always let in. An asker that hangs can therefore not lock the operator out. */
static void on_connection(void *arg, int fd, const union net_address *asker)
{
    struct master *master = arg;
    struct operators *operators = &master->operators;
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = master};
    (void)asker;

    if (operators->count == OPERATOR_CONNECTIONS)
        hang_up(operators, operators->connections[0]);
    operators->connections[operators->count++] = channel_new(master->loop, fd, &calls);
}

/* ---- the socket ---- */

/* The lock on the run directory is held, so a socket that lies there is what a crash left. The
 * umask makes the socket 0600 at its birth: a chmod later would leave a gap. */
static bool bind_and_listen(int fd, int directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t before = umask(S_IXUSR | S_IRWXG | S_IRWXO);

    (void)unlinkat(directory, socket_name, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory,
                   socket_name);
    bool bound = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    int problem = errno;
    (void)umask(before);
    errno = problem;
    return bound && listen(fd, BACKLOG) == 0;
}

/* Nothing is kept unless all of it worked; errno says what did not. */
bool operators_open(struct master *master)
{
    const struct acceptor_calls calls = {.connection = on_connection, .arg = master};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || !bind_and_listen(fd, master->locks.run_directory)) {
        int problem = errno;
        if (fd >= 0)
            (void)close(fd);
        errno = problem;
        return false;
    }
    acceptor_open(&master->operators.acceptor, master->loop, fd, &calls);
    return true;
}

void operators_close(struct master *master)
{
    struct operators *operators = &master->operators;

    while (operators->count > 0)
        hang_up(operators, operators->connections[0]);
    /* No new asker from here; the name goes last, while the lock is still held. */
    acceptor_close(&operators->acceptor);
    (void)unlinkat(master->locks.run_directory, socket_name, 0);
}
