/*
 * The system calls of each role, in groups, so that what a role may do can be read off the table
 * behind the groups: whoever serves sessions opens no file, whoever opens files has no network, and
 * nobody executes anything.
 *
 * A call that is not listed ends the process: none of our code makes it, so whoever does is an
 * intruder, or a library that we have to get to know. A few calls are refused with an error
 * instead, because the C library makes them and lives with the refusal.
 *
 * Conditions compare a whole 64-bit argument or test single bits of it. "Anything but this value"
 * is never used: the kernel looks at the lower half of an int, and an upper half that is not zero
 * would get past such a condition.
 *
 * Threads may still be started, processes not. So a helper thread can be started behind the
 * sandbox, and should be: Landlock, unlike this filter, does not reach threads that exist already.
 */
#include "util/sys/sandbox_steps.h"

#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#ifdef VEREDUS_SANITIZED
#define ACTION_ON_OTHERS SCMP_ACT_ERRNO(EPERM)
#else
#define ACTION_ON_OTHERS SCMP_ACT_KILL_PROCESS
#endif

/* One line of a list: a system call, and what its arguments must be, if it matters. */
struct call {
    int number;
    bool conditional;
    struct scmp_arg_cmp condition;
};

/* clang-format off */
#define CALL(name) {.number = SCMP_SYS(name)}
#define CALL_IF_EQUAL(name, argument, value)                                                       \
    {.number = SCMP_SYS(name), .conditional = true,                                                \
     .condition = {.arg = (argument), .op = SCMP_CMP_EQ, .datum_a = (value)}}
#define CALL_IF_BITS(name, argument, mask, value)                                                  \
    {.number = SCMP_SYS(name), .conditional = true,                                                \
     .condition = {.arg = (argument), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask),                 \
                   .datum_b = (value)}}
#define END {.number = __NR_SCMP_ERROR}

/* What the C library and the event loop need anywhere. */
static const struct call calls_of_all[] = {
    /* octets and packets, through descriptors that are there already */
    CALL(read), CALL(readv), CALL(pread64), CALL(preadv), CALL(write), CALL(writev), CALL(close),
    CALL(lseek), CALL(sendmsg), CALL(sendto), CALL(recvmsg), CALL(recvfrom), CALL(shutdown),
    CALL(getsockopt), CALL(getsockname), CALL(getpeername), CALL(fstat), CALL(newfstatat),
    /* of fcntl what does not change how a descriptor writes: no F_SETFL */
    CALL_IF_EQUAL(fcntl, 1, F_GETFD), CALL_IF_EQUAL(fcntl, 1, F_SETFD),
    CALL_IF_EQUAL(fcntl, 1, F_GETFL), CALL_IF_EQUAL(fcntl, 1, F_DUPFD_CLOEXEC),
    CALL_IF_EQUAL(fcntl, 1, F_GET_SEALS),
    /* waiting, and the time when no vDSO gives it */
    CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(poll), CALL(ppoll),
    CALL(restart_syscall), CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep),
    CALL(gettimeofday), CALL(time),
    /* memory, none of it executable */
    CALL_IF_BITS(mmap, 2, PROT_EXEC, 0), CALL_IF_BITS(mprotect, 2, PROT_EXEC, 0), CALL(munmap),
    CALL(mremap), CALL(madvise), CALL(brk),
    /* signals, also those of abort(3); see allow_abort */
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigaltstack),
    /* threads */
    CALL_IF_BITS(clone, 0, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD), CALL(futex),
    CALL(set_robust_list), CALL(rseq), CALL(sched_yield), CALL(sched_getaffinity), CALL(exit),
    /* what the process may know about itself; qsort(3) asks sysinfo how much memory there is */
    CALL(getpid), CALL(gettid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid),
    CALL(getrusage), CALL(sysinfo), CALL_IF_EQUAL(prlimit64, 2, 0), CALL(getrandom),
    CALL(exit_group), END,
};

/* Who takes connections. */
static const struct call calls_of_servers[] = {CALL(accept4), CALL(setsockopt), END};

/* Who asks the DNS: sockets of the Internet, for which the resolver sets no option. To whom they
 * connect can not be seen here; doc/security.md says what that means. */
static const struct call calls_of_resolvers[] = {
    CALL_IF_EQUAL(socket, 0, AF_INET), CALL_IF_EQUAL(socket, 0, AF_INET6), CALL(connect), END,
};

/* Who is handed mailboxes: the lock of one may be given up, not taken. */
static const struct call calls_of_mailbox_users[] = {CALL_IF_EQUAL(flock, 1, LOCK_UN), END};

/* Who appends to segments: nothing that shortens them, makes holes in them or changes how they are
 * written. */
static const struct call calls_of_segment_writers[] = {
    CALL(pwrite64), CALL(pwritev), CALL(fdatasync), END,
};

/* Looking around in the file system; which of them the C library takes for stat(2) is its affair. */
static const struct call calls_of_file_finders[] = {
    CALL(statx), CALL(stat), CALL(lstat), CALL(getdents64), CALL(flock), END,
};

enum { OPEN_TO_CHANGE = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND };

/* Who opens files, and for reading only. Berkeley DB naps with select(2). */
static const struct call calls_of_table_readers[] = {
    CALL_IF_BITS(openat, 2, OPEN_TO_CHANGE, O_RDONLY), CALL(select), CALL(pselect6), END,
};

/* Who owns files: a spool, mailboxes. */
static const struct call calls_of_file_owners[] = {
    CALL(openat), CALL(renameat), CALL(renameat2), CALL(unlinkat), CALL(mkdirat), CALL(fsync), END,
};

/* Who finds mailboxes: openat2 keeps beneath the mail root. Delivering begins the writing of all
 * files before it waits for the first. */
static const struct call calls_of_mail_root[] = {CALL(openat2), CALL(sync_file_range), END};

/* The list of a mailbox is a sealed file in memory. */
static const struct call calls_of_list_makers[] = {
    CALL(memfd_create), CALL_IF_EQUAL(fcntl, 1, F_ADD_SEALS), END,
};

/* States, holes in finished segments, the locks of descriptors that were handed out. */
static const struct call calls_of_spool_owner[] = {
    CALL(fallocate), CALL(fstatfs), CALL_IF_EQUAL(fcntl, 1, F_OFD_SETLK),
    CALL_IF_EQUAL(fcntl, 1, F_OFD_GETLK), END,
};

/* Hashing must not slow down the rest. */
static const struct call calls_of_hashers[] = {CALL(setpriority), END};
/* clang-format on */

/* Who keeps the greylist writes into that one file, which was opened before. */
static const struct call calls_of_greylist_keepers[] = {CALL(pwrite64), END};

enum { GROUPS = 5 };

/* What each role may do. Master has no row: it stays outside. */
static const struct call *const roles[ROLE_COUNT][GROUPS] = {
    [ROLE_LOOKUP] = {calls_of_all, calls_of_file_finders, calls_of_table_readers,
                     calls_of_greylist_keepers},
    [ROLE_AUTH] = {calls_of_all, calls_of_file_finders, calls_of_table_readers, calls_of_hashers},
    [ROLE_QMGR] = {calls_of_all, calls_of_file_finders, calls_of_file_owners,
                   calls_of_segment_writers, calls_of_spool_owner},
    [ROLE_DELIVER] = {calls_of_all, calls_of_file_finders, calls_of_file_owners,
                      calls_of_mail_root},
    [ROLE_MAILBOX] = {calls_of_all, calls_of_file_finders, calls_of_file_owners, calls_of_mail_root,
                      calls_of_list_makers},
    [ROLE_SMTPD] = {calls_of_all, calls_of_servers, calls_of_segment_writers, calls_of_resolvers},
    [ROLE_SUBMISSION] = {calls_of_all, calls_of_servers, calls_of_segment_writers,
                         calls_of_resolvers},
    [ROLE_POP3D] = {calls_of_all, calls_of_servers, calls_of_mailbox_users},
};

static const struct {
    int number;
    int error;
    /* A refusal, not a kill: the C library tries these and goes on without. */
} refused[] = {
    {SCMP_SYS(clone3), ENOSYS}, /* its flags can not be seen; the library goes on to clone */
    {SCMP_SYS(ioctl), ENOTTY},  /* stdio asks whether its output is a terminal */
};

/* libseccomp returns negative errno values instead of setting errno. */
static void must(int result, const char *what)
{
    if (result < 0)
        fatal(EX_OSERR, "cannot enter the sandbox: %s: %s", what, log_errno_text(-result));
}

/* A call may stand in several groups, or several times with other conditions: the rules add up. */
static void allow_group(scmp_filter_ctx filter, const struct call *calls)
{
    for (; calls->number != __NR_SCMP_ERROR; calls++)
        must(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls->number, calls->conditional,
                                    &calls->condition),
             "seccomp_rule_add");
}

/* abort(3) signals itself, and nobody else can be meant. */
static void allow_abort(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp self = {
        .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid()};
    must(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self), "tgkill");
}

/* A table that lost its end makes Berkeley DB open it anew, for writing, to find out. That is to be
 * a table that can not be read, not the death of whoever looked something up. */
static void refuse_reopening(scmp_filter_ctx filter, enum role role)
{
    const struct scmp_arg_cmp to_write = {
        .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = OPEN_TO_CHANGE, .datum_b = O_RDWR};

    if (role == ROLE_LOOKUP || role == ROLE_AUTH)
        must(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1, &to_write),
             "openat");
}

/* syslog(3) connects anew when the logger was restarted. Sockets of other
 * families are nobody's wish: they end the process. */
static void refuse_syslog(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp local = {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_UNIX};
    must(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1, &local),
         "socket");
}

void sandbox_restrict_calls(enum role role)
{
    require((unsigned)role < ROLE_COUNT && roles[role][0] != NULL);
    scmp_filter_ctx filter = seccomp_init(ACTION_ON_OTHERS);
    if (filter == NULL)
        fatal(EX_OSERR, "cannot enter the sandbox: seccomp_init");

    /* All threads or none: one that stayed outside would be the way around. */
    must(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1), "threads");
    for (size_t i = 0; i < GROUPS && roles[role][i] != NULL; i++)
        allow_group(filter, roles[role][i]);
    allow_abort(filter);
    refuse_reopening(filter, role);
    refuse_syslog(filter);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        must(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)refused[i].error),
                                    refused[i].number, 0, NULL),
             "seccomp_rule_add");
    must(seccomp_load(filter), "seccomp_load");
    seccomp_release(filter);
}
