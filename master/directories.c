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
#include <unistd.h>

#include "util/sys/privileges.h"
#include "util/sys/role.h"

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
    return openat(at, name, flags());
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

/* A directory as it has to be when it is made new; one that is there already is taken as it is. */
struct wish {
    struct span path;
    struct span user; /* empty: stays the maker's */
    mode_t mode;
};

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

/* Gives a directory that was just made its owner and mode. */
static bool settle(int fd, const struct wish *wish)
{
    struct privileges owner;
    struct stat status;

    /* By descriptor, so that what was made is what is changed. The mode first, for the umask
     * may have narrowed it, and after fchown a master without CAP_FOWNER could not. */
    if (fchmod(fd, wish->mode) != 0)
        return false;
    if (wish->user.len == 0)
        return true;
    /* For a user that does not exist, and for a directory that somebody else put there. */
    errno = ENOENT;
    return privileges_of(wish->user.data, &owner) && fstat(fd, &status) == 0 &&
           status.st_uid == 0 && fchown(fd, owner.uid, owner.gid) == 0;
}

/* A crash between making and settling leaves a directory of root's. The next start finds it and
 * keeps it so: it has to be given away by hand. */
static bool make(const struct wish *wish, conf_complain *complain, void *arg)
{
    bool made;
    int fd = walk(wish->path, true, wish->mode, &made);
    bool good = fd >= 0 && (!made || settle(fd, wish));

    if (!good)
        complain_about(wish->path, reason_of(errno), complain, arg);
    if (fd >= 0)
        (void)close(fd);
    return good;
}

/* All of them are looked for, so that one start names every user that is missing. */
static bool users_exist(const struct conf *conf, conf_complain *complain, void *arg)
{
    const struct span users[] = {conf->user_service, conf->user_queue, conf->user_mail,
                                 conf->user_auth};
    struct privileges unused;
    bool all = true;

    /* Where nobody's rights change, the names in the configuration mean nothing. */
    for (size_t i = 0; conf_changes_users(conf) && i < sizeof(users) / sizeof(users[0]); i++) {
        if (privileges_of(users[i].data, &unused))
            continue;
        complain_about(users[i], "there is no such system user; make it with useradd --system",
                       complain, arg);
        all = false;
    }
    return all;
}

bool directories_make(const struct conf *conf, conf_complain *complain, void *arg)
{
    struct arena arena = {0};
    /* Empty spans leave a directory to its maker. */
    struct span queue = conf_changes_users(conf) ? conf->user_queue : SPAN("");
    struct span mail = conf_changes_users(conf) ? conf->user_mail : SPAN("");
    /* Parents before what lies in them. "empty" stays empty: its mode lets nobody write there. */
    const struct wish wishes[] = {
        {conf->run_directory, SPAN(""), 0755},
        {arena_printf(&arena, "%s/empty", conf->run_directory.data), SPAN(""), 0555},
        {conf->spool_directory, queue, 0700},
        {arena_printf(&arena, "%s/queue", conf->spool_directory.data), queue, 0700},
        {arena_printf(&arena, "%s/corrupt", conf->spool_directory.data), queue, 0700},
        {conf->mail_root, mail, 0700},
    };
    /* Before anything is made: a directory without its owner would have to be repaired by hand. */
    bool good = users_exist(conf, complain, arg);

    for (size_t i = 0; good && i < sizeof(wishes) / sizeof(wishes[0]); i++)
        good = make(&wishes[i], complain, arg);
    arena_free(&arena);
    return good;
}
