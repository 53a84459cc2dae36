/*
 * The order matters. chroot needs root; Landlock needs no_new_privs and opens the directories it is
 * to allow; the limits need a system call that the filter forbids; the filter comes last, because
 * nothing of the above is possible behind it.
 */
#include "util/sys/sandbox.h"

#include "util/base/log.h"
#include "util/base/panic.h"
#include "util/sys/sandbox_steps.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* As with privileges: a sandbox that is not whole is none. */
static void must(bool done, const char *what)
{
    if (!done)
        fatal(EX_OSERR, "cannot enter the sandbox: %s: %s", what, log_errno_text(errno));
}

/* They talk to strangers and get every descriptor from others. */
bool sandbox_opens_nothing(enum role role)
{
    return role == ROLE_SMTPD || role == ROLE_SUBMISSION || role == ROLE_POP3D;
}

/* chdir(2) behind it: a working directory outside would still lead out. */
void sandbox_chroot(const struct sandbox *sandbox, const char *empty_directory)
{
    if (empty_directory == NULL || geteuid() != 0 || !sandbox_opens_nothing(sandbox->role))
        return;
    tzset(); /* the C library reads the time zone's file once, and syslog(3) wants it */
    must(chroot(empty_directory) == 0, "chroot");
    must(chdir("/") == 0, "chdir");
}

/* Writing past the limit fails with EFBIG instead of killing. */
static void limit_file_size(uint64_t octets)
{
    if (octets == 0)
        return;
    const struct rlimit limit = {.rlim_cur = octets, .rlim_max = octets};
    must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "RLIMIT_FSIZE");
    must(signal(SIGXFSZ, SIG_IGN) != SIG_ERR, "SIGXFSZ");
}

void sandbox_enter(const struct sandbox *sandbox)
{
    tzset();
    /* Both the kernel's Landlock and its seccomp want this of whoever is not root. */
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    limit_file_size(sandbox->file_size_limit);
    if (!sandbox_restrict_paths(sandbox))
        log_event(LOG_WARN, "landlock-missing",
                  LOG_STR("effect", "paths are guarded by permissions alone"));
    sandbox_restrict_calls(sandbox->role);
}
