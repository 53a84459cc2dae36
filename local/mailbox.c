/*
 * Why names and no numbers: the list is pop3d's to keep, and a process that was started anew must
 * serve the sessions of the one before. A name from pop3d is foreign all the same: it is taken
 * apart, one part only, and opened beneath new/ or cur/ without following anything.
 */
#include "local/mailbox.h"

#include "local/maildir_name.h"
#include "util/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_MODE = 0600 };

static const char lock_name[] = "veredus-pop3.lock";

/* ---- the lock ---- */

/* Links are not counted: snapshots are made of them (cp -al). The owner is what keeps a link to
 * somebody else's file from being read. */
static bool is_plain_file(int fd, struct stat *status)
{
    return fstat(fd, status) == 0 && S_ISREG(status->st_mode) && status->st_uid == geteuid();
}

/* RFC 1939 §4: one session at a time has the maildrop. The lock file stays; only the lock comes
 * and goes. */
enum mailbox_status mailbox_lock(const struct maildir *maildir, int *lock)
{
    struct stat status;
    /* Read-only is enough for flock(2), and nobody can write through what pop3d is handed. */
    int fd = maildir_open_at(maildir->home, lock_name, O_RDONLY | O_CREAT, LOCK_MODE);
    if (fd < 0)
        return errno == ELOOP || errno == EXDEV ? MAILBOX_DENIED : MAILBOX_TEMPORARY;

    enum mailbox_status result = MAILBOX_OK;
    if (!is_plain_file(fd, &status))
        result = MAILBOX_DENIED;
    else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        result = errno == EWOULDBLOCK ? MAILBOX_IN_USE : MAILBOX_TEMPORARY;

    if (result == MAILBOX_OK)
        *lock = fd;
    else
        (void)close(fd);
    return result;
}

bool mailbox_is_locked_by(const struct maildir *maildir, int lock)
{
    struct stat shown, ours;
    /* Only the holder's own description can take the lock while it is held; when nobody holds it,
     * the session has it from now on. */
    return fstat(lock, &shown) == 0 &&
           fstatat(maildir->home, lock_name, &ours, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(ours.st_mode) && shown.st_dev == ours.st_dev && shown.st_ino == ours.st_ino &&
           flock(lock, LOCK_EX | LOCK_NB) == 0;
}

/* ---- finding a message ---- */

/* A name taken apart. */
struct target {
    int first, second; /* the directory it was seen in, and the other one */
    char file[MAILDIR_NAME_SIZE];
};

/* "new/" or "cur/", then one part without a slash and without a dot at its front. */
static bool target_of(const struct maildir *maildir, struct span name, struct target *target)
{
    bool is_new = span_has_prefix(name, SPAN("new/"));
    if (!is_new && !span_has_prefix(name, SPAN("cur/")))
        return false;
    /* Where it was listed is where it is looked for first. */
    target->first = is_new ? maildir->new_mail : maildir->cur;
    target->second = is_new ? maildir->cur : maildir->new_mail;
    struct span file = span_skip(name, 4);
    return file.len > 0 && file.data[0] != '.' && span_find(file, '/') == file.len &&
           span_to_cstr(file, target->file, sizeof target->file);
}

/* A message that is not where it was listed; `unique` and `name` lie in the arena. */
struct moved {
    struct span unique;
    const char *name; /* NULL: not found */
    int place;
    UT_hash_handle hh;
};

/* One pass over a folder. */
struct search {
    struct mailbox_request *request;
    int place;
};

static struct moved *moved_of(const struct mailbox_request *request, struct span unique)
{
    struct moved *moved;
    HASH_FIND(hh, request->moved, unique.data, unique.len, moved);
    return moved;
}

/* The unique part is what a rename between new/ and cur/, or new flags, leave as it is. */
static bool visit_search(void *arg, const char *name, unsigned char type)
{
    (void)type;
    const struct search *search = arg;
    struct span text = span_cstr(name);
    struct moved *moved = moved_of(search->request, maildir_name_unique_part(text));
    if (moved != NULL && moved->name == NULL) {
        moved->name = arena_copy(&search->request->arena, text).data;
        moved->place = search->place;
    }
    return true;
}

/* Notes the message of `name` when it is not there any more. */
static void want(struct mailbox_request *request, struct span name)
{
    struct target target;
    struct stat status;
    if (!target_of(request->maildir, name, &target) ||
        fstatat(target.first, target.file, &status, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
        return;
    struct span unique = maildir_name_unique_part(span_cstr(target.file));
    if (moved_of(request, unique) != NULL)
        return;
    struct moved *moved = arena_zalloc(&request->arena, sizeof *moved);
    moved->unique = arena_copy(&request->arena, unique);
    HASH_ADD_KEYPTR(hh, request->moved, moved->unique.data, moved->unique.len, moved);
}

static void forget_moved(struct mailbox_request *request)
{
    HASH_CLEAR(hh, request->moved);
    arena_reset(&request->arena);
}

/* Once for all messages of the request: a reading for each would take the square of their number,
 * and all others wait meanwhile. new/ first, so that one that moves to cur/ is met. */
static void search(struct mailbox_request *request)
{
    struct search places[] = {{request, request->maildir->new_mail},
                              {request, request->maildir->cur}};
    struct span names = request->names, name;
    forget_moved(request);
    request->searched = true;
    request->error = 0;
    while (span_next(&names, '\0', &name))
        want(request, name);
    for (size_t i = 0; i < 2 && request->error == 0; i++)
        request->error = maildir_each(places[i].place, visit_search, &places[i]);
}

/* The directory that holds the message under whatever flags, and its name there in target->file;
 * -1 with errno, ENOENT when it is gone. */
static int find_moved(struct mailbox_request *request, struct target *target)
{
    if (!request->searched)
        search(request);
    const struct moved *moved =
        moved_of(request, maildir_name_unique_part(span_cstr(target->file)));
    errno = request->error != 0 ? request->error : ENOENT;
    if (moved == NULL || moved->name == NULL ||
        !span_to_cstr(span_cstr(moved->name), target->file, sizeof target->file))
        return -1;
    return moved->place;
}

void mailbox_request_end(struct mailbox_request *request)
{
    HASH_CLEAR(hh, request->moved);
    arena_free(&request->arena);
}

/* The listed name first: in most sessions nothing moves. */
int mailbox_open_message(struct mailbox_request *request, struct span name)
{
    struct target target;
    struct stat status;
    if (!target_of(request->maildir, name, &target))
        return -1;
    int fd = maildir_open_at(target.first, target.file, O_RDONLY, 0);
    if (fd < 0 && errno == ENOENT) {
        int place = find_moved(request, &target);
        fd = place < 0 ? -1 : maildir_open_at(place, target.file, O_RDONLY, 0);
    }
    if (fd >= 0 && is_plain_file(fd, &status))
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* ---- deleting ---- */

/* True when the message is not there any more. One that was moved again behind the search is
 * searched for once more. */
static bool delete_one(struct mailbox_request *request, struct span name)
{
    struct target target;
    if (!target_of(request->maildir, name, &target))
        return false;
    int place = target.first;
    for (int tries = 0; tries < 3; tries++) {
        if (unlinkat(place, target.file, 0) == 0)
            return true;
        if (errno != ENOENT)
            return false;
        request->searched = request->searched && tries == 0;
        place = find_moved(request, &target);
        /* Gone is gone, whoever took it. */
        if (place < 0)
            return errno == ENOENT;
    }
    return false;
}

/* One sync for each directory at the end, however many messages went (RFC 1939 §6: the client
 * is told then). */
enum mailbox_status mailbox_delete(struct mailbox_request *request, uint32_t *gone)
{
    const struct maildir *maildir = request->maildir;
    bool all = true;
    struct span names = request->names, name;
    *gone = 0;
    while (span_next(&names, '\0', &name)) {
        bool deleted = delete_one(request, name);
        *gone += deleted;
        all = all && deleted;
    }
    /* Also when some remained: those that are gone are to stay gone. */
    bool durable = fsync(maildir->new_mail) == 0 && fsync(maildir->cur) == 0;
    return all && durable ? MAILBOX_OK : MAILBOX_PARTIAL;
}
