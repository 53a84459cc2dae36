/*
 * Why a name is believed: our own deliveries, and those of others that use the same letters, state
 * the size with CRLF in the name, so a hundred thousand messages are listed without a stat(2).
 * Whose file it is shows when it is fetched: one of another owner is listed by its name and never
 * opened for anybody. A name that states a wrong size makes the list wrong, and nothing else: what
 * is sent is what the file holds. A file whose name states nothing is read once, here.
 */
#include "local/letter.h"
#include "local/mailbox.h"
#include "local/maildir_name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 65536, FIRST_ROOM = 64, MESSAGES_MOST = 4000000 };

/* A message as the folder shows it; its name and unique part point into the scan's arena. */
struct found {
    struct mailbox_entry entry;
    struct span unique;
    uint64_t arrival;
};

/* One pass over both folders. */
struct scan {
    struct arena arena; /* the names */
    struct found *found;
    size_t count, room;
    struct span folder; /* "new/" or "cur/" */
    int directory;
    int error; /* errno: a message could not be measured, and that says nothing about it */
};

/* RFC 1939 §11: the octets as they are sent. False for what is no message, with errno 0 or why it
 * can not be read. */
static bool measure(int directory, const char *name, uint64_t *octets)
{
    struct stat status;
    errno = 0;
    int fd = maildir_open_at(directory, name, O_RDONLY, 0);
    if (fd < 0)
        return false;

    struct wire_count count = {0};
    char block[BLOCK];
    ssize_t got = -1;
    /* A device or a FIFO is no message, whatever it is called; nor is a foreign file. */
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid()) {
        while ((got = read(fd, block, sizeof block)) > 0)
            wire_count_add(&count, span_of(block, (size_t)got));
    }
    (void)close(fd);
    *octets = wire_count_end(&count);
    return got == 0;
}

/* The folder is part of the name: the session names messages so. */
static void add(struct scan *scan, struct span name, uint64_t octets)
{
    if (scan->count == scan->room) {
        scan->room = scan->room > 0 ? scan->room * 2 : FIRST_ROOM;
        scan->found = mem_resize(scan->found, scan->room, sizeof *scan->found);
    }
    /* One copy of the name serves list, uidl and order. */
    struct span whole =
        arena_printf(&scan->arena, "%.*s%.*s", SPAN_ARG(scan->folder), SPAN_ARG(name));
    struct span unique = maildir_name_unique_part(span_skip(whole, scan->folder.len));
    scan->found[scan->count++] = (struct found){
        .entry = {.octets = octets, .name = whole},
        .unique = unique,
        .arrival = maildir_name_arrival(unique),
    };
}

/* Of ours, and not the message's fault. A client takes whatever is not listed for gone, so there is
 * no list then. */
static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* Where the file system does not tell the type, the file itself is asked. */
static bool visit(void *arg, const char *name, unsigned char type)
{
    struct scan *scan = arg;
    uint64_t octets = 0;
    if (type != DT_REG && type != DT_UNKNOWN)
        return true;
    /* A symlink may state any size: only a plain file's name is believed. */
    bool stated = type == DT_REG && maildir_name_wire_size(span_cstr(name), &octets);
    if (stated || measure(scan->directory, name, &octets))
        add(scan, span_cstr(name), octets);
    else if (is_shortage(errno))
        scan->error = errno;
    return scan->error == 0 && scan->count < MESSAGES_MOST;
}

/* The same visitor for both: only the folder's name differs. */
static int scan_folder(struct scan *scan, struct span folder, int directory)
{
    scan->folder = folder;
    scan->directory = directory;
    int error = maildir_each(directory, visit, scan);
    return scan->error != 0 ? scan->error : error;
}

/* By octets, whatever the locale. */
static int compare_spans(struct span a, struct span b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Oldest first, and the same order in every session: message numbers of two sessions agree as
 * far as they can. */
static int by_arrival(const void *left, const void *right)
{
    const struct found *a = left;
    const struct found *b = right;
    if (a->arrival != b->arrival)
        return a->arrival < b->arrival ? -1 : 1;
    int order = compare_spans(a->unique, b->unique);
    return order != 0 ? order : compare_spans(a->entry.name, b->entry.name);
}

/* The sorted entries without those that another one has the unique part of: a message that was
 * moved while the folders were read. The list ends up in `entries`. */
static size_t drop_doubles(struct scan *scan, struct mailbox_entry *entries)
{
    size_t kept = 0;
    for (size_t i = 0; i < scan->count; i++) {
        struct found *found = &scan->found[i];
        /* Sorted: doubles are neighbours. */
        if (i > 0 && span_equal(found->unique, scan->found[i - 1].unique))
            continue;
        found->entry.uidl = maildir_name_uidl(found->unique, &scan->arena);
        entries[kept++] = found->entry;
    }
    return kept;
}

/* errno is that of the sealing. */
static int seal_list(struct scan *scan, uint32_t *count)
{
    if (scan->count > 0)
        qsort(scan->found, scan->count, sizeof *scan->found, by_arrival);
    struct mailbox_entry *entries = mem_array(scan->count + 1, sizeof *entries);
    size_t kept = drop_doubles(scan, entries);
    int fd = mailbox_list_seal(entries, kept);
    int error = errno;
    mem_free(entries);
    *count = (uint32_t)kept;
    errno = error;
    return fd;
}

/* Nothing is kept here: the list is the session's. */
int mailbox_scan(const struct maildir *maildir, uint32_t *count)
{
    struct scan scan = {0};
    int fd = -1;
    /* new/ first: messages move from there to cur/, so one that moves meanwhile is seen twice
     * rather than never. */
    int error = scan_folder(&scan, SPAN("new/"), maildir->new_mail);
    if (error == 0)
        error = scan_folder(&scan, SPAN("cur/"), maildir->cur);
    if (error == 0) {
        fd = seal_list(&scan, count);
        error = fd < 0 ? errno : 0;
    }
    mem_free(scan.found);
    arena_free(&scan.arena);
    errno = error;
    return fd;
}
