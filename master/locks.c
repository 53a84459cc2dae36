/*
 * Why two locks: two configurations may share a spool by mistake and not the run directory, or the
 * other way round, and either would be two masters' children over one set of files.
 *
 * The spool belongs to qmgr's user. Root opens its lock there without following a link, makes sure
 * that it is a plain file with one name, and writes nothing into it.
 *
 * Nobody else may open the files: flock(2) asks for no right but that, and whoever waited for the
 * lock of a master that crashed would keep the next one from starting.
 */
#include "master/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/directories.h"
#include "util/sys/file.h"

static const char pid_name[] = "master.pid";

/* Opens and locks; -1 with errno (EWOULDBLOCK: another holds it). */
static int take(int directory, const char *name)
{
    struct stat status;
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

    if (fd < 0)
        return -1;
    /* With a second name it could be a file of root's that somebody linked here. */
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1)
        errno = EINVAL;
    else if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    /* Closing must not hide why it was refused. */
    int problem = errno;
    (void)close(fd);
    errno = problem;
    return -1;
}

/* The two reasons get two sentences: that another master runs is repaired by stopping it,
 * everything else by looking at the file. */
static int take_in(int directory, const char *name, struct span where, conf_complain *complain,
                   void *arg)
{
    char sentence[PATH_MAX + 256];
    int fd = directory < 0 ? -1 : take(directory, name);

    if (fd >= 0)
        return fd;
    if (errno == EWOULDBLOCK)
        (void)snprintf(sentence, sizeof(sentence),
                       "%.*s: another master runs here; stop it first (veredus stop)",
                       SPAN_ARG(where));
    else
        (void)snprintf(sentence, sizeof(sentence), "%.*s/%s: can not be locked: %s",
                       SPAN_ARG(where), name, log_errno_text(errno));
    complain(arg, sentence);
    return -1;
}

/* Under the lock, so that two masters that start at once never write over each other. What a
 * crash left in the file is cut off first. */
static bool write_pid(int fd)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) == length;
}

bool locks_take(struct locks *locks, const struct conf *conf, conf_complain *complain, void *arg)
{
    /* Needed only to open the lock in; the run directory stays open for the pid file and the
     * socket. */
    int spool = directory_open(conf->spool_directory.data);

    *locks = (struct locks){.pid_file = -1, .spool = -1};
    locks->run_directory = directory_open(conf->run_directory.data);
    locks->pid_file = take_in(locks->run_directory, pid_name, conf->run_directory, complain, arg);
    /* Always in this order: two masters that start with the same configuration meet at the
     * first. */
    if (locks->pid_file >= 0)
        locks->spool = take_in(spool, "master.lock", conf->spool_directory, complain, arg);
    file_close(&spool);
    /* Both are held, or the pid would be of a process that is about to be refused. */
    if (locks->spool >= 0 && !write_pid(locks->pid_file)) {
        complain(arg, "the pid file can not be written; is the disk full?");
        file_close(&locks->spool);
    }
    if (locks->spool >= 0)
        return true;
    file_close(&locks->pid_file);
    file_close(&locks->run_directory);
    return false;
}

void locks_release(struct locks *locks)
{
    /* Removed while the lock is held: after it, the name could be that of the next master's
     * file. */
    (void)unlinkat(locks->run_directory, pid_name, 0);
    file_close(&locks->pid_file);
    file_close(&locks->spool);
    file_close(&locks->run_directory);
}
