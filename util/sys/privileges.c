/*
 * Dropping root has failed silently in more than one mail server: a call whose result nobody looked
 * at, a saved uid that was left behind. So every step is checked, and afterwards the way back is
 * tried: if it is open, the process ends.
 */
#include "util/sys/privileges.h"

#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* getpwnam(3) reads /etc/passwd: to be called while that can still be seen. */
bool privileges_of(const char *user, struct privileges *out)
{
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL)
        return false;
    *out = (struct privileges){.uid = entry->pw_uid, .gid = entry->pw_gid};
    return true;
}

/* In the child: access(2) asks for the real user, and a uid that is not root's has no capabilities.
 */
static int try_as(const struct privileges *as, const char *path, int mode)
{
    bool became = geteuid() != 0 ||
                  (setgroups(1, &as->gid) == 0 && setresgid(as->gid, as->gid, as->gid) == 0 &&
                   setresuid(as->uid, as->uid, as->uid) == 0);
    return became && access(path, mode) == 0 ? 0 : errno;
}

/* Signals are blocked around the fork: the child has the handlers of the caller, and they may write
 * into a pipe that both share. */
int privileges_access(const struct privileges *as, const char *path, int mode)
{
    sigset_t all, before;
    int status = 0;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        _exit(try_as(as, path, mode)); /* an errno fits into an exit code */
    int problem = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return problem;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

/* A privilege that could not be dropped ends the process: serving with it would be the worse
 * failure. */
static void must(bool done, const char *what)
{
    if (!done)
        fatal(EX_OSERR, "cannot drop privileges: %s: %s", what, log_errno_text(errno));
}

/* Real, effective and saved: the saved one is what is forgotten, and what leads back. */
static bool ids_are(const struct privileges *wanted)
{
    uid_t uid[3];
    gid_t gid[3];
    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (uid[i] != wanted->uid || gid[i] != wanted->gid)
            return false;
    return true;
}

/* Groups first: without the uid of root nothing else can be changed any more. */
static void leave_root(const struct privileges *to)
{
    if (to->uid == 0 || to->gid == 0)
        fatal(EX_CONFIG, "cannot drop privileges to root");
    must(setgroups(1, &to->gid) == 0, "setgroups");
    must(setresgid(to->gid, to->gid, to->gid) == 0, "setresgid");
    must(setresuid(to->uid, to->uid, to->uid) == 0, "setresuid");
    if (!ids_are(to) || setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
        fatal(EX_OSERR, "cannot drop privileges: root can be had back");

    /* Keys and passwords that were read as root belong into no core file and to no debugger. */
    must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "PR_SET_DUMPABLE");
}

/* no_new_privs in any case: a set-uid program would be a way back as well. */
void privileges_drop(const struct privileges *to)
{
    if (geteuid() == 0)
        leave_root(to);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
}

/* glibc has no wrapper for capset(2); the empty sets need no library. */
void privileges_keep_user(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    must(syscall(SYS_capset, &header, none) == 0, "capset");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
}
