/*
 * Why each step begins at an open directory and ends at an open file: root changes the owner and
 * the mode of what lies there, and must not be led to something else meanwhile. The socket is born
 * with mode 0600, since a gap between its birth and a chmod would be one for strangers.
 */
#include "master/unix_socket.h"

#include "master/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { NAME_OCTETS = 256 };

/* Where the socket is: a name in a directory that is open. */
struct place {
    int directory;
    char name[NAME_OCTETS];
};

/* Closes without hiding why. */
static void close_quietly(int fd)
{
    int problem = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = problem;
}

/* The caller closes place->directory; false with errno. */
static bool find_place(struct span path, struct place *place)
{
    char directory[PATH_MAX];
    size_t slash = span_find_last(path, '/');
    errno = ENAMETOOLONG;
    if (!span_to_cstr(span_first(path, slash > 0 ? slash : 1), directory, sizeof(directory)) ||
        !span_to_cstr(span_skip(path, slash + 1), place->name, sizeof(place->name)))
        return false;
    place->directory = directory_open(directory);
    return place->directory >= 0;
}

/* The name of a socket holds 107 octets, but a directory may lie deeper. */
static struct sockaddr_un address_of(const struct place *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
                          place->directory, place->name);
    /* The names of the settings are shorter than this. */
    if (length < 0 || (size_t)length >= sizeof(address.sun_path))
        address.sun_path[0] = '\0';
    return address;
}

/* Nobody accepts there: its server is gone. */
static bool is_dead(const struct place *place)
{
    const struct sockaddr_un address = address_of(place);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
                errno == ECONNREFUSED;
    close_quietly(fd);
    return dead;
}

static bool is_socket(const struct place *place)
{
    struct stat status;
    return fstatat(place->directory, place->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISSOCK(status.st_mode);
}

/* What is no socket, or has a server, stays: bind(2) will say that the place is taken. */
static void clear(const struct place *place)
{
    if (is_socket(place) && is_dead(place))
        (void)unlinkat(place->directory, place->name, 0);
}

static bool bind_at(int fd, const struct place *place)
{
    const struct sockaddr_un address = address_of(place);
    mode_t before = umask(S_IXUSR | S_IRWXG | S_IRWXO);
    bool bound = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    int problem = errno;
    (void)umask(before);
    errno = problem;
    return bound;
}

/* "user:group", either of which may be missing: (uid_t)-1 and (gid_t)-1 change nothing. */
static bool owner_of(struct span text, uid_t *uid, gid_t *gid)
{
    char name[NAME_OCTETS];
    struct span user = span_first(text, span_find(text, ':'));
    struct span group = span_skip(text, user.len + 1);
    const struct passwd *known_user = NULL;
    const struct group *known_group = NULL;
    if (user.len > 0 && span_to_cstr(user, name, sizeof(name)))
        known_user = getpwnam(name);
    if (group.len > 0 && span_to_cstr(group, name, sizeof(name)))
        known_group = getgrnam(name);
    *uid = known_user != NULL ? known_user->pw_uid : (uid_t)-1;
    *gid = known_group != NULL ? known_group->gr_gid : (gid_t)-1;
    errno = EINVAL;
    return (user.len == 0 || known_user != NULL) && (group.len == 0 || known_group != NULL);
}

/* The mode first: of a file of somebody else a master without CAP_FOWNER could not change it. The
 * descriptor gives no access, and its name in /proc is that of the file whatever becomes of the
 * other name. */
static bool change(int fd, const struct conf_listen *wanted)
{
    char name[64];
    struct stat status;
    uid_t uid;
    gid_t gid;
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    errno = ENOTSOCK;
    if (fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode) ||
        !owner_of(wanted->owner, &uid, &gid))
        return false;
    mode_t mode = conf_listen_mode(wanted);
    if ((status.st_mode & ALLPERMS) != mode && chmod(name, mode) != 0)
        return false;
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0;
}

static bool settle(const struct place *place, const struct conf_listen *wanted)
{
    int fd = openat(place->directory, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bool good = fd >= 0 && change(fd, wanted);
    close_quietly(fd);
    return good;
}

bool unix_socket_settle(const struct conf_listen *wanted)
{
    struct place place;
    if (!find_place(wanted->path, &place))
        return false;
    bool good = settle(&place, wanted);
    close_quietly(place.directory);
    return good;
}

/* A socket that could be bound and not settled must not stay: nobody would ever remove it. */
static bool serve_at(int fd, const struct place *place, const struct conf_listen *wanted,
                     int backlog)
{
    clear(place);
    if (!bind_at(fd, place))
        return false;
    if (settle(place, wanted) && listen(fd, backlog) == 0)
        return true;
    int problem = errno;
    (void)unlinkat(place->directory, place->name, 0);
    errno = problem;
    return false;
}

int unix_socket_listen(const struct conf_listen *wanted, int backlog)
{
    struct place place;
    if (!find_place(wanted->path, &place))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && !serve_at(fd, &place, wanted, backlog)) {
        close_quietly(fd);
        fd = -1;
    }
    close_quietly(place.directory);
    return fd;
}

void unix_socket_remove(const char *path)
{
    struct place place;
    if (!find_place(span_cstr(path), &place))
        return;
    if (is_socket(&place))
        (void)unlinkat(place.directory, place.name, 0);
    (void)close(place.directory);
}
