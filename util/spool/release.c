/*
 * Space comes back when every fate in it is on the disk. The letters go first and the sync of the
 * directory makes that certain, then the state file: letters without a state file would be taken
 * for new ones.
 *
 * A finished segment of the normal size is kept under the name N.free: its blocks are allocated and
 * written, which makes the syncs of its next life cheaper. It gets there only when nobody has it
 * open any more. What holds stragglers is punched, a MiB at a time.
 */
#include "util/spool/store_parts.h"

#include "util/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GRANULE_BITS = 20, GRANULES = 64 };

/* Sealed, settled and synced: nothing can be asked of it any more. */
static bool is_finished(const struct spool_segment *segment)
{
    return segment->sealed_end != 0 && segment->live == 0 && !segment->keep &&
           spool_segment_is_synced(segment);
}

/* A file with holes would cost what a new one costs; one that somebody reads must not change
 * under his eyes. */
static bool can_be_recycled(const struct spool_segment *segment)
{
    struct stat facts;
    if (segment->block.kind != SPOOL_SHARED || segment->punched != 0 ||
        segment->store->spare_count == STORE_SPARES)
        return false;
    /* O_RDWR, because the lock of a writer is only seen by somebody who could write. */
    int fd = segment_open(segment, O_RDWR);
    if (fd < 0)
        return false;
    bool good = fstat(fd, &facts) == 0 && (uint64_t)facts.st_size <= SPOOL_SEGMENT_MAX &&
                !segment_is_open_for(fd, LOCK_WRITER) && !segment_is_open_for(fd, LOCK_READER);
    close(fd);
    return good;
}

/* Takes the letters away; false with a line in the log when that fails. */
static bool drop_letters(struct spool_segment *segment)
{
    struct spool_store *store = segment->store;
    char name[STORE_NAME_MAX];
    char spare[STORE_NAME_MAX];
    store_name(segment->block.number, ".seg", name);
    store_name(segment->block.number, ".free", spare);
    if (can_be_recycled(segment) &&
        store->io->renameat(store->queue, name, store->queue, spare) == 0) {
        store->spares[store->spare_count++] = segment->block.number;
        return true;
    }
    if (store->io->unlinkat(store->queue, name, 0) == 0)
        return true;
    log_event(LOG_ERROR, "spool-release-failed", LOG_STR("file", name), LOG_ERRNO(errno));
    /* Not tried again in this life: an operator reads the line, and the next start decides. */
    segment->keep = true;
    return false;
}

/* Without the sync the state file stays: with the letters back after a power cut, it still says
 * that they are done. */
static void forget_doomed(struct spool_store *store, bool names_are_gone)
{
    struct spool_segment *segment, *next;
    HASH_ITER (hh, store->segments, segment, next) {
        char name[STORE_NAME_MAX];
        if (!segment->doomed)
            continue;
        store_name(segment->block.number, ".state", name);
        if (names_are_gone)
            (void)store->io->unlinkat(store->queue, name, 0);
        store_forget(segment);
    }
}

/* ---- holes ---- */

/* A bit for each MiB that the octets touch. */
static uint64_t granules_of(uint64_t from, uint64_t to)
{
    uint64_t bits = 0;
    for (uint64_t i = from >> GRANULE_BITS; i < GRANULES && i << GRANULE_BITS < to; i++)
        bits |= UINT64_C(1) << i;
    return bits;
}

/* The granules that hold a letter not done, and the first, which holds the block. The end of a
 * letter is where the next one in the index begins: entries lie in the order of the letters, but
 * for those that recovery put into gaps, and where they do not, all is taken to be in use. */
static uint64_t granules_in_use(const struct spool_segment *segment)
{
    uint64_t used = 1;
    uint64_t end = segment->sealed_end;
    uint64_t next = end;
    for (uint32_t slot = segment->count; slot-- > 0;) {
        const struct state_entry *entry = &segment->entries[slot];
        uint64_t place = (uint64_t)entry->place * SPOOL_ALIGN;
        if (place > next)
            return UINT64_MAX;
        if (place < next)
            end = next;
        next = place;
        if (!letter_is_done((enum letter_state)entry->state))
            used |= granules_of(place, end);
    }
    return used;
}

/* Only what the mark on the disk tells of: recovery does not walk over it any more. */
static bool may_be_punched(const struct spool_segment *segment)
{
    return segment->punch_due && segment->sealed_end > UINT64_C(2) << GRANULE_BITS &&
           segment->block.kind == SPOOL_SHARED && !segment->keep &&
           spool_segment_is_synced(segment) && segment->mark.indexed_end >= segment->sealed_end &&
           segment->mark.entries >= segment->count;
}

/* Neighbouring granules go with one call. */
static void punch_holes(struct spool_segment *segment)
{
    /* The last granule is left alone: it may be there in part only. */
    uint64_t whole = granules_of(0, segment->sealed_end & ~((UINT64_C(1) << GRANULE_BITS) - 1));
    uint64_t empty = whole & ~granules_in_use(segment) & ~segment->punched;
    segment->punch_due = false;
    int fd = empty != 0 ? segment_open(segment, O_WRONLY) : -1;
    if (fd < 0)
        return;
    for (unsigned i = 0; i < GRANULES;) {
        unsigned to = i;
        while (to < GRANULES && (empty >> to & 1) != 0)
            to++;
        if (to > i && segment->store->io->punch(fd, (off_t)i << GRANULE_BITS,
                                                (off_t)(to - i) << GRANULE_BITS) != 0)
            break; /* a file system that can not: nothing is lost but space */
        i = to + 1;
    }
    segment->punched |= empty;
    close(fd);
}

/* All letters first, then one sync for all of them, then the state files. */
void store_release(struct spool_store *store)
{
    bool any = false;
    size_t spares = store->spare_count;
    struct spool_segment *segment, *next;
    HASH_ITER (hh, store->segments, segment, next) {
        if (is_finished(segment))
            segment->doomed = drop_letters(segment);
        else if (may_be_punched(segment))
            punch_holes(segment);
        any = any || segment->doomed;
    }
    if (!any)
        return;
    bool names_are_gone = store->io->fsync(store->queue) == 0;
    /* While the disk may still know it by its old name, a spare must not be written to. */
    if (!names_are_gone)
        store->spare_count = spares;
    forget_doomed(store, names_are_gone);
}

/* An error is told when it comes and when it changes, not with every try. */
static int sync_states(struct spool_segment *segment)
{
    int error = state_is_dirty(segment) ? state_sync(segment) : 0;
    if (error != 0 && error != segment->failure)
        log_event(LOG_ERROR, "spool-state-failed", LOG_UINT("segment", segment->block.number),
                  LOG_ERRNO(error));
    segment->failure = error;
    return error;
}

/* A segment whose state file failed keeps its entries dirty, so it is not finished and nothing
 * of it is released; it is nobody else's trouble. */
bool spool_store_sync(struct spool_store *store)
{
    int failure = 0;
    struct spool_segment *segment, *next;
    HASH_ITER (hh, store->segments, segment, next) {
        int error = sync_states(segment);
        if (error != 0)
            failure = error;
    }
    store_release(store);
    errno = failure;
    return failure == 0;
}

bool spool_segment_is_synced(const struct spool_segment *segment)
{
    return segment->dirty_low == segment->dirty_high;
}
