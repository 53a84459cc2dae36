/*
 * A process number from a file may by now belong to somebody else, so it is only believed when a
 * veredus-master has it, and a process is held by a pidfd from then on. The number behind a
 * connected socket comes from the kernel and needs no such care.
 */
#include "ctl/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/files.h"
#include "util/sys/seqpacket.h"

/* The path goes by way of the open directory: sun_path is short, directories may be long. */
int socket_connect(const struct conf *conf)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int directory = open(conf->run_directory.data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = directory < 0 ? -1 : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    /* errno must survive to the caller: it tells "not running" from "may not speak to it". */
    if (fd >= 0) {
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/master.sock",
                 directory);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
            int saved_errno = errno;
            close(fd);
            errno = saved_errno;
            fd = -1;
        }
    }
    if (directory >= 0) {
        int saved_errno = errno;
        close(directory);
        errno = saved_errno;
    }
    return fd;
}

/* Refusals are messages, a line each; everything else is the answer that was asked for. */
static void print_answer(struct ctl *ctl, const struct operator_answer *answer)
{
    struct span line, rest = answer->text;
    if (answer->ok) {
        fwrite(rest.data, 1, rest.len, ctl->streams.out);
        return;
    }
    while (span_next(&rest, '\n', &line))
        ctl_say(ctl, "%.*s", SPAN_ARG(line));
}

/* Prints the answers in one packet; false when it holds anything else. *last is the last one. */
static bool read_packet(struct ctl *ctl, struct span packet, struct operator_answer *last)
{
    struct ipc_cursor cursor = {.rest = packet};
    const struct ipc_type *type;
    struct span body;
    while ((type = ipc_next(&cursor, &body)) != NULL) {
        /* A master of another version may say what is not known here; that is no answer. */
        if (type != &ipc_operator_answer || !ipc_decode(type, body, last))
            return false;
        print_answer(ctl, last);
    }
    return !cursor.bad;
}

/* The socket is fresh, its buffer empty: one small packet always fits. */
static bool send_request(int fd, enum operator_request request)
{
    struct operator_ask ask = {.what = (uint8_t)request};
    struct buf packet = {0};
    bool sent = ipc_encode(&ipc_operator_ask, &ask, &packet) &&
                seqpacket_send(fd, buf_span(&packet).data, buf_len(&packet), NULL, 0) == 0;
    buf_free(&packet);
    return sent;
}

/* The wait is for silence, not for the whole: a long answer in many parts may take longer. */
enum socket_result socket_ask(struct ctl *ctl, int fd, enum operator_request request)
{
    char *packet = arena_alloc(&ctl->arena, SEQPACKET_MAX);
    struct operator_answer last = {.ok = 1, .more = 1};
    struct fd_list fds;
    size_t size;
    bool good = send_request(fd, request);
    while (good && last.more) {
        /* One packet may hold several answers, and one answer may come in several parts. */
        good = seqpacket_wait(fd, SOCKET_ANSWER_MS) &&
               seqpacket_receive(fd, packet, &size, &fds) == SEQPACKET_OK;
        if (good) {
            /* An answer carries no descriptors; those of a peer gone wild are not kept. */
            fd_list_close(&fds);
            good = read_packet(ctl, span_of(packet, size), &last);
        }
    }
    if (good)
        return last.ok ? SOCKET_OK : SOCKET_REFUSED;
    ctl_say(ctl, "the server did not answer; its log says why");
    return SOCKET_LOST;
}

/* The kernel says who listens there (SO_PEERCRED), whatever the file of its number says. */
int socket_master(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return -1;
    /* The kernel's number is that of the process that called listen(2): master itself. */
    return pidfd_open(peer.pid, 0);
}

/* True when the process runs the program of that name: "comm" holds its first 15 octets. */
static bool is_master(struct ctl *ctl, uint64_t pid)
{
    struct buf comm = {0};
    const char *path = arena_printf(&ctl->arena, "/proc/%llu/comm", (unsigned long long)pid).data;
    bool same = files_read(path, &comm) && span_equal(buf_span(&comm), SPAN("veredus-master\n"));
    buf_free(&comm);
    return same;
}

int socket_master_by_number(struct ctl *ctl)
{
    struct buf text = {0};
    struct span line;
    uint64_t pid = 0;
    int master = -1;
    const char *path =
        arena_printf(&ctl->arena, "%.*s/master.pid", SPAN_ARG(ctl->conf->run_directory)).data;
    if (files_read(path, &text)) {
        struct span rest = buf_span(&text);
        /* 0 and 1 are nobody to send a signal to, whatever a damaged file says. */
        if (span_next(&rest, '\n', &line) && span_to_u64(line, INT32_MAX, &pid) && pid > 1)
            master = pidfd_open((pid_t)pid, 0);
    }
    buf_free(&text);
    if (master >= 0 && !is_master(ctl, pid)) { /* looked at while the pidfd holds it */
        close(master);
        master = -1;
    }
    return master;
}
