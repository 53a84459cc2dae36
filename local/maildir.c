/*
 * Why part by part, when openat2(2) would walk the whole path in one call: every part's owner is
 * looked at on the descriptor that the next step starts from, so a directory swapped in between
 * the look and the use changes nothing. It costs two calls a part, once a batch and mailbox.
 */
#include "local/maildir.h"

#include "local/maildir_name.h"
#include "util/mail/mailbox_path.h"
#include "util/sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DIRECTORY_MODE = 0700 };

int maildir_open_at(int directory, const char *name, int flags, mode_t mode)
{
    /* O_NONBLOCK: a FIFO put in the way must not hold us up. */
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    do {
        fd = syscall(SYS_openat2, directory, name, &how, sizeof how);
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return (int)fd;
}

/* Opens the directory `name`, which is made first when it is missing. */
static int open_or_make(int parent, const char *name)
{
    int fd = maildir_open_at(parent, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (mkdirat(parent, name, DIRECTORY_MODE) != 0 && errno != EEXIST)
        return -1;
    if (fsync(parent) != 0)
        return -1;
    return maildir_open_at(parent, name, O_RDONLY | O_DIRECTORY, 0);
}

/* What somebody put in the way, in contrast to what the disk or the kernel could not do. */
static bool error_means_untrusted(int error)
{
    return error == ELOOP || error == ENOTDIR || error == EXDEV || error == EACCES ||
           error == EPERM;
}

/* The owner is read from the descriptor: the name may already lead elsewhere. */
static enum maildir_result open_directory(int parent, const char *name, int *out)
{
    int fd = open_or_make(parent, name);
    if (fd < 0)
        return error_means_untrusted(errno) ? MAILDIR_UNTRUSTED : MAILDIR_FAILED;

    struct stat status;
    if (fstat(fd, &status) == 0 && status.st_uid == geteuid()) {
        *out = fd;
        return MAILDIR_OK;
    }
    (void)close(fd);
    return MAILDIR_UNTRUSTED;
}

/* Each part from the one before; only the last stays open. */
static enum maildir_result open_home(int root, struct span path, int *home)
{
    int parent = root;
    enum maildir_result result = MAILDIR_OK;
    struct span part;
    while (result == MAILDIR_OK && span_next(&path, '/', &part)) {
        char name[MAILDIR_NAME_SIZE];
        int next = -1;
        result = span_to_cstr(part, name, sizeof name) ? open_directory(parent, name, &next)
                                                       : MAILDIR_UNTRUSTED;
        int error = errno;
        if (parent != root)
            (void)close(parent);
        parent = next;
        errno = error;
    }
    *home = parent;
    return result;
}

/* tmp, new and cur are made together with the mailbox: a delivery needs all three. */
enum maildir_result maildir_open(int root, struct span path, struct maildir *out)
{
    *out = MAILDIR_NONE;
    /* Checked before anything is opened: paths come from a table that people edit. */
    if (!mailbox_path_is_sound(path))
        return MAILDIR_UNTRUSTED;

    enum maildir_result result = open_home(root, path, &out->home);
    if (result == MAILDIR_OK)
        result = open_directory(out->home, "tmp", &out->tmp);
    if (result == MAILDIR_OK)
        result = open_directory(out->home, "new", &out->new_mail);
    if (result == MAILDIR_OK)
        result = open_directory(out->home, "cur", &out->cur);
    if (result != MAILDIR_OK) {
        int error = errno;
        maildir_close(out);
        errno = error;
    }
    return result;
}

/* Syncs the directory `*fd`, and puts `part` of it in its place. */
static int sync_and_descend(int *fd, struct span part)
{
    char name[MAILDIR_NAME_SIZE];
    if (fsync(*fd) != 0)
        return errno;
    if (!span_to_cstr(part, name, sizeof name))
        return ENAMETOOLONG;
    int next = maildir_open_at(*fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (next < 0)
        return errno;
    (void)close(*fd);
    *fd = next;
    return 0;
}

/* A name lasts when the directory that it stands in was synced: from the root down. */
int maildir_sync(int root, struct span path, const struct maildir *maildir)
{
    int fd = maildir_open_at(root, ".", O_RDONLY | O_DIRECTORY, 0);
    int error = fd < 0 ? errno : 0;
    struct span part;
    while (error == 0 && span_next(&path, '/', &part))
        error = sync_and_descend(&fd, part);
    /* The last part is the mailbox itself. */
    if (error == 0 && (fsync(fd) != 0 || fsync(maildir->new_mail) != 0 || fsync(maildir->cur) != 0))
        error = errno;
    file_close(&fd);
    return error;
}

void maildir_close(struct maildir *maildir)
{
    file_close(&maildir->home);
    file_close(&maildir->tmp);
    file_close(&maildir->new_mail);
    file_close(&maildir->cur);
}

/* Names that begin with a dot are not messages. */
int maildir_each(int directory, maildir_visit *visit, void *arg)
{
    /* A descriptor of its own: the place in the directory is not shared with the next walk. */
    int fd = maildir_open_at(directory, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL) {
        int error = errno;
        file_close(&fd);
        return error;
    }
    const struct dirent *entry;
    bool more = true;
    errno = 0;
    while (more && (entry = readdir(entries)) != NULL) {
        if (entry->d_name[0] != '.')
            more = visit(arg, entry->d_name, entry->d_type);
        errno = 0;
    }
    int error = errno;
    (void)closedir(entries);
    return error;
}
