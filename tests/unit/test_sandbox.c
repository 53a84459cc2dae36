/*
 * Every attempt is made by a child of its own that has entered the sandbox of a role: a call that
 * is not allowed may kill. The table says which roles may; all others must fail, in the way of the
 * build: SIGSYS in release, EPERM under sanitizers, EACCES where Landlock or a polite refusal is
 * first.
 */
#include "tests/unit/local_address.h"
#include "util/base/clock.h"
#include "util/sys/net.h"
#include "util/sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 65536 };

/* What the children find: made once, before any of them. */
static struct scene {
    char root[32];
    int root_fd;
    int file; /* writable: what a segment is to smtpd */
    int listener;
    int tcp;     /* not connected */
    int pair[2]; /* a stream to sendfile into */
    pid_t parent;
    union net_address address; /* of the listener */
} scene;

/* ---- attempts: 0 or errno ---- */

static int result(long value)
{
    return value < 0 ? errno : 0;
}

static int try_open_readable(void)
{
    return result(openat(scene.root_fd, "readable/file", O_RDONLY));
}

static int try_open_elsewhere(void)
{
    return result(openat(scene.root_fd, "secret", O_RDONLY));
}

static int try_open_password_file(void)
{
    return result(open("/etc/passwd", O_RDONLY));
}

static int try_open_for_writing(void)
{
    return result(openat(scene.root_fd, "writable/file", O_WRONLY));
}

static int try_create_file(void)
{
    return result(openat(scene.root_fd, "writable/new", O_WRONLY | O_CREAT, 0600));
}

static int try_create_elsewhere(void)
{
    return result(openat(scene.root_fd, "readable/new", O_WRONLY | O_CREAT, 0600));
}

static int try_openat2(void)
{
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
    return result(syscall(SYS_openat2, scene.root_fd, "writable/file", &how, sizeof(how)));
}

static int try_rename_across(void)
{
    int error = result(mkdirat(scene.root_fd, "writable/sub", 0700));
    if (error != 0 && error != EEXIST)
        return error;
    int fd = openat(scene.root_fd, "writable/moving", O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        return errno;
    return result(renameat(scene.root_fd, "writable/moving", scene.root_fd, "writable/sub/moved"));
}

static int try_unlink(void)
{
    int error = result(unlinkat(scene.root_fd, "writable/none", 0));
    return error == ENOENT ? 0 : error;
}

static int try_execve(void)
{
    char *arguments[] = {(char *)"true", NULL};
    return result(execve("/bin/true", arguments, arguments + 1));
}

static int try_execveat(void)
{
    char *arguments[] = {(char *)"true", NULL};
    return result(syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, arguments + 1, 0));
}

static int try_fork(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0UL);
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int try_ptrace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_kill_parent(void)
{
    return result(kill(scene.parent, 0));
}

static int try_ftruncate(void)
{
    return result(ftruncate(scene.file, 100));
}

static int try_fchmod(void)
{
    return result(fchmod(scene.file, 0600));
}

static int try_link(void)
{
    return result(linkat(scene.root_fd, "writable/file", scene.root_fd, "writable/link", 0));
}

static int try_symlink(void)
{
    return result(symlinkat("file", scene.root_fd, "writable/symlink"));
}

static int try_remove_directory(void)
{
    return result(syscall(SYS_rmdir, "/nowhere"));
}

static int try_change_times(void)
{
    return result(futimens(scene.file, NULL));
}

static int try_copy_range(void)
{
    off_t from = 0, to = 100;
    return result(copy_file_range(scene.file, &from, scene.file, &to, 1, 0));
}

static int try_advise(void)
{
    return posix_fadvise(scene.file, 0, 0, POSIX_FADV_SEQUENTIAL);
}

static int try_change_directory(void)
{
    return result(fchdir(scene.root_fd));
}

static int try_lock(void)
{
    return result(flock(scene.file, LOCK_EX | LOCK_NB));
}

static int try_unlock(void)
{
    return result(flock(scene.file, LOCK_UN));
}

static int try_lock_range(void)
{
    struct flock range = {.l_type = F_WRLCK, .l_len = 1};
    return result(fcntl(scene.file, F_OFD_SETLK, &range));
}

static int try_begin_writing(void)
{
    return result(sync_file_range(scene.file, 0, 0, SYNC_FILE_RANGE_WRITE));
}

static int try_list_directory(void)
{
    char entries[4096];
    int fd = openat(scene.root_fd, "readable", O_RDONLY | O_DIRECTORY);
    return fd < 0 ? errno : result(syscall(SYS_getdents64, fd, entries, sizeof(entries)));
}

static int try_fallocate(void)
{
    return result(fallocate(scene.file, FALLOC_FL_KEEP_SIZE, 0, 100));
}

static int try_pwritev(void)
{
    struct iovec part = {.iov_base = (void *)"x", .iov_len = 1};
    return result(pwritev(scene.file, &part, 1, 0));
}

static int try_pwritev2(void)
{
    struct iovec part = {.iov_base = (void *)"x", .iov_len = 1};
    return result(syscall(SYS_pwritev2, scene.file, &part, 1UL, 0L, 0L, RWF_DSYNC));
}

static int try_fdatasync(void)
{
    return result(fdatasync(scene.file));
}

static int try_setfl(void)
{
    return result(fcntl(scene.file, F_SETFL, O_NONBLOCK));
}

/* The kernel reads the lower half of the command alone. */
static int try_setfl_in_disguise(void)
{
    return result(syscall(SYS_fcntl, scene.file, (1UL << 32) | F_SETFL, O_NONBLOCK));
}

static int try_getfl(void)
{
    return result(fcntl(scene.file, F_GETFL));
}

static int try_socket_unix(void)
{
    return result(socket(AF_UNIX, SOCK_DGRAM, 0));
}

static int try_socket_netlink(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_socket_inet(void)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}

/* The socket is everybody's: the next one finds it as it was. */
static int try_connect(void)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    int outcome = result(connect(scene.tcp, &scene.address.any, sizeof(scene.address.v4)));
    return outcome != 0 ? outcome : result(connect(scene.tcp, &nobody, sizeof(nobody)));
}

/* The next port: whether anybody listens there is not asked first. */
static int try_connect_elsewhere(void)
{
    union net_address address = scene.address;
    address.v4.sin_port = htons((uint16_t)(net_port(&address) ^ 1));
    return result(connect(scene.tcp, &address.any, sizeof(address.v4)));
}

static int try_bind(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    return result(bind(scene.tcp, (struct sockaddr *)&any, sizeof(any)));
}

static int try_accept(void)
{
    union net_address peer;
    int error = result(net_accept(scene.listener, &peer));
    return error == EAGAIN ? 0 : error;
}

static int try_sendfile(void)
{
    off_t offset = 0;
    return result(sendfile(scene.pair[0], scene.file, &offset, 1));
}

static int try_memfd(void)
{
    return result(memfd_create("list", MFD_CLOEXEC));
}

static int try_map_memory(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : 0;
}

static int try_map_executable(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : 0;
}

static int try_make_executable(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return result(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

static int try_setuid(void)
{
    return result(setuid(getuid()));
}

static int try_raise_priority(void)
{
    return result(setpriority(PRIO_PROCESS, 0, 10));
}

static void *in_thread(void *arg)
{
    *(int *)arg = (int)(clock_ms() > 0);
    return malloc(100);
}

static int try_thread(void)
{
    pthread_t thread;
    int ran = 0;
    void *memory = NULL;
    int error = pthread_create(&thread, NULL, in_thread, &ran);
    if (error != 0)
        return error;
    error = pthread_join(thread, &memory);
    free(memory);
    return error != 0 || ran == 1 ? error : ECHILD;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 1);
}

/* qsort(3) of more than a kilobyte asks how much memory there is. */
static int try_sort(void)
{
    static char octets[8192];
    octets[0] = 1;
    qsort(octets, sizeof(octets), 1, compare);
    return octets[8191] == 1 ? 0 : ECANCELED;
}

/* ---- who may ---- */

#define OF(role) (1U << (role))
enum {
    RECEIVERS = OF(ROLE_SMTPD) | OF(ROLE_SUBMISSION),
    SERVERS = RECEIVERS | OF(ROLE_POP3D),
    READERS = OF(ROLE_LOOKUP) | OF(ROLE_AUTH),
    OWNERS = OF(ROLE_QMGR) | OF(ROLE_DELIVER) | OF(ROLE_MAILBOX),
    ALL = SERVERS | READERS | OWNERS,
    NONE = 0
};

static struct attempt {
    const char *name;
    int (*run)(void);
    unsigned allowed; /* bit set of roles */
} attempts[] = {
    {"file readers open files in readable directories", try_open_readable, READERS | OWNERS},
    {"nobody opens a file outside the listed directories", try_open_elsewhere, NONE},
    {"nobody opens the password file", try_open_password_file, NONE},
    {"file owners open files for writing", try_open_for_writing, OWNERS},
    {"file owners create files", try_create_file, OWNERS},
    {"nobody creates files in readable directories", try_create_elsewhere, NONE},
    {"local alone opens beneath a directory", try_openat2, OF(ROLE_DELIVER) | OF(ROLE_MAILBOX)},
    {"file owners rename from one directory to another", try_rename_across, OWNERS},
    {"file owners unlink", try_unlink, OWNERS},
    {"nobody executes", try_execve, NONE},
    {"nobody executes by descriptor", try_execveat, NONE},
    {"nobody forks", try_fork, NONE},
    {"nobody traces", try_ptrace, NONE},
    {"nobody signals others", try_kill_parent, NONE},
    {"nobody truncates", try_ftruncate, NONE},
    {"nobody changes modes", try_fchmod, NONE},
    {"nobody makes links", try_link, NONE},
    {"nobody makes symbolic links", try_symlink, NONE},
    {"nobody removes directories", try_remove_directory, NONE},
    {"nobody changes times", try_change_times, NONE},
    {"nobody copies from file to file", try_copy_range, NONE},
    {"nobody advises", try_advise, NONE},
    {"nobody changes the directory", try_change_directory, NONE},
    {"file readers list directories", try_list_directory, READERS | OWNERS},
    {"file readers and owners lock files", try_lock, READERS | OWNERS},
    {"pop3d unlocks them, too", try_unlock, READERS | OWNERS | OF(ROLE_POP3D)},
    {"qmgr alone locks ranges", try_lock_range, OF(ROLE_QMGR)},
    {"local alone begins to write", try_begin_writing, OF(ROLE_DELIVER) | OF(ROLE_MAILBOX)},
    {"qmgr alone allocates and punches", try_fallocate, OF(ROLE_QMGR)},
    {"who receives mail and qmgr write at an offset", try_pwritev, OF(ROLE_QMGR) | RECEIVERS},
    {"nobody writes with flags", try_pwritev2, NONE},
    {"who receives mail and qmgr sync data", try_fdatasync, OF(ROLE_QMGR) | RECEIVERS},
    {"nobody changes the flags of a descriptor", try_setfl, NONE},
    {"a command with its upper half set is no way around", try_setfl_in_disguise, NONE},
    {"everybody reads the flags of a descriptor", try_getfl, ALL},
    {"nobody makes a UNIX socket", try_socket_unix, NONE},
    {"nobody makes a netlink socket", try_socket_netlink, NONE},
    {"those who receive mail alone make Internet sockets", try_socket_inet, RECEIVERS},
    {"those who receive mail alone connect", try_connect, RECEIVERS},
    {"nobody connects to other ports", try_connect_elsewhere, NONE},
    {"nobody binds", try_bind, NONE},
    {"servers alone accept connections", try_accept, SERVERS},
    {"nobody sends files", try_sendfile, NONE},
    {"mailbox alone makes memory files", try_memfd, OF(ROLE_MAILBOX)},
    {"everybody gets memory", try_map_memory, ALL},
    {"nobody maps executable memory", try_map_executable, NONE},
    {"nobody makes memory executable", try_make_executable, NONE},
    {"nobody changes the user", try_setuid, NONE},
    {"auth alone lowers its priority", try_raise_priority, OF(ROLE_AUTH)},
    {"everybody starts threads", try_thread, ALL},
    {"everybody sorts", try_sort, ALL},
};

enum { ATTEMPTS = sizeof(attempts) / sizeof(attempts[0]) };

/* ---- children ---- */

static void enter(enum role role)
{
    static char readable[64];
    static char writable[64];
    (void)snprintf(readable, sizeof(readable), "%s/readable", scene.root);
    (void)snprintf(writable, sizeof(writable), "%s/writable", scene.root);
    struct sandbox sandbox = {.role = role, .file_size_limit = LIMIT};
    if (!sandbox_opens_nothing(role))
        sandbox.readable[0] = readable;
    if (OWNERS & OF(role))
        sandbox.writable[0] = writable;
    sandbox.ports[0] = net_port(&scene.address);
    sandbox_enter(&sandbox);
}

/* The wait status of a child that ran `run` as `role` and exits with what it returned. */
static int status_of(enum role role, int (*run)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        enter(role);
        _exit(run());
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool is_denied(int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS;
    int error = WEXITSTATUS(status);
    return error == EPERM || error == EACCES;
}

static void describe(const char *what, enum role role, int status)
{
    if (WIFSIGNALED(status))
        print_message("    %s, %s: signal %d\n", what, role_info(role)->name, WTERMSIG(status));
    else
        print_message("    %s, %s: %s\n", what, role_info(role)->name,
                      strerrordesc_np(WEXITSTATUS(status)));
}

static void test_attempt(void **state)
{
    const struct attempt *attempt = *state;
    bool right = true;
    for (enum role role = ROLE_LOOKUP; role < ROLE_COUNT; role++) {
        int status = status_of(role, attempt->run);
        bool expected = (attempt->allowed & OF(role)) ? status == 0 : is_denied(status);
        if (!expected || getenv("SHOW_OUTCOMES") != NULL)
            describe(attempt->name, role, status);
        right = right && expected;
    }
    assert_true(right);
}

static int write_past_limit(void)
{
    return result(pwrite(scene.file, "x", 1, LIMIT));
}

static void test_writing_past_the_size_limit_fails_and_does_not_kill(void **state)
{
    (void)state;
    int status = status_of(ROLE_SMTPD, write_past_limit);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EFBIG);
}

static int give_up(void)
{
    abort();
}

static void test_abort_ends_every_role_with_its_own_signal(void **state)
{
    (void)state;
    for (enum role role = ROLE_LOOKUP; role < ROLE_COUNT; role++) {
        int status = status_of(role, give_up);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

static int missing_directory(void)
{
    struct sandbox sandbox = {.role = ROLE_LOOKUP, .readable = {"/nonexistent-directory"}};
    sandbox_enter(&sandbox);
    return 0;
}

static void test_a_missing_directory_is_fatal(void **state)
{
    (void)state;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(missing_directory());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 0);
}

/* In a child: 1 when `/` and the working directory are the scene, in which "secret" lies. */
static int is_shut_in(enum role role, const char *directory)
{
    const struct sandbox sandbox = {.role = role};
    sandbox_chroot(&sandbox, directory);
    bool root = access("/secret", F_OK) == 0, working = access("secret", F_OK) == 0;
    return root && working ? 1 : root || working ? 2 : 0;
}

static int shut_in_status(enum role role, const char *directory)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(is_shut_in(role, directory));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_root_shuts_the_servers_alone_into_the_empty_directory(void **state)
{
    (void)state;
    for (enum role role = ROLE_LOOKUP; role < ROLE_COUNT; role++)
        assert_int_equal(shut_in_status(role, scene.root),
                         geteuid() == 0 && (SERVERS & OF(role)) != 0);
}

static void test_without_an_empty_directory_nobody_is_shut_in(void **state)
{
    (void)state;
    assert_int_equal(shut_in_status(ROLE_SMTPD, NULL), 0);
}

static void test_an_empty_directory_that_is_missing_is_fatal_to_root(void **state)
{
    (void)state;
    assert_int_equal(shut_in_status(ROLE_SMTPD, "/nonexistent-directory"),
                     geteuid() == 0 ? EX_OSERR : 0);
}

static void test_roles_that_open_nothing_are_the_servers(void **state)
{
    (void)state;
    for (enum role role = ROLE_LOOKUP; role < ROLE_COUNT; role++)
        assert_int_equal(sandbox_opens_nothing(role), (SERVERS & OF(role)) != 0);
}

static void test_peers_are_symmetric(void **state)
{
    (void)state;
    for (enum role a = ROLE_MASTER; a < ROLE_COUNT; a++)
        for (enum role b = ROLE_MASTER; b < ROLE_COUNT; b++)
            assert_int_equal((role_info(a)->peers >> b) & 1U, (role_info(b)->peers >> a) & 1U);
}

/* What a role can not ask it can not be made to ask. */
static void test_of_those_who_receive_mail_submission_alone_reaches_auth(void **state)
{
    (void)state;
    for (enum role role = ROLE_MASTER; role < ROLE_COUNT; role++) {
        const struct role_info *info = role_info(role);
        assert_int_equal(info->receives, (RECEIVERS & OF(role)) != 0);
        assert_int_equal((info->peers & OF(ROLE_AUTH)) != 0,
                         role == ROLE_SUBMISSION || role == ROLE_POP3D);
        if (info->receives)
            assert_int_equal(info->peers & ~(unsigned)OF(ROLE_AUTH),
                             OF(ROLE_QMGR) | OF(ROLE_LOOKUP));
    }
}

static void test_every_role_has_a_name_and_at_least_one_process(void **state)
{
    (void)state;
    for (enum role role = ROLE_MASTER; role < ROLE_COUNT; role++) {
        assert_non_null(role_info(role)->name);
        assert_non_null(role_info(role)->program);
        assert_true(role_info(role)->count > 0);
    }
}

/* ---- the scene ---- */

static void make_file(const char *path)
{
    int fd = openat(scene.root_fd, path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static int set_scene(void **state)
{
    (void)state;
    (void)snprintf(scene.root, sizeof(scene.root), "/tmp/sandbox-XXXXXX");
    assert_non_null(mkdtemp(scene.root));
    scene.root_fd = open(scene.root, O_PATH | O_DIRECTORY);
    assert_int_equal(mkdirat(scene.root_fd, "readable", 0755), 0);
    assert_int_equal(mkdirat(scene.root_fd, "writable", 0755), 0);
    make_file("readable/file");
    make_file("writable/file");
    make_file("secret");
    scene.file = openat(scene.root_fd, "writable/segment", O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(scene.file, "segment", 7), 7);

    assert_true(net_parse_endpoint(SPAN("127.0.0.1:0"), &scene.address));
    scene.listener = net_listen(&scene.address, 4);
    assert_true(local_address(scene.listener, &scene.address));
    scene.tcp = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, scene.pair), 0);
    scene.parent = getpid();
    return 0;
}

static int clear_scene(void **state)
{
    static const char *const files[] = {"readable/file",     "writable/file", "writable/new",
                                        "writable/segment",  "secret",        "writable/moving",
                                        "writable/sub/moved"};
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        (void)unlinkat(scene.root_fd, files[i], 0);
    (void)unlinkat(scene.root_fd, "writable/sub", AT_REMOVEDIR);
    (void)unlinkat(scene.root_fd, "writable", AT_REMOVEDIR);
    (void)unlinkat(scene.root_fd, "readable", AT_REMOVEDIR);
    const int fds[] = {scene.root_fd, scene.file,    scene.listener,
                       scene.tcp,     scene.pair[0], scene.pair[1]};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        (void)close(fds[i]);
    return rmdir(scene.root);
}

static int run_attempts(void)
{
    struct CMUnitTest tests[ATTEMPTS] = {{0}};
    for (size_t i = 0; i < ATTEMPTS; i++)
        tests[i] = (struct CMUnitTest){
            .name = attempts[i].name, .test_func = test_attempt, .initial_state = &attempts[i]};
    return cmocka_run_group_tests_name("attempts", tests, set_scene, clear_scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writing_past_the_size_limit_fails_and_does_not_kill),
        cmocka_unit_test(test_abort_ends_every_role_with_its_own_signal),
        cmocka_unit_test(test_a_missing_directory_is_fatal),
        cmocka_unit_test(test_root_shuts_the_servers_alone_into_the_empty_directory),
        cmocka_unit_test(test_without_an_empty_directory_nobody_is_shut_in),
        cmocka_unit_test(test_an_empty_directory_that_is_missing_is_fatal_to_root),
        cmocka_unit_test(test_roles_that_open_nothing_are_the_servers),
        cmocka_unit_test(test_peers_are_symmetric),
        cmocka_unit_test(test_of_those_who_receive_mail_submission_alone_reaches_auth),
        cmocka_unit_test(test_every_role_has_a_name_and_at_least_one_process),
    };
    int failed = run_attempts();
    return failed + cmocka_run_group_tests(tests, set_scene, clear_scene);
}
