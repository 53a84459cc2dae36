/*
 * How a pair comes into being, in the order that a power cut can not harm: the state file, synced;
 * the letters under the name of a spare (N.free) with their block, synced; their rename to N.seg;
 * the sync of the directory. Only then is a descriptor handed out. So a file called N.seg always
 * had a whole block, and what is called N.free never holds a letter that counts.
 *
 * Every descriptor that is handed out carries a lock of its open file (F_OFD_SETLK) which lives as
 * long as the last process that has it. By it we know whether a writer is still there after qmgr
 * was restarted, and that nobody looks at a file any more before it is recycled.
 */
#include "util/spool/store_parts.h"

#include "util/base/base64.h"
#include "util/base/clock.h"
#include "util/base/log.h"
#include "util/base/random.h"
#include "util/sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { NUMBERS_RESERVED = 16, ZEROS_AT_ONCE = 65536 };
enum { DIRECTORY_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW };

/* 2026-01-01: the clock gives a floor to segment numbers, so that a spool that was emptied, or
 * restored from an old copy, does not use a number twice. It runs faster than any server uses
 * numbers up: 64 a second, and 44 bits last for eight thousand years. */
enum { EPOCH = 1767225600, NUMBER_US = 1000000 / 64 };

/* Names are canonical: recovery compares them letter by letter. */
void store_name(uint64_t number, const char *suffix, char out[STORE_NAME_MAX])
{
    char digits[BASE32_U64_MAX];
    int length = (int)base32_u64(number, digits);
    (void)snprintf(out, STORE_NAME_MAX, "%.*s%s", length, digits, suffix);
}

/* ---- segments in memory ---- */

/* An empty segment has nothing before its first block. */
struct spool_segment *store_add(struct spool_store *store, const struct spool_block *block, int fd)
{
    struct spool_segment *segment = mem_new(sizeof *segment);
    segment->store = store;
    segment->block = *block;
    segment->fd = fd;
    /* Behind the block, where the first record goes. */
    segment->scanned_end = segment->synced_end = SPOOL_BLOCK;
    segment->mark = (struct state_mark){.indexed_end = SPOOL_BLOCK};
    HASH_ADD(hh, store->segments, block.number, sizeof segment->block.number, segment);
    return segment;
}

void store_forget(struct spool_segment *segment)
{
    HASH_DEL(segment->store->segments, segment);
    if (segment->fd >= 0)
        close(segment->fd);
    mem_free(segment->entries);
    mem_free(segment->dirty);
    mem_free(segment);
}

struct spool_segment *spool_segment_find(struct spool_store *store, uint64_t number)
{
    struct spool_segment *segment;
    HASH_FIND(hh, store->segments, &number, sizeof number, segment);
    return segment;
}

void spool_store_each_open(struct spool_store *store,
                           void (*visit)(void *arg, const struct spool_segment *segment), void *arg)
{
    struct spool_segment *segment, *next;
    HASH_ITER (hh, store->segments, segment, next) {
        if (segment->sealed_end == 0)
            visit(arg, segment);
    }
}

bool spool_salt_equal(const struct spool_salt *left, const struct spool_salt *right)
{
    return memcmp(left->octets, right->octets, SPOOL_SALT) == 0;
}

const struct spool_block *spool_segment_block(const struct spool_segment *segment)
{
    return &segment->block;
}

size_t spool_store_segments(const struct spool_store *store)
{
    return HASH_COUNT(store->segments);
}

struct segment_view segment_view_of(const struct spool_segment *segment, int fd)
{
    return (struct segment_view){fd, segment->block.number, segment->block.salt};
}

/* ---- descriptors ---- */

/* Opened by number each time: sealed segments hold no descriptor. */
int segment_open(const struct spool_segment *segment, int flags)
{
    char name[STORE_NAME_MAX];
    store_name(segment->block.number, ".seg", name);
    return segment->store->io->openat(segment->store->queue, name, flags | O_CLOEXEC | O_NOFOLLOW,
                                      0);
}

/* Open file description locks: they go with the descriptor to another process, and end with its
 * last copy. */
static int set_lock(int fd, enum segment_lock octet, short type)
{
    struct flock range = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)octet, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &range);
}

/* A separate open: the offset and the lock are not shared with ours. */
static int open_for_others(struct spool_segment *segment, int flags, enum segment_lock octet)
{
    int fd = segment_open(segment, flags);
    if (fd >= 0 && set_lock(fd, octet, octet == LOCK_WRITER ? F_WRLCK : F_RDLCK) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* From here on somebody may write, so the end of the letters is his to say. */
int spool_segment_open_writer(struct spool_segment *segment)
{
    return open_for_others(segment, O_WRONLY, LOCK_WRITER);
}

int spool_segment_open_reader(struct spool_segment *segment)
{
    return open_for_others(segment, O_RDONLY, LOCK_READER);
}

/* When the kernel can not tell, somebody has it. */
bool segment_is_open_for(int fd, enum segment_lock octet)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)octet, .l_len = 1};
    return fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type != F_UNLCK;
}

/* errno is that of the read, not of the close behind it. */
enum record_result spool_segment_read(struct spool_segment *segment, uint64_t offset,
                                      struct arena *arena, struct record *record)
{
    int fd = segment->fd >= 0 ? segment->fd : segment_open(segment, O_RDONLY);
    if (fd < 0)
        return RECORD_IO;
    struct segment_view view = segment_view_of(segment, fd);
    enum record_result result = record_read(&view, offset, arena, record);
    int error = errno;
    if (fd != segment->fd)
        close(fd);
    errno = error;
    return result;
}

/* ---- numbers ---- */

/* Persists `reserved` as the next number to be given; 0 or errno. The directory is synced with the
 * pair that gets the first of them. */
static int write_next(struct spool_store *store, uint64_t reserved)
{
    char text[STORE_NAME_MAX];
    /* A name is also how a number is written in this file: digits and a line end. */
    store_name(reserved, "\n", text);
    int fd =
        store->io->openat(store->queue, "next.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = spool_io_write(store->io, fd, text, strlen(text), 0);
    if (error == 0 && store->io->fsync(fd) != 0)
        error = errno;
    close(fd);
    if (error == 0 && store->io->renameat(store->queue, "next.new", store->queue, "next") != 0)
        error = errno;
    return error;
}

/* Numbers are reserved sixteen at a time: one small file is written for so many segments. One that
 * no queue id has room for is never given. */
static int take_number(struct spool_store *store, uint64_t *number)
{
    if (!spool_number_is_possible(store->next_number))
        return EOVERFLOW;
    if (store->next_number >= store->reserved) {
        uint64_t reserved = store->next_number + NUMBERS_RESERVED;
        int error = write_next(store, reserved);
        if (error != 0)
            return error;
        /* Only now: a number counts as reserved when the file says so. */
        store->reserved = reserved;
    }
    *number = store->next_number++;
    return 0;
}

/* The greater of what the file says and what the clock says. */
static uint64_t first_number(const struct spool_store *store)
{
    uint64_t number = 0;
    uint64_t epoch_us = UINT64_C(1000000) * EPOCH;
    uint64_t now_us = clock_wall_us();
    uint64_t floor = now_us > epoch_us ? (now_us - epoch_us) / NUMBER_US + 1 : 1;
    char text[STORE_NAME_MAX];
    int fd = openat(store->queue, "next", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return floor;
    ssize_t length = pread(fd, text, sizeof text, 0);
    close(fd);
    struct span digits = span_of(text, length > 0 ? (size_t)length : 0);
    bool sound = base32_to_u64(span_first(digits, span_find(digits, '\n')), &number) &&
                 spool_number_is_possible(number);
    if (!sound)
        log_event(LOG_WARN, "spool-next-damaged", LOG_UINT("floor", floor));
    /* A damaged file costs a jump ahead, never a number used twice. */
    return sound && number > floor ? number : floor;
}

/* ---- a new pair ---- */

/* Written ahead, not only allocated: syncs over written blocks change no metadata. */
static int write_zeros(struct spool_store *store, int fd, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[ZEROS_AT_ONCE];
    int error = 0;
    for (uint64_t at = from; error == 0 && at < to; at += ZEROS_AT_ONCE)
        error = spool_io_write(store->io, fd, zeros, ZEROS_AT_ONCE, at);
    return error;
}

/* Opens a spare, or makes one; *fresh says which. -1 with errno. */
static int open_free(struct spool_store *store, const struct spool_block *block,
                     char name[STORE_NAME_MAX], bool *fresh)
{
    /* A private segment has no usual size: recycling one would waste or lack space. */
    *fresh = block->kind == SPOOL_PRIVATE || store->spare_count == 0;
    store_name(*fresh ? block->number : store->spares[--store->spare_count], ".free", name);
    int create = *fresh ? O_CREAT | O_EXCL : 0;
    return store->io->openat(store->queue, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | create, 0600);
}

/* Writes and syncs the block, gives the file its name; 0 or errno. */
static int become_segment(struct spool_store *store, const struct spool_block *block, int fd,
                          const char *free_name, bool fresh)
{
    uint8_t octets[SPOOL_BLOCK];
    char name[STORE_NAME_MAX];
    spool_block_encode(block, octets);
    store_name(block->number, ".seg", name);
    int error = 0;
    /* The first MiB alone: a quiet server fills no more of it. */
    if (fresh && block->kind == SPOOL_SHARED)
        error = write_zeros(store, fd, 0, STORE_PREWRITTEN);
    if (error == 0)
        error = spool_io_write(store->io, fd, octets, sizeof octets, 0);
    if (error == 0 && store->io->fsync(fd) != 0)
        error = errno;
    if (error == 0 && store->io->renameat(store->queue, free_name, store->queue, name) != 0)
        error = errno;
    if (error == 0 && store->io->fsync(store->queue) != 0)
        error = errno;
    if (error != 0)
        (void)store->io->unlinkat(store->queue, name, 0);
    return error;
}

/* The letters' half of a pair; its descriptor, or -1 with errno and nothing left behind. */
static int make_letters(struct spool_store *store, const struct spool_block *block)
{
    char name[STORE_NAME_MAX];
    bool fresh;
    int fd = open_free(store, block, name, &fresh);
    int error = fd < 0 ? errno : become_segment(store, block, fd, name, fresh);
    if (error == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    (void)store->io->unlinkat(store->queue, name, 0);
    errno = error;
    return -1;
}

/* On failure nothing is left but a number that is never used. */
struct spool_segment *spool_segment_new(struct spool_store *store, enum spool_kind kind)
{
    struct spool_block block = {.kind = kind};
    int error = take_number(store, &block.number);
    /* A salt of its own for each life: what an earlier one left behind proves nothing. */
    random_fill(block.salt.octets, SPOOL_SALT);
    if (error == 0)
        error = state_create(store, &block);
    if (error != 0) {
        errno = error;
        return NULL;
    }
    /* The state file first: letters without one would be taken for a loss at recovery. */
    int fd = make_letters(store, &block);
    if (fd >= 0)
        return store_add(store, &block, fd);
    error = errno;
    char name[STORE_NAME_MAX];
    store_name(block.number, ".state", name);
    (void)store->io->unlinkat(store->queue, name, 0);
    errno = error;
    return NULL;
}

/* ---- the directory ---- */

/* A sentence for file systems on which a sync, a lock or a rename can not be relied upon. */
static const char *refuse_file_system(int fd)
{
    enum { CIFS = 0xFF534D42u, SMB2 = 0xFE534D42u };
    struct statfs facts;
    if (fstatfs(fd, &facts) != 0)
        return "can not tell its file system";
    switch ((uint32_t)facts.f_type) {
    case NFS_SUPER_MAGIC:
        return "lies on NFS, where a spool is not safe: use a local disk";
    case CIFS:
    case SMB2:
    case SMB_SUPER_MAGIC:
        return "lies on a Windows share, where a spool is not safe: use a local disk";
    default:
        return NULL;
    }
}

/* Opens a directory below the spool, makes it when missing; -1 with errno. */
static int open_below(const struct spool_store *store, const char *name)
{
    if (store->io->mkdirat(store->directory, name, 0700) != 0 && errno != EEXIST)
        return -1;
    return store->io->openat(store->directory, name, DIRECTORY_FLAGS, 0);
}

/* The lock is on the directory itself, so it is held as long as the process lives, and no file
 * has to be cleaned up. */
static const char *open_directories(struct spool_store *store, const char *directory)
{
    /* The configured path may be a link; nothing below it may. */
    store->directory = store->io->openat(AT_FDCWD, directory, DIRECTORY_FLAGS & ~O_NOFOLLOW, 0);
    if (store->directory < 0)
        return log_errno_text(errno);
    const char *refusal = refuse_file_system(store->directory);
    if (refusal != NULL)
        return refusal;
    store->queue = open_below(store, "queue");
    store->corrupt = store->queue < 0 ? -1 : open_below(store, "corrupt");
    if (store->corrupt < 0)
        return log_errno_text(errno);
    if (flock(store->queue, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? "is in use by another qmgr" : log_errno_text(errno);
    return store->io->fsync(store->directory) != 0 ? log_errno_text(errno) : NULL;
}

struct spool_store *spool_store_open_io(const char *directory, const struct spool_io *io,
                                        struct arena *arena, struct span *problem)
{
    struct spool_store *store = mem_new(sizeof *store);
    store->io = io;
    store->directory = store->queue = store->corrupt = -1;
    const char *sentence = open_directories(store, directory);
    if (sentence != NULL) {
        *problem = arena_printf(arena, "the spool %s: %s", directory, sentence);
        spool_store_close(store);
        return NULL;
    }
    /* Nothing reserved yet: the first segment writes the file. */
    store->next_number = store->reserved = first_number(store);
    return store;
}

struct spool_store *spool_store_open(const char *directory, struct arena *arena,
                                     struct span *problem)
{
    return spool_store_open_io(directory, &spool_io_system, arena, problem);
}

/* The lock goes with the descriptor of the directory. */
void spool_store_close(struct spool_store *store)
{
    struct spool_segment *segment, *next;
    HASH_ITER (hh, store->segments, segment, next) {
        store_forget(segment);
    }
    file_close(&store->corrupt);
    file_close(&store->queue);
    file_close(&store->directory);
    arena_free(&store->arena);
    mem_free(store);
}

/* Divided first: octets times a hundred might wrap. */
static uint64_t percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 100 : part / (whole / 100 + 1);
}

/* f_bavail, not f_bfree: what is reserved for root is not ours. A file system that can not be
 * asked counts as full. */
unsigned spool_store_free_percent(const struct spool_store *store)
{
    struct statvfs facts;
    if (fstatvfs(store->queue, &facts) != 0)
        return 0;
    uint64_t octets = percent(facts.f_bavail, facts.f_blocks);
    uint64_t inodes = percent(facts.f_favail, facts.f_files);
    return (unsigned)(octets < inodes ? octets : inodes);
}
