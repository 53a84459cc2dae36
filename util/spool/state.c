/*
 * The entries of a segment lie in memory as they lie in the file, in twelve octets each; a bit says
 * which of them differ from the disk. Changes go out in runs with one sync a file.
 *
 * The mark (format.h) is written along with them and always tells of the sync before: were it to
 * reach the disk ahead of the entries it tells of, a power cut would lose letters.
 *
 * A file that is gone, or whose sectors fail, is written anew from memory, which has all of it:
 * under the name N.new, and it takes the old one's place when it is durable.
 */
#include "util/spool/store_parts.h"

#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { RUN_ENTRIES = 1024, RUN_GAP = 32, CAP_FIRST = 64 };

/* ---- in memory ---- */

/* A bit an entry. */
static bool is_dirty(const struct spool_segment *segment, uint32_t slot)
{
    return (segment->dirty[slot / 64] >> (slot % 64) & 1) != 0;
}

/* The bounds only grow until the next sync; a scan for dirty bits stays within them. */
static void set_dirty(struct spool_segment *segment, uint32_t slot)
{
    segment->dirty[slot / 64] |= UINT64_C(1) << (slot % 64);
    bool none = segment->dirty_low == segment->dirty_high;
    if (none || slot < segment->dirty_low)
        segment->dirty_low = slot;
    if (none || slot >= segment->dirty_high)
        segment->dirty_high = slot + 1;
}

/* An empty slot is nobody's. */
static bool is_live(const struct state_entry *entry)
{
    return entry->state != LETTER_NONE && !letter_is_done((enum letter_state)entry->state);
}

/* By half: a segment of small letters has a hundred thousand entries, and doubling would waste
 * most. */
void state_reserve(struct spool_segment *segment, uint32_t count)
{
    if (count <= segment->cap)
        return;
    /* A multiple of 64, so that the bits fill whole words. */
    uint32_t cap = segment->cap > 0 ? segment->cap + segment->cap / 2 : CAP_FIRST;
    cap = (uint32_t)spool_align(cap < count ? count : cap, 64);
    segment->entries = mem_resize(segment->entries, cap, sizeof *segment->entries);
    segment->dirty = mem_resize(segment->dirty, cap / 64, sizeof *segment->dirty);
    memset(segment->entries + segment->cap, 0, (cap - segment->cap) * sizeof *segment->entries);
    memset(segment->dirty + segment->cap / 64, 0, (cap - segment->cap) / 64 * sizeof(uint64_t));
    segment->cap = cap;
}

/* Gaps come from entries that recovery could not read. */
static bool next_gap(struct spool_segment *segment, uint32_t *slot)
{
    while (segment->gap < segment->gap_end) {
        *slot = segment->gap++;
        if (segment->entries[*slot].state == LETTER_NONE)
            return true;
    }
    return false;
}

/* Its place in the file is its slot: it never moves. */
uint32_t state_add(struct spool_segment *segment, const struct state_entry *entry)
{
    uint32_t slot;
    if (!next_gap(segment, &slot)) {
        state_reserve(segment, segment->count + 1);
        slot = segment->count++;
    }
    /* From nothing to `entry`: spool_segment_set counts the difference. */
    segment->entries[slot] = (struct state_entry){0};
    spool_segment_set(segment, slot, entry);
    return slot;
}

void state_close_gaps(struct spool_segment *segment)
{
    const struct state_entry nobody = {.state = LETTER_BOUNCED};
    uint32_t slot;
    while (next_gap(segment, &slot))
        spool_segment_set(segment, slot, &nobody);
}

/* `live` counts what is left to do; at zero a sealed segment can go. */
void spool_segment_set(struct spool_segment *segment, uint32_t slot,
                       const struct state_entry *entry)
{
    require(slot < segment->count);
    bool was_live = is_live(&segment->entries[slot]);
    bool lives = is_live(entry);
    segment->entries[slot] = *entry;
    set_dirty(segment, slot);
    if (lives && !was_live)
        segment->live++;
    if (!lives && was_live) {
        segment->live--;
        /* Somewhere a MiB may have become free. */
        segment->punch_due = true;
    }
}

/* Our own descriptor is closed: from here on the letters are opened when they are needed. */
void spool_segment_seal(struct spool_segment *segment)
{
    if (segment->sealed_end != 0)
        return;
    /* An earlier life may have said so already, of letters that are gone now. */
    if (segment->scanned_end < segment->mark.sealed_end)
        segment->scanned_end = segment->mark.sealed_end;
    /* What was scanned is all there is, from here on and for ever. */
    segment->sealed_end = segment->scanned_end;
    segment->mark_due = true;
    if (segment->fd >= 0)
        close(segment->fd);
    segment->fd = -1;
}

bool spool_segment_is_sealed(const struct spool_segment *segment)
{
    return segment->sealed_end != 0;
}

/* ---- on the disk ---- */

/* O_EXCL: a number is used once, so the name must be free. */
int state_create(struct spool_store *store, const struct spool_block *block)
{
    uint8_t head[SPOOL_BLOCK];
    char name[STORE_NAME_MAX];
    /* Nothing indexed yet: the first record lies behind the block. */
    const struct state_mark mark = {.indexed_end = SPOOL_BLOCK};
    spool_state_head_encode(block, head);
    state_mark_encode(&mark, &block->salt, head + state_mark_place(mark.sequence));
    store_name(block->number, ".state", name);

    int fd = store->io->openat(store->queue, name,
                               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    int error = spool_io_write(store->io, fd, head, sizeof head, 0);
    if (error == 0 && store->io->fsync(fd) != 0)
        error = errno;
    close(fd);
    if (error != 0)
        (void)store->io->unlinkat(store->queue, name, 0);
    return error;
}

/* The next dirty slot from `slot` on, or dirty_high. */
static uint32_t next_dirty(const struct spool_segment *segment, uint32_t slot)
{
    while (slot < segment->dirty_high && !is_dirty(segment, slot))
        /* A word without a bit is passed over at once. */
        slot = segment->dirty[slot / 64] == 0 ? (slot | 63) + 1 : slot + 1;
    return slot < segment->dirty_high ? slot : segment->dirty_high;
}

/* Writes the entries [from, to). */
static int write_run(const struct spool_segment *segment, int fd, uint32_t from, uint32_t to)
{
    uint8_t octets[RUN_ENTRIES * SPOOL_STATE_ENTRY];
    size_t size = 0;
    for (uint32_t slot = from; slot < to; slot++, size += SPOOL_STATE_ENTRY) {
        /* A gap stays zeros: a checksum over nothing would make it an entry. */
        if (segment->entries[slot].state == LETTER_NONE)
            memset(octets + size, 0, SPOOL_STATE_ENTRY);
        else
            state_entry_encode(&segment->entries[slot], &segment->block.salt, octets + size);
    }
    return spool_io_write(segment->store->io, fd, octets, size,
                          SPOOL_STATE_HEADER + (uint64_t)from * SPOOL_STATE_ENTRY);
}

/* Dirty entries, with the few clean ones between them: one write is cheaper than two. */
static int write_entries(const struct spool_segment *segment, int fd)
{
    int error = 0;
    uint32_t from = next_dirty(segment, segment->dirty_low);
    while (error == 0 && from < segment->dirty_high) {
        uint32_t to = from + 1;
        uint32_t next = next_dirty(segment, to);
        while (next < segment->dirty_high && next - to <= RUN_GAP && next - from < RUN_ENTRIES) {
            to = next + 1;
            next = next_dirty(segment, to);
        }
        error = write_run(segment, fd, from, to);
        from = next;
    }
    return error;
}

/* It tells of the sync before, because this one has not happened yet; see above. A segment that was
 * sealed in an earlier life stays so on the disk while it is open for another try to read it. */
static struct state_mark next_mark(const struct spool_segment *segment)
{
    bool sealed = segment->sealed_end != 0;
    return (struct state_mark){
        .sequence = segment->mark.sequence + 1,
        .indexed_end = segment->synced_end,
        .sealed_end = sealed ? segment->sealed_end : segment->mark.sealed_end,
        .entries = segment->synced_entries,
    };
}

/* A sector of its own, which the mark before it does not share. */
static int write_mark(const struct spool_segment *segment, int fd, const struct state_mark *mark)
{
    uint8_t octets[SPOOL_STATE_MARK];
    state_mark_encode(mark, &segment->block.salt, octets);
    return spool_io_write(segment->store->io, fd, octets, sizeof octets,
                          state_mark_place(mark->sequence));
}

bool state_is_dirty(const struct spool_segment *segment)
{
    return segment->dirty_low < segment->dirty_high || segment->mark_due || segment->renew;
}

/* Only behind a good sync: then the disk has all that was dirty. */
static void note_synced(struct spool_segment *segment, const struct state_mark *mark)
{
    if (segment->dirty_low < segment->dirty_high)
        memset(segment->dirty + segment->dirty_low / 64, 0,
               ((segment->dirty_high - 1) / 64 - segment->dirty_low / 64 + 1) * sizeof(uint64_t));
    segment->dirty_low = segment->dirty_high = 0;
    segment->mark = *mark;
    segment->synced_end = segment->scanned_end;
    segment->synced_entries = segment->count;
    /* The last mark of a sealed segment tells of all of it: holes may be punched then. */
    segment->mark_due = segment->sealed_end != 0 && segment->live > 0 &&
                        (mark->indexed_end < segment->sealed_end || mark->entries < segment->count);
}

/* Opened for this once: thousands of state files are not worth as many descriptors. */
static int write_changes(const struct spool_segment *segment, const struct state_mark *mark)
{
    const struct spool_io *io = segment->store->io;
    char name[STORE_NAME_MAX];
    store_name(segment->block.number, ".state", name);
    int fd = io->openat(segment->store->queue, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return errno;
    int error = write_entries(segment, fd);
    if (error == 0)
        error = write_mark(segment, fd, mark);
    if (error == 0)
        error = spool_io_sync(io, fd);
    close(fd);
    return error;
}

/* ---- a new file in place of a lost one ---- */

/* Head, mark and all entries, synced; 0 or errno. */
static int fill_new(const struct spool_segment *segment, int fd, const struct state_mark *mark)
{
    uint8_t head[SPOOL_BLOCK];
    spool_state_head_encode(&segment->block, head);
    state_mark_encode(mark, &segment->block.salt, head + state_mark_place(mark->sequence));
    int error = spool_io_write(segment->store->io, fd, head, sizeof head, 0);
    for (uint32_t from = 0; error == 0 && from < segment->count; from += RUN_ENTRIES) {
        uint32_t rest = segment->count - from;
        error = write_run(segment, fd, from, from + (rest < RUN_ENTRIES ? rest : RUN_ENTRIES));
    }
    return error == 0 ? spool_io_sync(segment->store->io, fd) : error;
}

/* Until the directory is synced the name may be lost again: then all of it is done once more. */
static int write_anew(const struct spool_segment *segment, const struct state_mark *mark)
{
    const struct spool_store *store = segment->store;
    char name[STORE_NAME_MAX], state_name[STORE_NAME_MAX];
    store_name(segment->block.number, ".new", name);
    store_name(segment->block.number, ".state", state_name);
    int fd = store->io->openat(store->queue, name,
                               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    int error = fill_new(segment, fd, mark);
    close(fd);
    if (error == 0 && store->io->renameat(store->queue, name, store->queue, state_name) != 0)
        error = errno;
    if (error != 0)
        (void)store->io->unlinkat(store->queue, name, 0);
    else if (store->io->fsync(store->queue) != 0)
        error = errno;
    return error;
}

/* The mark of changes is made before they are written: it tells of the sync before this one. A new
 * file has a name only when it is durable, so its mark tells of the file itself. */
int state_sync(struct spool_segment *segment)
{
    struct state_mark mark = next_mark(segment);
    int error = segment->renew ? 0 : write_changes(segment, &mark);
    if (error == ENOENT || error == EIO) {
        log_event(LOG_ERROR, "spool-state-lost", LOG_UINT("segment", segment->block.number),
                  LOG_ERRNO(error));
        segment->renew = true;
    }
    if (segment->renew) {
        mark.indexed_end = segment->scanned_end;
        mark.entries = segment->count;
        error = write_anew(segment, &mark);
        segment->renew = error != 0;
    }
    if (error == 0)
        note_synced(segment, &mark);
    return error;
}
