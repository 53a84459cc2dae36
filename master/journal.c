/*
 * Why the file is descriptor 2: children inherit it, need no right to open it, and what a library
 * or a sanitizer prints lands in the same place. Appending makes one write(2) one line, whoever
 * writes.
 */
#include "master/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "util/base/panic.h"

void journal_init(struct journal *journal)
{
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
