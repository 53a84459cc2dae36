/*
 * Why a directory is read whole before a pair is looked at: recovery renames and makes files, and
 * what readdir(3) shows of a directory that changes is not said anywhere.
 *
 * A file N.free is a spare of an earlier life. Whether the disk knows it by another name as well
 * can not be told, so none is used again.
 */
#include "util/spool/pairs.h"

#include "util/base/base64.h"
#include "util/base/log.h"
#include "util/spool/store_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each name is an item of its own until merge_pairs. */
static void note(struct pair_list *list, uint64_t number, bool letters)
{
    if (list->count == list->cap) {
        list->cap = list->cap * 2 + 64;
        list->pairs = mem_resize(list->pairs, list->cap, sizeof *list->pairs);
    }
    list->pairs[list->count++] = (struct pair){number, letters, !letters};
}

/* True when `name` is a segment's number, as store_name writes it, with that suffix. */
static bool is_numbered(const char *name, const char *suffix, uint64_t *number)
{
    char canonical[STORE_NAME_MAX];
    struct span text = span_cstr(name);
    size_t length = strlen(suffix);
    if (!span_has_suffix(text, span_cstr(suffix)) ||
        !base32_to_u64(span_first(text, text.len - length), number) ||
        !spool_number_is_possible(*number))
        return false;
    store_name(*number, suffix, canonical);
    return strcmp(name, canonical) == 0;
}

/* A link or a directory of that name is not ours, whoever put it there. */
static bool is_regular(const struct spool_store *store, const char *name)
{
    struct stat facts;
    return fstatat(store->queue, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(facts.st_mode);
}

/* What is not ours is named in the log and left alone. */
static void note_name(struct spool_store *store, struct pair_list *list, const char *name)
{
    uint64_t number;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "next") == 0)
        return;
    /* Asked first: whatever its name looks like. */
    if (!is_regular(store, name))
        log_event(LOG_WARN, "spool-foreign-file", LOG_STR("name", name));
    else if (is_numbered(name, ".seg", &number))
        note(list, number, true);
    else if (is_numbered(name, ".state", &number))
        note(list, number, false);
    else if (is_numbered(name, ".free", &number) || is_numbered(name, ".new", &number) ||
             strcmp(name, "next.new") == 0)
        (void)store->io->unlinkat(store->queue, name, 0);
    else
        log_event(LOG_WARN, "spool-foreign-file", LOG_STR("name", name));
}

/* By number, which is by age. */
static int compare_pairs(const void *a, const void *b)
{
    uint64_t left = ((const struct pair *)a)->number;
    uint64_t right = ((const struct pair *)b)->number;
    return left < right ? -1 : left > right;
}

/* One item a number, in the order of their age. */
static void merge_pairs(struct pair_list *list)
{
    size_t kept = 0;
    if (list->count > 0)
        qsort(list->pairs, list->count, sizeof *list->pairs, compare_pairs);
    for (size_t i = 0; i < list->count; i++) {
        struct pair pair = list->pairs[i];
        /* The two halves of a pair are neighbours now. */
        if (kept > 0 && list->pairs[kept - 1].number == pair.number) {
            list->pairs[kept - 1].letters |= pair.letters;
            list->pairs[kept - 1].state |= pair.state;
        } else {
            list->pairs[kept++] = pair;
        }
    }
    list->count = kept;
}

/* errno is told apart from the end of the directory by setting it to zero before each call. */
bool pairs_read(struct spool_store *store, struct pair_list *list)
{
    int fd = openat(store->queue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    const struct dirent *item;
    errno = 0;
    while ((item = readdir(stream)) != NULL) {
        note_name(store, list, item->d_name);
        errno = 0;
    }
    int error = errno;
    closedir(stream);
    merge_pairs(list);
    errno = error;
    return error == 0;
}
