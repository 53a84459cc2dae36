/*
 * Why bits and not a copy of the list: most sessions delete nothing and then the marks take no
 * memory; the list itself stays a read-only mapping that the kernel shares.
 */
#include "pop3d/maildrop.h"

#include <limits.h>
#include <sys/file.h>
#include <unistd.h>

#include "util/base/arena.h"
#include "util/sys/file.h"

void maildrop_init(struct maildrop *maildrop)
{
    *maildrop = (struct maildrop){.lock = -1};
}

/* The mapping outlives its descriptor, which is one less for each session. */
bool maildrop_open(struct maildrop *maildrop, int lock, int list)
{
    bool opened = mailbox_list_open(&maildrop->list, list);
    (void)close(list);
    maildrop->lock = lock;
    maildrop_unmark_all(maildrop);
    if (!opened)
        maildrop_close(maildrop);
    return opened;
}

/* In so many words: to close it is not enough while the process that opened it, and sends it to and
 * fro, has the same open file a moment longer. */
void maildrop_unlock(struct maildrop *maildrop)
{
    if (maildrop->lock >= 0)
        (void)flock(maildrop->lock, LOCK_UN);
    file_close(&maildrop->lock);
}

/* The lock last: when another session has it, nothing of this one is left. */
void maildrop_close(struct maildrop *maildrop)
{
    mailbox_list_close(&maildrop->list);
    mem_free(maildrop->marks);
    maildrop_unlock(maildrop);
    maildrop_init(maildrop);
}

/* RFC 1939 §5: a message that is marked is as good as none, for every command. */
bool maildrop_find(const struct maildrop *maildrop, struct span number, uint32_t *index)
{
    uint64_t value;
    if (!span_to_u64(number, maildrop->list.count, &value) || value == 0)
        return false;
    *index = (uint32_t)(value - 1);
    return !maildrop_is_marked(maildrop, *index);
}

/* No marks at all is the usual case, and asked for with each message of each list. */
bool maildrop_is_marked(const struct maildrop *maildrop, uint32_t index)
{
    return maildrop->marks != NULL &&
           (maildrop->marks[index / CHAR_BIT] >> (index % CHAR_BIT) & 1) != 0;
}

/* The octets come with it because the caller has just read the entry. */
void maildrop_mark(struct maildrop *maildrop, uint32_t index, uint64_t octets)
{
    if (maildrop->marks == NULL)
        maildrop->marks = mem_array(maildrop->list.count / CHAR_BIT + 1, 1);
    maildrop->marks[index / CHAR_BIT] |= (uint8_t)(1U << (index % CHAR_BIT));
    maildrop->left--;
    maildrop->octets -= octets;
}

/* The memory goes, too: no marks is what most sessions end with. */
void maildrop_unmark_all(struct maildrop *maildrop)
{
    mem_free(maildrop->marks);
    maildrop->marks = NULL;
    maildrop->left = maildrop->list.count;
    maildrop->octets = maildrop->list.octets;
    maildrop->last = 0;
}

bool maildrop_add_name(const struct maildrop *maildrop, uint32_t index, struct buf *names)
{
    struct mailbox_entry entry;
    /* The list vouches for the NUL behind the name. */
    return mailbox_list_entry(&maildrop->list, index, &entry) &&
           buf_append(names, span_of(entry.name.data, entry.name.len + 1));
}

/* Stops at a name that has no room, and at one that can not be read: from an empty request
 * the caller sees that it will never get past that one. */
void maildrop_add_marked(const struct maildrop *maildrop, uint32_t *index, struct buf *names)
{
    for (; *index < maildrop->list.count; ++*index)
        if (maildrop_is_marked(maildrop, *index) && !maildrop_add_name(maildrop, *index, names))
            return;
}
