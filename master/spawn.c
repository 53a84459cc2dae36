/*
 * Why the signals are blocked around the fork: until exec the child has master's handlers, and they
 * write into a pipe that both share. A signal meant for the newborn would look to master like one
 * of its own.
 */
#include "master/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "util/base/log.h"
#include "util/daemon/daemon.h"

/* The number that a shell uses for a program it did not find. */
enum { NOT_EXECUTED = 127 };

/* exec resets handlers, but not what is ignored or blocked. */
static void reset_signals(void)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE};
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        (void)sigaction(handled[i], &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Puts the descriptors to their places. Everything is close-on-exec anyway; closing all the rest
 * costs one call and forgives a slip. */
static bool settle_descriptors(const struct spawn *spawn)
{
    if (dup2(spawn->null, STDIN_FILENO) < 0 || dup2(spawn->null, STDOUT_FILENO) < 0)
        return false;
    if (spawn->log != STDERR_FILENO && dup2(spawn->log, STDERR_FILENO) < 0)
        return false;
    /* dup2 onto itself does nothing and would leave close-on-exec set. */
    if (spawn->control == DAEMON_CONTROL_FD) {
        if (fcntl(DAEMON_CONTROL_FD, F_SETFD, 0) != 0)
            return false;
    } else if (dup2(spawn->control, DAEMON_CONTROL_FD) < 0) {
        return false;
    }
    return close_range(DAEMON_CONTROL_FD + 1, UINT_MAX, 0) == 0;
}

/* Runs between fork and exec, in a process with one thread: it may log, and never returns. */
static void become(const struct spawn *spawn)
{
    char path[PATH_MAX];
    char *const arguments[] = {(char *)spawn->program, (char *)spawn->role, NULL};
    int length = snprintf(path, sizeof(path), "%s/%s", spawn->directory, spawn->program);

    reset_signals();
    /* For the path; whatever fails after it sets its own. */
    errno = ENAMETOOLONG;
    if (length > 0 && (size_t)length < sizeof(path) && settle_descriptors(spawn))
        (void)execv(path, arguments);
    log_event(LOG_ERROR, "exec-failed", LOG_STR("program", spawn->program), LOG_ERRNO(errno));
    /* Without the handlers of exit: they belong to master, whose buffers would be flushed
     * twice. */
    _exit(NOT_EXECUTED);
}

pid_t spawn_process(const struct spawn *spawn)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    /* The child unblocks them itself, after it has put the handlers back. */
    pid_t pid = fork();
    if (pid == 0)
        become(spawn);
    int problem = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = problem;
    return pid;
}
