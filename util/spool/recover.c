/*
 * Recovery at start. For each pair: the state file gives the entries and, by its mark, the place
 * from which the letters must be walked over. Nothing is believed that does not prove itself:
 * - a state file without letters is what is left of a segment that was given back: removed;
 * - letters without a state file, or with one that is damaged where its mark says it was synced:
 * the walk begins at the first record, and a letter whose fate is unknown is delivered (again);
 * - a block that is damaged is replaced by the facts in the state file; without either the letters
 *   can not be told from anything else and go to corrupt/ as they are.
 */
#include "util/spool/pairs.h"
#include "util/spool/store_parts.h"

#include "util/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_READ = 65536 };

/* What every pair needs. */
struct recovery {
    struct spool_store *store;
    const struct spool_held *held;
    size_t held_count;
    spool_visit *visit;
    void *arg;
};

/* What the two files of a pair say, before anything is made of it. */
struct evidence {
    struct spool_block block;
    struct state_mark mark;
    int fd; /* the letters */
    int state_fd;
    bool block_good, state_good;
    int error;    /* errno: one of them can not be opened or read, which says nothing about it */
    bool writing; /* a living process has it open for writing */
    uint64_t durable_end; /* what that process said; 0: nothing yet */
};

/* ---- one pair: the evidence ---- */

/* O_NOFOLLOW, as everywhere in the spool: its names are files or nothing. */
static int open_file(const struct spool_store *store, uint64_t number, const char *suffix,
                     int flags)
{
    char name[STORE_NAME_MAX];
    store_name(number, suffix, name);
    return store->io->openat(store->queue, name, flags | O_CLOEXEC | O_NOFOLLOW, 0);
}

/* The mark with the higher sequence of the two that are whole. */
static bool read_mark(const uint8_t *head, const struct spool_salt *salt, struct state_mark *mark)
{
    bool any = false;
    for (unsigned i = 0; i < 2; i++) {
        struct state_mark candidate;
        if (!state_mark_decode(head + state_mark_place(i), salt, &candidate))
            continue;
        /* A torn one fails its checksum; of two whole
         * ones the later tells more. */
        if (!any || candidate.sequence > mark->sequence)
            *mark = candidate;
        any = true;
    }
    return any;
}

/* The number in it must be that of the name: a file that was renamed by hand is not believed. */
static void read_block(struct evidence *evidence, uint64_t number)
{
    uint8_t octets[SPOOL_BLOCK];
    ssize_t count = pread(evidence->fd, octets, sizeof octets, 0);
    if (count < 0)
        evidence->error = errno;
    evidence->block_good = count == (ssize_t)sizeof octets &&
                           spool_block_decode(octets, &evidence->block) &&
                           evidence->block.number == number;
}

/* The state file must tell of the same life of the segment as the block, where that is readable. */
static void read_head(struct evidence *evidence, uint64_t number)
{
    uint8_t octets[SPOOL_BLOCK];
    struct spool_block facts;
    if (evidence->state_fd < 0)
        return;
    ssize_t count = pread(evidence->state_fd, octets, sizeof octets, 0);
    if (count < 0)
        evidence->error = errno;
    if (count != (ssize_t)sizeof octets || !spool_state_head_decode(octets, &facts) ||
        facts.number != number)
        return;
    /* Two salts mean two lives: the state file is of another one, and says nothing. */
    if (evidence->block_good &&
        memcmp(facts.salt.octets, evidence->block.salt.octets, SPOOL_SALT) != 0)
        return;
    evidence->state_good = read_mark(octets, &facts.salt, &evidence->mark);
    if (evidence->state_good && !evidence->block_good)
        log_event(LOG_ERROR, "spool-block-damaged", LOG_UINT("segment", number));
    if (!evidence->block_good)
        evidence->block = facts;
}

/* ---- one pair: its entries ---- */

/* Below the mark's count a slot must be sound; behind it lies what a power cut may have left. */
static void take_entries(struct spool_segment *segment, const uint8_t *octets, size_t count,
                         bool *damaged)
{
    state_reserve(segment, segment->count + (uint32_t)count);
    for (size_t i = 0; i < count; i++, segment->count++) {
        struct state_entry *entry = &segment->entries[segment->count];
        enum state_entry_result result =
            state_entry_decode(octets + i * SPOOL_STATE_ENTRY, &segment->block.salt, entry);
        if (result != STATE_ENTRY_OK)
            *entry = (struct state_entry){0};
        /* Behind the mark's count nothing was promised: a power cut may have torn it. */
        if (result != STATE_ENTRY_OK && segment->count < segment->mark.entries)
            *damaged = true;
        if (!letter_is_done((enum letter_state)entry->state) && entry->state != LETTER_NONE)
            segment->live++;
    }
}

/* True when every entry that was ever synced is there. */
static bool load_entries(struct spool_segment *segment, int fd)
{
    uint8_t octets[STATE_READ];
    bool damaged = false;
    off_t at = SPOOL_STATE_HEADER;
    ssize_t size;
    while ((size = pread(fd, octets, sizeof octets, at)) >= SPOOL_STATE_ENTRY) {
        take_entries(segment, octets, (size_t)size / SPOOL_STATE_ENTRY, &damaged);
        at += size - size % SPOOL_STATE_ENTRY;
    }
    damaged = damaged || size < 0 || segment->count < segment->mark.entries;
    /* Empty slots at the end are room, not gaps. */
    while (segment->count > 0 && segment->entries[segment->count - 1].state == LETTER_NONE)
        segment->count--;
    segment->gap_end = segment->count;
    return !damaged;
}

/* ---- one pair: its letters ---- */

/* How far to look, and what is known to have been accepted. */
static void set_bounds(struct scan *scan, const struct evidence *evidence)
{
    scan_find_bounds(scan);
    if (evidence->durable_end > scan->proven)
        scan->proven = evidence->durable_end;
    /* A living writer's last batch may not be durable yet: he will say when. */
    if (evidence->writing)
        scan->limit = scan->proven;
}

/* Reports what the index has before the walk, and gives the walk the rest. */
static void report_indexed(struct scan *scan)
{
    struct known_entries *known = &scan->known;
    while (known->next < known->count &&
           (uint64_t)scan->segment->entries[known->slots[known->next]].place * SPOOL_ALIGN <
               scan->from)
        known->next++;
    scan_report_known(scan, 0, known->next);
}

/* Entries that the walk did not meet are reported at its end: their letters are gone or
 * unreadable, and their recipients are not forgotten. A segment that could not be read to its end
 * stays open: its tail is scanned again. */
static void recover_letters(struct scan *scan, const struct evidence *evidence)
{
    struct spool_segment *segment = scan->segment;
    scan->known = scan_sort_entries(segment, 0);
    set_bounds(scan, evidence);
    report_indexed(scan);
    scan_run(scan);
    scan_report_known(scan, scan->known.next, scan->known.count);
    mem_free(scan->known.slots);
    state_close_gaps(segment);
    segment->mark_due = segment->live > 0; /* what was read may be in memory only */
    if (!evidence->writing && scan->error == 0)
        spool_segment_seal(segment);
}

/* A state file that says nothing any more makes room for a new one. */
static bool renew_state(struct spool_store *store, const struct evidence *evidence)
{
    char name[STORE_NAME_MAX];
    store_name(evidence->block.number, ".state", name);
    log_event(LOG_ERROR, "spool-state-lost", LOG_STR("file", name));
    /* Kept in corrupt/, for whoever wants to know. */
    if (evidence->state_fd >= 0)
        (void)store->io->renameat(store->queue, name, store->corrupt, name);
    int error = state_create(store, &evidence->block);
    if (error == 0 && store->io->fsync(store->queue) != 0)
        error = errno;
    if (error != 0)
        log_event(LOG_ERROR, "spool-state-failed", LOG_STR("file", name), LOG_ERRNO(error));
    return error == 0;
}

/* Where the walk begins: behind what the state file proves to have, or at the first record. */
static void begin_scan(struct scan *scan, const struct evidence *evidence)
{
    struct spool_segment *segment = scan->segment;
    if (!evidence->state_good) {
        segment->keep = !renew_state(segment->store, evidence);
        return;
    }
    segment->mark = evidence->mark;
    if (!load_entries(segment, evidence->state_fd)) {
        log_event(LOG_ERROR, "spool-state-damaged", LOG_UINT("segment", scan->view.number));
        return;
    }
    /* The next mark tells of this one's sync: it must not fall behind it. */
    segment->synced_end = evidence->mark.indexed_end;
    segment->synced_entries = evidence->mark.entries;
    scan->from = segment->scanned_end = evidence->mark.indexed_end;
    segment->may_have_holes = false;
}

/* The letters of an open segment are synced before they are read: what was only in the cache of
 * a dead writer's kernel must not be indexed and then lost. */
static void recover_pair(const struct recovery *recovery, const struct evidence *evidence)
{
    struct spool_store *store = recovery->store;
    struct spool_segment *segment = store_add(store, &evidence->block, evidence->fd);
    struct scan scan = {
        .segment = segment,
        .view = segment_view_of(segment, evidence->fd),
        .from = SPOOL_BLOCK,
        .check_body = true,
        .visit = recovery->visit,
        .arg = recovery->arg,
    };
    segment->may_have_holes = true;
    begin_scan(&scan, evidence);
    int error = evidence->mark.sealed_end == 0 ? spool_io_sync(store->io, evidence->fd) : 0;
    if (error != 0)
        log_event(LOG_ERROR, "spool-sync-failed", LOG_UINT("segment", scan.view.number),
                  LOG_ERRNO(error));
    recover_letters(&scan, evidence);
}

/* Whether its writer lives, and what he said. */
static void ask_writer(const struct recovery *recovery, struct evidence *evidence)
{
    if (evidence->mark.sealed_end != 0)
        return;
    evidence->writing = segment_is_open_for(evidence->fd, LOCK_WRITER);
    for (size_t i = 0; i < recovery->held_count; i++) {
        const struct spool_held *held = &recovery->held[i];
        if (held->number != evidence->block.number ||
            !spool_salt_equal(&held->salt, &evidence->block.salt))
            continue;
        /* Its word is better than the lock: it may have been asked between two opens. */
        evidence->writing = true;
        evidence->durable_end = held->durable_end;
    }
}

/* The letters went first (release.c), so nothing is owed any more. */
static void remove_state(struct spool_store *store, uint64_t number)
{
    char name[STORE_NAME_MAX];
    store_name(number, ".state", name);
    log_event(LOG_INFO, "spool-state-without-letters", LOG_STR("file", name));
    (void)store->io->unlinkat(store->queue, name, 0);
}

/* Renamed, not copied: its octets stay exactly as they are. */
static void set_segment_aside(struct spool_store *store, uint64_t number)
{
    char name[STORE_NAME_MAX];
    store_name(number, ".seg", name);
    log_event(LOG_ERROR, "segment-corrupt", LOG_STR("file", name));
    if (store->io->renameat(store->queue, name, store->corrupt, name) != 0)
        log_event(LOG_ERROR, "segment-not-set-aside", LOG_STR("file", name), LOG_ERRNO(errno));
}

/* A file that can not be opened or read is no file that is damaged or not there: whatever was made
 * of the other one, mail would be lost or delivered twice. One that vanished is not there. */
static void collect(const struct spool_store *store, const struct pair *pair,
                    struct evidence *evidence)
{
    evidence->fd = open_file(store, pair->number, ".seg", O_RDWR);
    if (evidence->fd < 0) {
        evidence->error = errno;
        return;
    }
    if (pair->state)
        evidence->state_fd = open_file(store, pair->number, ".state", O_RDONLY);
    if (pair->state && evidence->state_fd < 0 && errno != ENOENT)
        evidence->error = errno;
    read_block(evidence, pair->number);
    read_head(evidence, pair->number);
}

/* The order is that of the evidence: what the files say, then what a living writer says, then
 * the walk. The letters' descriptor goes to the segment. */
static void judge(const struct recovery *recovery, const struct pair *pair,
                  struct evidence *evidence)
{
    if (evidence->block_good || evidence->state_good) {
        ask_writer(recovery, evidence);
        recover_pair(recovery, evidence);
        evidence->fd = -1;
    } else {
        set_segment_aside(recovery->store, pair->number);
    }
}

/* 0, or the errno with which recovery ends. */
static int examine_pair(const struct recovery *recovery, const struct pair *pair)
{
    struct evidence evidence = {.fd = -1, .state_fd = -1};
    if (!pair->letters) {
        remove_state(recovery->store, pair->number);
        return 0;
    }
    collect(recovery->store, pair, &evidence);
    if (evidence.error == 0)
        judge(recovery, pair, &evidence);
    else
        log_event(LOG_ERROR, "segment-not-readable", LOG_UINT("segment", pair->number),
                  LOG_ERRNO(evidence.error));
    if (evidence.fd >= 0)
        close(evidence.fd);
    if (evidence.state_fd >= 0)
        close(evidence.state_fd);
    return evidence.error == ENOENT ? 0 : evidence.error;
}

/* The next number lies behind all that were seen, whatever `next` says. */
bool spool_store_recover(struct spool_store *store, const struct spool_held *held,
                         size_t held_count, spool_visit *visit, void *arg)
{
    const struct recovery recovery = {store, held, held_count, visit, arg};
    struct pair_list list = {0};
    int error = pairs_read(store, &list) ? 0 : errno;
    for (size_t i = 0; error == 0 && i < list.count; i++)
        error = examine_pair(&recovery, &list.pairs[i]);
    if (list.count > 0 && list.pairs[list.count - 1].number >= store->next_number)
        store->next_number = store->reserved = list.pairs[list.count - 1].number + 1;
    mem_free(list.pairs);
    if (error == 0)
        store_release(store);
    errno = error;
    return error == 0;
}
