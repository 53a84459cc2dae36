/*
 * The children note what they saw in counters, not gauges: those outlive a process. Started by
 * root, master runs as nobody, so that no system users are needed.
 */
#include "tests/unit/master_rig.h"

#include "tests/unit/local_address.h"
#include "util/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

/* ---- the children ---- */

/* True when the test made a file "WORD-ROLE" beside the configuration. */
static bool is_to(const char *word, const struct daemon *daemon)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/../%s-%s", daemon->conf->run_directory.data, word,
                   role_info(daemon->calls->role)->name);
    return access(path, F_OK) == 0;
}

/* "crash" fails at the start, "unlink" loses its qmgr after it, "recover" never has a queue to
 * show. */
static void child_prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    (void)sandbox;
    daemon->state = mem_new(sizeof(size_t));
    if (is_to("crash", daemon))
        exit(EX_SOFTWARE);
    if (is_to("unlink", daemon))
        daemon_peer_lost(daemon, ROLE_QMGR, 0);
    if (daemon->calls->role == ROLE_QMGR && !is_to("recover", daemon))
        page_queue_counted(daemon->page);
}

/* Counters, not gauges: they outlive a process. A ratchet is what TLS needs. */
static void child_start_serving(struct daemon *daemon)
{
    page_add(daemon->page, PAGE_REFUSED, (int64_t)daemon->listener_count);
    page_add(daemon->page, PAGE_LOGINS, daemon->key.len == MASTER_KEY);
    page_add(daemon->page, PAGE_TABLES, daemon->ratchet != NULL);
    if (role_info(daemon->calls->role)->receives)
        page_add(daemon->page, PAGE_RETRIEVED, (int64_t)daemon->page_count);
}

/* As the real mailbox does: whoever drains stays until nobody asks any more. */
struct asker {
    struct daemon *daemon;
    struct io io;
};

static void leave_when_alone(struct daemon *daemon)
{
    const size_t *askers = daemon->state;
    if (daemon->draining && *askers == 0)
        daemon_exit(daemon);
}

static void on_asker_gone(void *arg, unsigned events)
{
    struct asker *asker = arg;
    size_t *askers = asker->daemon->state;
    (void)events;
    io_stop(&asker->io);
    (*askers)--;
    leave_when_alone(asker->daemon);
}

static void child_peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    size_t *askers = daemon->state;
    (void)index;
    page_add(daemon->page, PAGE_CONNECTIONS, 1);
    if (role == ROLE_AUTH && role_info(daemon->calls->role)->receives)
        page_add(daemon->page,
                 daemon->calls->role == ROLE_SUBMISSION ? PAGE_LOOKUPS : PAGE_LOGIN_FAILURES, 1);
    if (daemon->calls->role != ROLE_MAILBOX || role != ROLE_POP3D)
        return;
    struct asker *asker = mem_new(sizeof(*asker));
    asker->daemon = daemon;
    (*askers)++;
    io_init(&asker->io, daemon->loop, fd, on_asker_gone, asker);
    io_want(&asker->io, IO_READ);
}

int rig_run_as_child(const char *role)
{
    static struct daemon_calls calls = {.prepare = child_prepare,
                                        .start = child_start_serving,
                                        .peer = child_peer,
                                        .drain = leave_when_alone};
    for (unsigned i = ROLE_LOOKUP; i < ROLE_COUNT; i++) {
        calls.role = (enum role)i;
        if (strcmp(role_info(calls.role)->name, role) == 0)
            return daemon_main(&calls);
    }
    return EX_USAGE;
}

/* ---- the stage ---- */

const char *rig_beneath(struct rig *rig, const char *name)
{
    return arena_printf(&rig->arena, "%s/%s", rig->directory, name).data;
}

static void give_away(const char *path)
{
    if (geteuid() == 0)
        assert_int_equal(chown(path, NOBODY, NOBODY), 0);
}

void rig_write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    give_away(path);
}

void rig_configure(struct rig *rig, const char *more)
{
    struct span text =
        arena_printf(&rig->arena,
                     "hostname = \"mx.example.test\"\ndomains = {\"example.test\"}\nworkers = 2\n"
                     "spool_directory = \"spool\"\nmail_root = \"mail\"\nrun_directory = \"run\"\n"
                     "listen \"mx\" {\n service = smtp\n address = \"127.0.0.1:%u\"\n}\n"
                     "listen \"pop\" {\n service = pop3\n address = \"127.0.0.1:%u\"\n}\n%s",
                     rig->smtp, rig->pop3, more);
    rig_write_file(rig->file, text.data);
}

void rig_loopback(unsigned port, union net_address *address)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    assert_true(net_parse_endpoint(span_cstr(text), address));
}

unsigned rig_free_port(void)
{
    union net_address address;
    rig_loopback(0, &address);
    int fd = net_listen(&address, 1);
    assert_true(fd >= 0 && local_address(fd, &address));
    (void)close(fd);
    return net_port(&address);
}

static void link_programs(struct rig *rig)
{
    char self[PATH_MAX] = {0};
    assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    for (unsigned role = ROLE_LOOKUP; role < ROLE_COUNT; role++)
        /* Some programs serve two roles. */
        assert_true(symlink(self, rig_beneath(rig, role_info((enum role)role)->program)) == 0 ||
                    errno == EEXIST);
}

int rig_set_up(void **state)
{
    struct rig *rig = mem_new(sizeof(*rig));
    char path[] = "/tmp/veredus-master-XXXXXX";
    assert_non_null(mkdtemp(path));
    give_away(path);
    rig->directory = arena_copy(&rig->arena, span_cstr(path)).data;
    rig->file = rig_beneath(rig, "veredus.conf");
    rig->smtp = rig_free_port();
    rig->pop3 = rig_free_port();
    rig->output = -1;
    link_programs(rig);
    rig_configure(rig, "");
    *state = rig;
    return 0;
}

/* Master is told to end, if it has not; its children follow it. */
int rig_tear_down(void **state)
{
    struct rig *rig = *state;
    if (rig->master > 0) {
        (void)kill(rig->master, SIGTERM);
        (void)waitpid(rig->master, NULL, 0);
    }
    if (rig->output >= 0)
        (void)close(rig->output);
    assert_int_equal(system(arena_printf(&rig->arena, "rm -rf '%s'", rig->directory).data), 0);
    arena_free(&rig->arena);
    mem_free(rig);
    return 0;
}

static void become_master(const struct rig *rig, int output)
{
    const gid_t group = NOBODY;
    if (geteuid() == 0 && (setgroups(1, &group) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
                           setresuid(NOBODY, NOBODY, NOBODY) != 0))
        _exit(EX_OSERR);
    if (dup2(output, STDOUT_FILENO) < 0 || freopen("/dev/null", "w", stderr) == NULL)
        _exit(EX_OSERR);
    _exit(master_run(rig->file, rig->directory));
}

/* Another master on the same stage; its pid, its standard output in *output. */
pid_t rig_launch(const struct rig *rig, int *output)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        become_master(rig, ends[1]);
    (void)close(ends[1]);
    *output = ends[0];
    return pid;
}

int rig_exit_code(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void wait_until_ready(struct rig *rig)
{
    char line[16] = {0};
    struct pollfd watched = {.fd = rig->output, .events = POLLIN};
    assert_int_equal(poll(&watched, 1, DEADLINE_MS), 1);
    assert_true(read(rig->output, line, sizeof(line) - 1) > 0);
    assert_string_equal(line, "ready\n");
}

void rig_start(struct rig *rig)
{
    rig->master = rig_launch(rig, &rig->output);
    wait_until_ready(rig);
}

int rig_end_of_master(struct rig *rig)
{
    int code = rig_exit_code(rig->master);
    rig->master = 0;
    return code;
}

/* ---- the operator ---- */

int rig_connect_operator(struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/master.sock", rig->directory);
    assert_true(length > 0 && (size_t)length < sizeof(address.sun_path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Adds the answers of one packet; true when there are more to come. */
static bool add_answers(struct span packet, struct buf *text, bool *ok)
{
    struct ipc_cursor cursor = {.rest = packet};
    struct operator_answer answer = {0};
    struct span body;
    while (ipc_next(&cursor, &body) == &ipc_operator_answer) {
        assert_true(ipc_decode(&ipc_operator_answer, body, &answer));
        buf_add(text, answer.text);
        *ok = answer.ok;
    }
    return answer.more;
}

/* Asks and gathers the answer; the text lives as long as the rig. */
struct span rig_ask(struct rig *rig, enum operator_request what, bool *ok)
{
    static char packet[SEQPACKET_MAX];
    struct buf frame = {0}, text = {0};
    struct fd_list fds;
    size_t size;
    bool more = true;
    int fd = rig_connect_operator(rig);

    assert_true(
        ipc_encode(&ipc_operator_ask, &(struct operator_ask){.what = (uint8_t)what}, &frame));
    assert_int_equal(seqpacket_send(fd, buf_span(&frame).data, buf_len(&frame), NULL, 0), 0);
    while (more) {
        assert_true(seqpacket_wait(fd, DEADLINE_MS));
        assert_int_equal(seqpacket_receive(fd, packet, &size, &fds), SEQPACKET_OK);
        more = add_answers(span_of(packet, size), &text, ok);
    }
    struct span copy = arena_copy(&rig->arena, buf_span(&text));
    buf_free(&frame);
    buf_free(&text);
    (void)close(fd);
    return copy;
}

struct span rig_status(struct rig *rig)
{
    bool ok;
    struct span text = rig_ask(rig, OPERATOR_STATUS, &ok);
    assert_true(ok);
    return text;
}

bool rig_contains(struct span text, const char *part)
{
    return strstr(text.data, part) != NULL && text.len > 0;
}

/* The number behind "NAME ". */
long rig_value(struct span text, const char *name)
{
    struct span line;
    while (span_next(&text, '\n', &line)) {
        struct span word;
        if (span_next(&line, ' ', &word) && span_equal(word, span_cstr(name)))
            return strtol(line.data, NULL, 10);
    }
    return -1;
}

long rig_pid_of(struct span text, const char *role_and_index)
{
    char prefix[64];
    (void)snprintf(prefix, sizeof(prefix), "child %s ", role_and_index);
    const char *at = strstr(text.data, prefix);
    return at == NULL ? -1 : strtol(at + strlen(prefix), NULL, 10);
}

unsigned rig_count_of(struct span text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text.data; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

/* Asks until the status satisfies `wanted`. */
struct span rig_wait_for_status(struct rig *rig, bool (*wanted)(struct span text, long argument),
                                long argument)
{
    int64_t deadline = clock_ms() + DEADLINE_MS;
    while (clock_ms() < deadline) {
        struct span text = rig_status(rig);
        if (wanted(text, argument))
            return text;
        (void)poll(NULL, 0, STEP_MS);
    }
    fail_msg("the status never became as wanted: %s", rig_status(rig).data);
    return SPAN("");
}

bool rig_can_connect(unsigned port)
{
    union net_address address;
    rig_loopback(port, &address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool good = connect(fd, &address.any, sizeof(address.v4)) == 0;
    (void)close(fd);
    return good;
}
