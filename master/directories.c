/*
 * Why paths are walked by hand: root makes directories next to ones that other users own, and
 * mkdir(2) with chown(2) on a path would follow whatever they plant there in between. Each step
 * here starts from an open directory and never follows a link.
 */
#include "master/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "util/conf/ownership.h"
#include "util/sys/privileges.h"

enum { NAME_OCTETS = NAME_MAX + 1, MODE_ON_THE_WAY = 0755 };

/* Links are refused to root only: who runs everything as one user can be led nowhere that he
 * could not go himself, and may well keep his instance behind a link. */
static int flags(void)
{
    return O_RDONLY | O_DIRECTORY | O_CLOEXEC | (geteuid() == 0 ? O_NOFOLLOW : 0);
}

/* Opens `name` in `at`, made with `mode` when `make` and it is missing; *made tells. */
static int step(int at, const char *name, bool make, mode_t mode, bool *made)
{
    *made = make && mkdirat(at, name, mode) == 0;
    /* What exists already is opened and judged by that, whoever won the race to make it. */
    if (make && !*made && errno != EEXIST)
        return -1;
    int fd = openat(at, name, flags());
    /* The umask of a careful root would keep the roles' users out of what lies beneath. */
    if (fd >= 0 && *made && fchmod(fd, mode) != 0) {
        int problem = errno;
        (void)close(fd);
        errno = problem;
        fd = -1;
    }
    return fd;
}

/* Walks an absolute path, making what is missing if `make`. *made: the last component is new. */
static int walk(struct span path, bool make, mode_t mode, bool *made)
{
    int at = open("/", flags());
    struct span name;

    *made = false;
    while (at >= 0 && span_next(&path, '/', &name)) {
        char text[NAME_OCTETS];
        /* An empty name comes of "//" or of a slash at either end; it is passed over like the
         * kernel does. */
        if (name.len == 0)
            continue;
        int next = -1;
        if (span_to_cstr(name, text, sizeof(text)))
            next = step(at, text, make, path.len > 0 ? MODE_ON_THE_WAY : mode, made);
        else
            errno = ENAMETOOLONG;
        /* One descriptor at a time is held; closing must not hide why the next could not be
         * opened. */
        int problem = errno;
        (void)close(at);
        errno = problem;
        at = next;
    }
    return at;
}

int directory_open(const char *path)
{
    bool made;
    return walk(span_cstr(path), false, 0, &made);
}

static void complain_about(struct span path, const char *what, conf_complain *complain, void *arg)
{
    char sentence[PATH_MAX + 256];
    (void)snprintf(sentence, sizeof(sentence), "%.*s: %s", SPAN_ARG(path), what);
    complain(arg, sentence);
}

/* The two that O_NOFOLLOW and O_DIRECTORY cause get words that say what to do; errno's own
 * would send people looking for a loop. */
static const char *reason_of(int error)
{
    if (error == ELOOP || error == ENOTDIR)
        return "a part of it is a symbolic link or no directory; name the real path";
    return log_errno_text(error);
}

/* Gives a directory that was just made to its owner; it has its mode already, for after fchown a
 * master without CAP_FOWNER could not change it. By descriptor, so that what was made is what is
 * given away. */
static bool settle(int fd, struct span user)
{
    struct privileges owner;
    struct stat status;

    /* For a user that does not exist, and for a directory that somebody else put there. */
    errno = ENOENT;
    return privileges_of(user.data, &owner) && fstat(fd, &status) == 0 && status.st_uid == 0 &&
           fchown(fd, owner.uid, owner.gid) == 0;
}

/* A crash between making and settling leaves a directory of root's. The next start finds it, keeps
 * it so and says what is to be done. */
static bool make(const struct ownership *row, bool settles, conf_complain *complain, void *arg)
{
    bool made;
    int fd = walk(row->path, true, row->mode, &made);
    bool good = fd >= 0 && (!made || !settles || settle(fd, row->owner));

    if (!good)
        complain_about(row->path, reason_of(errno), complain, arg);
    if (fd >= 0)
        (void)close(fd);
    return good;
}

/* One that can not be made ends it: what lies beneath could only be refused for the same reason. */
static bool make_missing(const struct conf *conf, conf_complain *complain, void *arg)
{
    struct arena arena = {0};
    struct ownership rows[OWNERSHIP_MAX];
    size_t count = ownership_list(conf, &arena, rows);
    bool good = true;

    for (size_t i = 0; good && i < count; i++)
        good = !rows[i].made || make(&rows[i], conf_changes_users(conf), complain, arg);
    arena_free(&arena);
    return good;
}

int directories_make(const struct conf *conf, conf_complain *complain, void *arg)
{
    /* Before anything is made: a directory without its owner would have to be repaired by hand. */
    if (ownership_check_users(conf, complain, arg) > 0)
        return EX_NOUSER;
    if (!make_missing(conf, complain, arg))
        return EX_CANTCREAT;
    return ownership_check(conf, complain, arg) > 0 ? EX_NOPERM : EX_OK;
}
