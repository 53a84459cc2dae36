/*
 * Started by root, the child becomes nobody first, as the daemons never serve as root; its standard
 * error goes away, since what it logs is no part of these tests.
 */
#include "daemon_rig.h"

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

enum { BUFFER = 1 << 18, NOBODY = 65534, FAR = 50 };

/* In its sandbox the process can not do what a leak detector does at exit: no code but its own. */
static void leave(int status, void *arg)
{
    (void)arg;
    _exit(status);
}

static void become_child(int control, const struct daemon_calls *calls)
{
    const gid_t group = NOBODY;
    if (geteuid() == 0 && (setgroups(1, &group) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
                           setresuid(NOBODY, NOBODY, NOBODY) != 0))
        _exit(EX_OSERR);
    if (on_exit(leave, NULL) != 0 || freopen("/dev/null", "w", stderr) == NULL ||
        dup2(control, DAEMON_CONTROL_FD) < 0)
        _exit(EX_OSERR);
    _exit(daemon_main(calls));
}

/* The child's half lies far from 0-3, so that it can be put to its place. */
static void spawn(struct daemon_rig *rig, const struct daemon_calls *calls)
{
    int pair[2];
    assert_true(seqpacket_pair(pair, BUFFER));
    int far = fcntl(pair[1], F_DUPFD_CLOEXEC, FAR);
    assert_true(far >= 0);
    (void)fflush(NULL);
    rig->pid = fork();
    assert_true(rig->pid >= 0);
    if (rig->pid == 0)
        become_child(far, calls);
    (void)close(far);
    (void)close(pair[1]);
    rig->control = pair[0];
}

static void send_with(int socket, const struct ipc_type *type, const void *message, const int *fds)
{
    struct buf frame = {0};
    assert_true(ipc_encode(type, message, &frame));
    assert_int_equal(seqpacket_send(socket, buf_span(&frame).data, buf_len(&frame), fds, type->fds),
                     0);
    buf_free(&frame);
}

void daemon_rig_send(int peer, const struct ipc_type *type, const void *message)
{
    send_with(peer, type, message, NULL);
}

static void tell_config(struct daemon_rig *rig, const char *text)
{
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    send_with(rig->control, &ipc_control_config,
              &(struct control_config){.name = SPAN("/etc/veredus.conf")}, &fd);
    (void)close(fd);
}

static void tell_page(struct daemon_rig *rig, enum role role)
{
    int fd = page_create();
    assert_true(fd >= 0);
    rig->page = page_map(fd, true);
    assert_non_null(rig->page);
    send_with(rig->control, &ipc_control_page,
              &(struct control_page){.role = (uint8_t)role, .own = 1}, &fd);
    (void)close(fd);
}

void daemon_rig_begin(struct daemon_rig *rig, const struct daemon_calls *calls, const char *text)
{
    struct control_ready ready;

    spawn(rig, calls);
    tell_config(rig, text);
    tell_page(rig, calls->role);
    daemon_rig_send(rig->control, &ipc_control_key, &(struct control_key){.key = DAEMON_RIG_KEY});
    daemon_rig_send(rig->control, &ipc_control_start, &(struct control_start){.generation = 1});
    daemon_rig_receive(rig, rig->control, &ipc_control_ready, &ready);
}

void daemon_rig_end(struct daemon_rig *rig)
{
    if (rig->pid > 0) {
        (void)kill(rig->pid, SIGKILL);
        (void)waitpid(rig->pid, NULL, 0);
    }
    (void)close(rig->control);
    page_unmap(rig->page);
}

int daemon_rig_peer(struct daemon_rig *rig, enum role role)
{
    int pair[2];
    assert_true(seqpacket_pair(pair, BUFFER));
    send_with(rig->control, &ipc_control_peer, &(struct control_peer){.role = (uint8_t)role},
              &pair[1]);
    (void)close(pair[1]);
    return pair[0];
}

static void next_packet(struct daemon_rig *rig, int peer)
{
    struct fd_list fds = {0};
    size_t size = 0;
    assert_true(seqpacket_wait(peer, DAEMON_RIG_DEADLINE_MS));
    assert_int_equal(seqpacket_receive(peer, rig->packet, &size, &fds), SEQPACKET_OK);
    rig->cursor = (struct ipc_cursor){.rest = span_of(rig->packet, size)};
}

void daemon_rig_receive(struct daemon_rig *rig, int peer, const struct ipc_type *type,
                        void *message)
{
    struct span body;
    if (rig->cursor.rest.len == 0)
        next_packet(rig, peer);
    assert_ptr_equal(ipc_next(&rig->cursor, &body), type);
    assert_true(ipc_decode(type, body, message));
}

bool daemon_rig_is_hung_up(int peer)
{
    static char packet[SEQPACKET_MAX];
    struct fd_list fds = {0};
    size_t size;
    assert_true(seqpacket_wait(peer, DAEMON_RIG_DEADLINE_MS));
    return seqpacket_receive(peer, packet, &size, &fds) == SEQPACKET_CLOSED;
}

/* One that hangs is ended by the alarm's default, and the test with it. */
int daemon_rig_drain(struct daemon_rig *rig)
{
    int status = 0;
    daemon_rig_send(rig->control, &ipc_control_drain, &(struct control_drain){0});
    (void)alarm(DAEMON_RIG_DEADLINE_MS / 1000);
    assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
    (void)alarm(0);
    rig->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
