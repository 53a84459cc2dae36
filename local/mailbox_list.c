/*
 * Why a mapping and not a packet: a hundred thousand messages are 12 MB of list. pop3d maps them in
 * no time, touches the pages that its client asks about, and the kernel counts them once.
 *
 * Nearly every uidl is the first part of its name, so it is stored as a place within the name and
 * costs nothing.
 */
#include "local/mailbox_list.h"

#include "util/base/buf.h"
#include "util/base/panic.h"
#include "util/sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_MAGIC UINT64_C(0x315453494c534456) /* "VDSLIST1" */

enum { LIST_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

/* The first octets of the memfd; both sides are of one build, so it lies as in memory. */
struct list_head {
    uint64_t magic;
    uint32_t count;
    uint32_t size;
    uint64_t octets;
};

struct list_place {
    uint32_t at;
    uint32_t len;
};

struct list_row {
    uint64_t octets;
    struct list_place uidl;
    struct list_place name;
};

/* By address: a uidl cut from its name needs no second copy. */
static bool is_part_of(struct span part, struct span whole)
{
    uintptr_t at = (uintptr_t)part.data;
    uintptr_t start = (uintptr_t)whole.data;
    return at >= start && at + part.len <= start + whole.len;
}

/* The NUL behind the name is what lets pop3d send it back without a copy. */
static size_t texts_size(const struct mailbox_entry *entry)
{
    size_t uidl = is_part_of(entry->uidl, entry->name) ? 0 : entry->uidl.len;
    return entry->name.len + 1 + uidl;
}

/* The row of an entry whose texts begin at `at`. */
static struct list_row row_of(const struct mailbox_entry *entry, size_t at)
{
    size_t uidl = is_part_of(entry->uidl, entry->name)
                      ? at + (size_t)(entry->uidl.data - entry->name.data)
                      : at + entry->name.len + 1;
    return (struct list_row){
        .octets = entry->octets,
        .uidl = {(uint32_t)uidl, (uint32_t)entry->uidl.len},
        .name = {(uint32_t)at, (uint32_t)entry->name.len},
    };
}

/* In the order in which row_of counted. */
static void add_texts(struct buf *out, const struct mailbox_entry *entry)
{
    buf_add(out, entry->name);
    buf_add(out, span_of("", 1));
    if (!is_part_of(entry->uidl, entry->name))
        buf_add(out, entry->uidl);
}

/* Head, rows, texts; the places in the rows count from the head. */
static void compose(struct buf *out, const struct list_head *head,
                    const struct mailbox_entry *entries)
{
    buf_add(out, span_of(head, sizeof *head));
    /* Where the first text begins: behind the last row. */
    size_t at = sizeof *head + head->count * sizeof(struct list_row);
    for (size_t i = 0; i < head->count; i++) {
        struct list_row row = row_of(&entries[i], at);
        buf_add(out, span_of(&row, sizeof row));
        at += texts_size(&entries[i]);
    }
    for (size_t i = 0; i < head->count; i++)
        add_texts(out, &entries[i]);
    require(buf_len(out) == head->size);
}

/* Sealed before it is handed out: nobody can change it under pop3d's mapping. */
static int seal(struct span octets)
{
    int fd = memfd_create("mailbox-list", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (file_write(fd, octets) && fcntl(fd, F_ADD_SEALS, LIST_SEALS | F_SEAL_SEAL) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

/* Measured first: places have 32 bits, and a list that needs more is refused whole. */
int mailbox_list_seal(const struct mailbox_entry *entries, size_t count)
{
    uint64_t octets = 0;
    size_t size = sizeof(struct list_head);
    for (size_t i = 0; i < count; i++) {
        size += sizeof(struct list_row) + texts_size(&entries[i]);
        octets += entries[i].octets;
    }
    /* At 120 octets a message that is 35 million of them. */
    if (size > UINT32_MAX) {
        errno = EFBIG;
        return -1;
    }

    struct buf out = {0};
    struct list_head head = {LIST_MAGIC, (uint32_t)count, (uint32_t)size, octets};
    compose(&out, &head, entries);
    int fd = seal(buf_span(&out));
    int error = errno;
    buf_free(&out);
    errno = error;
    return fd;
}

/* The head must fit what is really there before anything is believed. */
static bool head_is_sound(const struct list_head *head, size_t size)
{
    return head->magic == LIST_MAGIC && head->size == size &&
           head->count <= (size - sizeof *head) / sizeof(struct list_row);
}

/* Seals first: without them the size could change behind the check. */
bool mailbox_list_open(struct mailbox_list *list, int fd)
{
    *list = (struct mailbox_list){0};
    /* A descriptor that is no memfd has none, and is refused here. */
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;
    if (seals < 0 || (seals & LIST_SEALS) != LIST_SEALS || fstat(fd, &status) != 0)
        return false;
    size_t size = (size_t)status.st_size;
    if (status.st_size < (off_t)sizeof(struct list_head) || size > UINT32_MAX)
        return false;

    /* Private: kernels before 6.7 refuse a shared mapping of a memfd sealed against writing. */
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return false;
    struct list_head head;
    memcpy(&head, data, sizeof head);
    *list = (struct mailbox_list){data, size, head.count, head.octets};
    if (head_is_sound(&head, size))
        return true;
    mailbox_list_close(list);
    return false;
}

/* Subtracted, so that no sum can wrap. */
static bool text_at(const struct mailbox_list *list, struct list_place place, struct span *text)
{
    if (place.at > list->size || place.len > list->size - place.at)
        return false;
    *text = span_of(list->data + place.at, place.len);
    return true;
}

/* Copied out of the mapping before it is judged. */
bool mailbox_list_entry(const struct mailbox_list *list, uint32_t index,
                        struct mailbox_entry *entry)
{
    /* The count was held against the size when the list was opened. */
    if (index >= list->count)
        return false;
    struct list_row row;
    memcpy(&row, list->data + sizeof(struct list_head) + index * sizeof row, sizeof row);
    entry->octets = row.octets;
    return text_at(list, row.uidl, &entry->uidl) && text_at(list, row.name, &entry->name) &&
           row.name.len < list->size - row.name.at && entry->name.data[row.name.len] == '\0';
}

/* The descriptor is the caller's. */
void mailbox_list_close(struct mailbox_list *list)
{
    if (list->data != NULL)
        (void)munmap((void *)(uintptr_t)list->data, list->size);
    *list = (struct mailbox_list){0};
}
