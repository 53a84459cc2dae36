/*
 * A table that is edited while the server reads it must never be seen half written, and must
 * survive a power cut as the old or the new text. Only rename(2) does that.
 */
#include "ctl/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/base/arena.h"
#include "util/sys/file.h"

/* Octets asked for in one read. */
enum { READ_SIZE = 65536 };

bool files_read(const char *path, struct buf *text)
{
    ssize_t count;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    /* A device or a file that grows for ever ends as EFBIG and not with all memory taken. */
    text->limit = FILES_TEXT_MAX;
    do {
        char *room = buf_room(text, READ_SIZE);
        /* For the case without room only; read sets its own. */
        errno = EFBIG;
        count = room ? read(fd, room, READ_SIZE) : -1;
        if (count > 0)
            buf_filled(text, (size_t)count);
    } while (count > 0);
    int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return count == 0;
}

/* Syncs the directory that `path` lies in, so that the rename itself is durable. */
static bool sync_directory_of(struct arena *arena, const char *path)
{
    struct span whole = span_cstr(path);
    size_t slash = span_find_last(whole, '/');
    struct span directory = slash < whole.len ? span_first(whole, slash + 1) : SPAN(".");
    int fd = open(arena_copy(arena, directory).data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0;
    int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return good;
}

/* The temporary file, complete and on the disk; with NULL as `owner` it stays with its maker. */
static bool write_temporary(const char *temporary, struct span text, unsigned mode,
                            const struct privileges *owner)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    /* Mode and owner are set while the file has its temporary name: under its own it is right
     * from the first moment, and a hash is never readable to more than before. */
    bool good = file_write(fd, text) && fchmod(fd, mode) == 0;
    if (owner)
        good = good && fchown(fd, owner->uid, owner->gid) == 0;
    /* Before the rename: else a power cut could leave the new name on an empty file. */
    good = good && fsync(fd) == 0;
    int saved_errno = errno;
    /* Some file systems tell only now that the disk was full. */
    good = close(fd) == 0 && good;
    if (!good && saved_errno)
        errno = saved_errno;
    return good;
}

/* Whom a replaced file goes to: only root can give, and gives by default to the old owner. NULL:
 * to nobody else. */
static const struct privileges *heir(const char *path, const struct privileges *wanted,
                                     struct privileges *old)
{
    struct stat st;
    if (geteuid() != 0)
        return NULL;
    if (wanted || stat(path, &st) != 0)
        return wanted;
    *old = (struct privileges){.uid = st.st_uid, .gid = st.st_gid};
    return old;
}

/* Only when the directory is on the disk, too, is the new text sure to be there after a crash. */
bool files_replace(const char *path, struct span text, unsigned mode,
                   const struct privileges *owner)
{
    struct arena arena = {0};
    struct privileges old;
    const char *temporary = arena_printf(&arena, "%s.new", path).data;
    /* One left behind by a crash; whoever writes here holds the lock of the tables. */
    (void)unlink(temporary);
    bool good = write_temporary(temporary, text, mode, heir(path, owner, &old)) &&
                rename(temporary, path) == 0;
    /* Up to the rename nothing has happened to the old text: a failure takes back only the
     * copy. */
    int saved_errno = errno;
    if (!good)
        (void)unlink(temporary);
    errno = saved_errno;
    good = good && sync_directory_of(&arena, path);
    saved_errno = errno;
    arena_free(&arena);
    errno = saved_errno;
    return good;
}

/* For others than root there is nothing to give: all they make is theirs. */
bool files_give(const char *path, const struct privileges *owner)
{
    if (!owner || geteuid() != 0)
        return true;
    return lchown(path, owner->uid, owner->gid) == 0;
}

bool files_make_directory(const char *path)
{
    struct stat st;
    /* 0700, for mail and passwords will lie beneath; who wants it wider says so himself. */
    if (mkdir(path, 0700) == 0)
        return true;
    if (errno != EEXIST || stat(path, &st) != 0)
        return false;
    /* Used by the caller only when what exists is something else. */
    errno = ENOTDIR;
    return S_ISDIR(st.st_mode);
}
