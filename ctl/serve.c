/*
 * The command becomes master (run), so that whoever supervises the one supervises the other, or it
 * starts master apart (start) and stays until that one serves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "ctl/socket.h"
#include "ctl/verbs.h"

/* Enough for any path the kernel hands out. */
enum { PATH_OCTETS = 4096 };

/* Master lies beside this command, as a build folder has it, or where an installation has it: both
 * are looked for from here, so that a tree that was moved as a whole still works. NULL after a
 * message. */
static const char *find_master(struct ctl *ctl)
{
    static const char *const places[] = {"", "/../libexec/veredus"};
    char self[PATH_OCTETS];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self);
    /* A name that fills the buffer may have been cut off: it is not trusted. */
    struct span path = span_of(self, length > 0 && length < PATH_OCTETS ? (size_t)length : 0);
    struct span directory = span_first(path, span_find_last(path, '/'));
    for (size_t i = 0; path.len > 0 && i < sizeof places / sizeof *places; i++) {
        const char *master =
            arena_printf(&ctl->arena, "%.*s%s/veredus-master", SPAN_ARG(directory), places[i]).data;
        if (access(master, X_OK) == 0)
            return master;
    }
    ctl_say(ctl, "veredus-master is neither beside this command nor in ../libexec/veredus");
    return NULL;
}

/* Returns only when it failed, with errno. The process stays the same: its number, its
 * descriptors and its place with a supervisor. */
static void become(const char *master, const char *file)
{
    /* execv(3) changes none of them, its prototype only can not say so. */
    char *const arguments[] = {(char *)"veredus-master", (char *)"-c", (char *)file, (char *)"-f",
                               NULL};
    execv(master, arguments);
}

/* The configuration is not looked at: master reads it next, and complains in the same words. */
int verb_run(struct ctl *ctl)
{
    const char *master = find_master(ctl);
    if (!master)
        return EX_UNAVAILABLE;
    become(master, ctl->file);
    ctl_say(ctl, "%s can not be run: %s", master, log_errno_text(errno));
    return EX_OSERR;
}

/* ---- in the background ---- */

/* Where the log goes when it goes to standard error; a terminal that is closed is no place. At the
 * first start, and after a boot that emptied /run, its directory is not there yet, and master,
 * which would make it, comes later. */
static int open_log(struct ctl *ctl, const char *path)
{
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(path, flags, 0640);
    if (fd < 0 && errno == ENOENT && mkdir(ctl->conf->run_directory.data, 0755) == 0)
        fd = open(path, flags, 0640);
    if (fd < 0)
        ctl_say(ctl, "%s can not be opened: %s", path, log_errno_text(errno));
    return fd;
}

/* The child, until it is master. */
__attribute__((noreturn)) static void serve_apart(struct ctl *ctl, const char *master, int ready,
                                                  int log)
{
    /* A session of its own: neither the terminal's interrupt nor its closing reaches master.
     * dup2 takes close-on-exec off the three that stay. */
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool good = setsid() >= 0 && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
                dup2(ready, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0;
    if (good)
        become(master, ctl->file);
    _exit(EX_OSERR);
}

/* True when the child says "ready"; false when it ends before that. */
static bool wait_for_ready(int from)
{
    char words[16];
    size_t count = 0;
    ssize_t got = 0;
    /* The pipe may bring the word in pieces, and ends when the last holder of its far end is
     * gone. */
    while (count < sizeof words && !memchr(words, '\n', count)) {
        got = read(from, words + count, sizeof words - count);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        count += got > 0 ? (size_t)got : 0;
    }
    return span_has_prefix(span_of(words, count), SPAN("ready\n"));
}

/* Its exit code is handed on: 78 for a bad configuration means the same from either. */
static int say_died(struct ctl *ctl, pid_t child, const char *log)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    ctl_say(ctl, "the server ended before it was ready; %s says why", log);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EX_UNAVAILABLE;
}

/* Starts it with its log at `log`, waits, reports. */
static int start(struct ctl *ctl, const char *master, int log, const char *log_path)
{
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) {
        ctl_say(ctl, "no pipe: %s", log_errno_text(errno));
        return EX_OSERR;
    }
    pid_t child = fork();
    /* Nothing is buffered yet that both could print. */
    if (child == 0)
        serve_apart(ctl, master, ready[1], log);
    /* Else the end of the child would never be seen here. */
    close(ready[1]);
    int code = EX_OSERR;
    if (child < 0)
        ctl_say(ctl, "no process: %s", log_errno_text(errno));
    else if (wait_for_ready(ready[0]))
        code = EX_OK;
    else
        code = say_died(ctl, child, log_path);
    close(ready[0]);
    return code;
}

/* Starting what runs is no mistake: who starts wants it to run. */
int verb_start(struct ctl *ctl)
{
    /* A hint only: two that start at once are told apart by master's locks. */
    int running = socket_connect(ctl->conf);
    if (running >= 0) {
        close(running);
        fprintf(ctl->streams.out, "the server is running already\n");
        return EX_OK;
    }
    const char *master = find_master(ctl);
    if (!master)
        return EX_UNAVAILABLE;
    const char *path =
        arena_printf(&ctl->arena, "%.*s/master.log", SPAN_ARG(ctl->conf->run_directory)).data;
    int log = open_log(ctl, path);
    if (log < 0)
        return EX_CANTCREAT;
    int code = start(ctl, master, log, path);
    close(log);
    return code;
}
