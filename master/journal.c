/*
 * Why the file is descriptor 2: children inherit it, need no right to open it, and what a library
 * or a sanitizer prints lands in the same place. Appending makes one write(2) one line, whoever
 * writes.
 *
 * Why it must not block: whoever reads the log may stop reading, and the mail must go on. A pipe or
 * terminal is opened anew, because O_NONBLOCK would else be set for whoever else holds the same
 * open file description: the shell that started us, for one. A socket can not be opened anew: the
 * log sends to it without waiting (util/base/log.c). A file never blocks, and opened anew it would
 * have an offset of its own, so that what others write to it would be overwritten.
 */
#include "master/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/base/panic.h"

/* What unprivileged pipes may have: a reader that is late by a second loses nothing. */
enum { PIPE_SIZE = 1 << 20 };

/* Standard error under a description of our own; it may be a pipe of somebody else, which we may
 * not open: then it must be his description that does not block any more. */
static void stop_blocking(void)
{
    /* Fails where it is no pipe, and where pipes may not grow: both are as good as before. */
    (void)fcntl(STDERR_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
    int own = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) {
        (void)dup2(own, STDERR_FILENO);
        (void)close(own);
        return;
    }
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    if (flags < 0 || fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK) != 0)
        log_event(LOG_WARN, "log-blocks", LOG_ERRNO(errno));
}

void journal_init(struct journal *journal)
{
    struct stat status;
    if (fstat(STDERR_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)))
        stop_blocking();
    /* Above the standard descriptors and closed on exec: a reload that goes back from a file to
     * standard error finds it, and no child gets it. */
    journal->original = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    require(journal->original >= 0);
}

/* dup2 swaps the file in one step: at no moment is descriptor 2 closed, and what is written
 * meanwhile lands in the old file or the new one. */
static bool lead_to_file(const struct conf *conf)
{
    /* A link is refused, for the log may lie in a directory that is not root's alone. */
    int fd = open(conf->log_file.data,
                  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
    bool good = fd >= 0 && dup2(fd, STDERR_FILENO) >= 0;
    if (fd >= 0)
        (void)close(fd);
    return good;
}

bool journal_open(struct journal *journal, const struct conf *conf, conf_complain *complain,
                  void *arg)
{
    char sentence[PATH_MAX + 128];

    if (conf->log_target != LOG_TARGET_FILE) {
        (void)dup2(journal->original, STDERR_FILENO);
    } else if (!lead_to_file(conf)) {
        (void)snprintf(sentence, sizeof(sentence), "log = \"%.*s\": can not be opened: %s",
                       SPAN_ARG(conf->log_file), log_errno_text(errno));
        complain(arg, sentence);
        return false;
    }
    /* Only when the descriptor leads there: a refused log leaves format and level as they were,
     * too. */
    log_setup("master", conf->log_format, conf->log_level);
    if (conf->log_target == LOG_TARGET_SYSLOG)
        log_to_syslog();
    return true;
}
