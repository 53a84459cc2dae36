/*
 * The walk over the letters of a segment.
 *
 * From the end of one record the next is expected at once, or on the next page when a new batch
 * begins; what lies between is zeros. When neither place holds a header that proves itself,
 * something is damaged, and the walk looks at every place where a record may begin. That is not a
 * search for a magic word: a header proves itself by the secret salt of 128 bits, by the segment's
 * number, by the offset that it names as its own, and by its checksum; nobody who sends mail can
 * forge one.
 *
 * What to do about damage follows from `proven`: a letter that begins before it was accepted, and
 * its octets are set aside. What begins behind it belongs to a batch whose sync never returned:
 * nobody was told that it was accepted, and it is cut.
 *
 * What can not be read is not damaged: a cable may be loose, a disk busy. The walk ends before it,
 * and is done again later.
 */
#include "util/spool/store_parts.h"

#include "util/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEARCH_READ = 65536, UNKNOWN_LENGTH = 1 << 20 };

/* An error ends the walk, whoever meets it. */
static ssize_t read_letters(struct scan *scan, void *out, size_t size, uint64_t offset)
{
    ssize_t count = pread(scan->view.fd, out, size, (off_t)offset);
    if (count < 0)
        scan->error = errno;
    return count;
}

/* ---- headers ---- */

/* The salt first: at a place of no record it differs at once. */
static bool proves_itself(const struct scan *scan, const uint8_t *octets, uint64_t offset,
                          struct record_header *header)
{
    return record_header_is_of(octets, scan->view.number, &scan->view.salt) &&
           record_header_decode(octets, header) && header->offset == offset;
}

/* A short read is no header. */
static bool header_at(struct scan *scan, uint64_t offset, struct record_header *header)
{
    uint8_t octets[SPOOL_RECORD_HEADER];
    ssize_t count = read_letters(scan, octets, sizeof octets, offset);
    return count == sizeof octets && proves_itself(scan, octets, offset, header);
}

/* Looks at every place from *at on, before `limit`. */
static bool search_header(struct scan *scan, uint64_t *at, uint64_t limit,
                          struct record_header *header)
{
    uint8_t octets[SEARCH_READ];
    uint64_t start = spool_align(*at, SPOOL_ALIGN);
    while (start < limit) {
        ssize_t count = read_letters(scan, octets, sizeof octets, start);
        if (count < SPOOL_RECORD_HEADER)
            return false;
        /* A header at the end of this piece is met at the start of the next one. */
        size_t last = (size_t)count - SPOOL_RECORD_HEADER;
        for (size_t i = 0; i <= last && start + i < limit; i += SPOOL_ALIGN) {
            if (proves_itself(scan, octets + i, start + i, header)) {
                *at = start + i;
                return true;
            }
        }
        start += spool_align(last + 1, SPOOL_ALIGN);
    }
    return false;
}

/* The first header at *at or behind it; *at becomes its offset. */
static bool next_header(struct scan *scan, uint64_t *at, uint64_t limit,
                        struct record_header *header)
{
    uint64_t page = spool_align(*at, SPOOL_BLOCK);
    if (*at < limit && header_at(scan, *at, header))
        return true;
    if (scan->segment->block.kind == SPOOL_PRIVATE)
        return false; /* there is one record, at the one place */
    if (page < limit && header_at(scan, page, header)) {
        uint64_t between = *at + SPOOL_ALIGN;
        /* A small record of the old batch may have lost its header before one that did not. */
        if (!search_header(scan, &between, page, header))
            return header_at(scan, *at = page, header);
        *at = between;
        return true;
    }
    *at += SPOOL_ALIGN;
    return search_header(scan, at, limit, header);
}

/* ---- entries ---- */

/* By place, then recipient: the order in which the walk meets them. */
static int compare_slots(const void *a, const void *b, void *entries)
{
    const struct state_entry *left = (const struct state_entry *)entries + *(const uint32_t *)a;
    const struct state_entry *right = (const struct state_entry *)entries + *(const uint32_t *)b;
    if (left->place != right->place)
        return left->place < right->place ? -1 : 1;
    return left->recipient < right->recipient ? -1 : left->recipient > right->recipient;
}

struct known_entries scan_sort_entries(const struct spool_segment *segment, uint64_t from)
{
    struct known_entries known = {mem_array((size_t)segment->count + 1, sizeof(uint32_t)), 0, 0,
                                  false};
    /* Mostly they are: entries were added in the order of the letters. */
    bool sorted = true;
    for (uint32_t slot = 0; slot < segment->count; slot++) {
        const struct state_entry *entry = &segment->entries[slot];
        if (entry->state == LETTER_NONE || (uint64_t)entry->place * SPOOL_ALIGN < from)
            continue;
        known.slots[known.count++] = slot;
        if (known.count > 1 &&
            compare_slots(&known.slots[known.count - 2], &slot, segment->entries) > 0)
            sorted = false;
    }
    if (!sorted)
        qsort_r(known.slots, known.count, sizeof *known.slots, compare_slots, segment->entries);
    return known;
}

/* The order of scan_sort_entries. */
static int compare_place(const struct state_entry *entry, uint32_t place, uint32_t recipient)
{
    if (entry->place != place)
        return entry->place < place ? -1 : 1;
    return entry->recipient == recipient ? 0 : entry->recipient < recipient ? -1 : 1;
}

/* Passes on to the entry of that recipient; true and its slot when the disk had one. */
static bool known_slot(const struct spool_segment *segment, struct known_entries *known,
                       const struct state_entry *wanted, uint32_t *slot)
{
    for (; known->next < known->count; known->next++) {
        *slot = known->slots[known->next];
        int order = compare_place(&segment->entries[*slot], wanted->place, wanted->recipient);
        if (order == 0)
            known->next++;
        if (order >= 0)
            return order == 0;
    }
    return false;
}

/* As the letter arrived: nobody has tried it yet. */
static struct state_entry fresh_entry(const struct record *record, uint32_t recipient)
{
    return (struct state_entry){
        .place = (uint32_t)(record->header.offset / SPOOL_ALIGN),
        .recipient = (uint16_t)recipient,
        .state = LETTER_WAITING,
    };
}

/* True when the disk has an entry for each recipient, and each is done. */
static bool is_all_done(const struct scan *scan, const struct record *record)
{
    struct known_entries known = scan->known;
    bool done = true;
    for (uint32_t i = 0; done && i < record->header.recipients; i++) {
        struct state_entry wanted = fresh_entry(record, i);
        uint32_t slot;
        done = known_slot(scan->segment, &known, &wanted, &slot) &&
               letter_is_done((enum letter_state)scan->segment->entries[slot].state);
    }
    return done;
}

/* What is done needs nobody's attention. */
static void report(struct scan *scan, uint32_t slot, const struct record *record)
{
    struct spool_found found = {scan->segment, slot, scan->segment->entries[slot], record};
    if (!letter_is_done((enum letter_state)found.entry.state))
        scan->visit(scan->arg, &found);
}

/* Entries whose record was passed over, or is not read again. */
void scan_report_known(struct scan *scan, size_t from, size_t to)
{
    for (size_t i = from; i < to && !scan->known.reported; i++)
        report(scan, scan->known.slots[i], NULL);
}

/* Entries that the disk had keep their state; only the rest is new. */
static void index_record(struct scan *scan, const struct record *record)
{
    for (uint32_t i = 0; i < record->header.recipients; i++) {
        struct state_entry entry = fresh_entry(record, i);
        size_t before = scan->known.next;
        uint32_t slot;
        bool known = known_slot(scan->segment, &scan->known, &entry, &slot);
        scan_report_known(scan, before, scan->known.next - (known ? 1 : 0));
        if (!known)
            slot = state_add(scan->segment, &entry);
        if (!known || !scan->known.reported)
            report(scan, slot, record);
    }
}

/* ---- how far to look ---- */

/* The batch_start of the last header tells what was durable before that batch was written
 * (writer.c). */
static void find_end(struct scan *scan, uint64_t file_size)
{
    struct record_header header;
    uint64_t at = scan->from;
    uint64_t limit = file_size < SPOOL_SEGMENT_MAX ? file_size : SPOOL_SEGMENT_MAX;
    /* Without any header there is nothing to walk over. */
    scan->limit = scan->from;
    scan->proven = 0;
    while (next_header(scan, &at, limit, &header)) {
        at += record_size(&header);
        scan->limit = at;
        scan->proven = header.batch_start;
    }
}

/* The letter of an entry was durable before the entry was made. */
static void prove_by_entries(struct scan *scan)
{
    const struct known_entries *known = &scan->known;
    if (known->count == 0)
        return;
    uint32_t last = scan->segment->entries[known->slots[known->count - 1]].place;
    uint64_t behind = ((uint64_t)last + 1) * SPOOL_ALIGN;
    if (behind > scan->proven)
        scan->proven = behind;
    if (behind > scan->limit)
        scan->limit = behind + UNKNOWN_LENGTH;
}

/* The mark is the last word: nothing is looked for behind it. */
void scan_find_bounds(struct scan *scan)
{
    struct stat facts;
    uint64_t sealed_end = scan->segment->mark.sealed_end;
    if (sealed_end != 0) {
        scan->limit = scan->proven = sealed_end;
        return;
    }
    if (fstat(scan->view.fd, &facts) != 0) {
        scan->error = errno;
        return;
    }
    find_end(scan, (uint64_t)facts.st_size);
    prove_by_entries(scan);
}

/* ---- the walk ---- */

/* The entry that is left at the place of a lost letter. */
static struct state_entry entry_of_nobody(uint64_t from)
{
    return (struct state_entry){
        .place = (uint32_t)(from / SPOOL_ALIGN),
        .state = LETTER_BOUNCED,
    };
}

/* True when an earlier recovery left such an entry: with other evidence this one might judge
 * otherwise, as letters behind it are in the index now and seem to prove it. */
static bool was_judged(const struct scan *scan, uint64_t from)
{
    const struct state_entry nobody = entry_of_nobody(from);
    struct known_entries known = scan->known;
    uint32_t slot;
    return known_slot(scan->segment, &known, &nobody, &slot) &&
           letter_is_done((enum letter_state)scan->segment->entries[slot].state);
}

/* Before `proven` it was accepted, and somebody must hear of it; behind that it never was. Nothing
 * is judged that could not be read or copied. */
static void judge_lost(struct scan *scan, uint64_t from, uint64_t to)
{
    bool accepted = from < scan->proven;
    const struct state_entry nobody = entry_of_nobody(from);
    if (accepted) {
        scan->good = false;
        scan->error = segment_set_aside(scan->segment, scan->view.fd, from, to);
    } else {
        log_event(LOG_INFO, "spool-tail-cut", LOG_UINT("segment", scan->view.number),
                  LOG_UINT("offset", from), LOG_UINT("octets", to - from));
    }
    if (scan->error == 0 && (accepted || to < scan->limit))
        (void)state_add(scan->segment, &nobody);
}

/* What was accepted counts as walked over, when something was made of it. */
static void lose(struct scan *scan, uint64_t from, uint64_t to)
{
    if (scan->error == 0 && !was_judged(scan, from))
        judge_lost(scan, from, to);
    if (scan->error == 0 && from < scan->proven)
        scan->end = to;
}

static bool is_zero(struct scan *scan, uint64_t from, uint64_t to)
{
    uint8_t octets[SPOOL_BLOCK];
    for (uint64_t at = from; at < to; at += sizeof octets) {
        size_t size = to - at < sizeof octets ? (size_t)(to - at) : sizeof octets;
        ssize_t count = read_letters(scan, octets, size, at);
        for (ssize_t i = 0; i < count; i++)
            if (octets[i] != 0)
                return false;
        if (count != (ssize_t)size)
            return false;
    }
    return true;
}

/* Between the end of a record and the next header nothing but the padding of a page may lie; what
 * is lost begins on the page behind it. */
static void judge_gap(struct scan *scan, uint64_t from, uint64_t to)
{
    /* A batch ends there, with zeros up to it. */
    uint64_t page = spool_align(from, SPOOL_BLOCK);
    if (page < to && is_zero(scan, from, page))
        from = page;
    bool may_be_empty = to <= page || scan->segment->may_have_holes;
    if (!may_be_empty || !is_zero(scan, from, to))
        lose(scan, from, to);
}

/* RECORD_OK also when nobody needs the message any more, or will compare its checksum. */
static enum record_result check_body(struct scan *scan, const struct record *record)
{
    if (!scan->check_body || is_all_done(scan, record))
        return RECORD_OK;
    return record_check_body(&scan->view, record);
}

/* A record whose header and envelope are sound; the offset behind it. */
static uint64_t take_record(struct scan *scan, const struct record *record)
{
    uint64_t end = record->header.offset + record_size(&record->header);
    if (end > scan->limit && !scan->check_body) {
        lose(scan, record->header.offset, scan->limit); /* claims more than was made durable */
        return scan->limit;
    }
    switch (check_body(scan, record)) {
    case RECORD_OK:
        index_record(scan, record);
        scan->end = end;
        break;
    case RECORD_IO:
        scan->error = errno;
        break;
    case RECORD_NONE:
    case RECORD_BAD:
        lose(scan, record->header.offset, end);
    }
    return end;
}

/* No record can be read at `at`: passes on to the next place where one begins. */
static uint64_t pass_damage(struct scan *scan, uint64_t at)
{
    struct record_header header;
    uint64_t next = at;
    if (!next_header(scan, &next, scan->limit, &header))
        next = scan->limit;
    if (next == at) { /* the header is sound, the envelope is not */
        next = at + record_size(&header);
        lose(scan, at, next);
    } else if (next < scan->limit) {
        judge_gap(scan, at, next);
    } else if (at < scan->proven) {
        judge_gap(scan, at, scan->limit);
    }
    return next;
}

/* Told once, until a walk has come through. */
static void note_error(struct scan *scan)
{
    if (scan->error != 0 && !scan->segment->unread)
        log_event(LOG_ERROR, "segment-not-readable", LOG_UINT("segment", scan->view.number),
                  LOG_UINT("offset", scan->end), LOG_ERRNO(scan->error));
    scan->segment->unread = scan->error != 0;
}

/* One record at a time in the arena: a segment of 64 MiB costs the memory of its largest
 * envelope. */
void scan_run(struct scan *scan)
{
    struct arena *arena = &scan->segment->store->arena;
    struct record record;
    uint64_t at = scan->from;
    scan->good = true;
    scan->end = scan->from;
    while (scan->error == 0 && at < scan->limit) {
        arena_reset(arena);
        enum record_result result = record_read(&scan->view, at, arena, &record);
        if (result == RECORD_IO)
            scan->error = errno;
        else if (result == RECORD_OK)
            at = take_record(scan, &record);
        else
            at = pass_damage(scan, at);
    }
    note_error(scan);
    if (scan->end > scan->segment->scanned_end)
        scan->segment->scanned_end = scan->end;
}

/* ---- while qmgr runs ---- */

/* From where the walk before it ended. Entries lie behind that when it could not read their
 * letters. */
static struct scan go_on(struct spool_segment *segment, spool_visit *visit, void *arg)
{
    struct scan scan = {
        .segment = segment,
        .view = segment_view_of(segment, segment->fd),
        .from = segment->scanned_end,
        .visit = visit,
        .arg = arg,
    };
    if (segment->unread)
        scan.known = scan_sort_entries(segment, scan.from);
    scan.known.reported = true;
    return scan;
}

/* Runs it and lets go of what it knew. */
static enum spool_scan finish(struct scan *scan)
{
    scan_run(scan);
    mem_free(scan->known.slots);
    if (scan->error != 0)
        return SPOOL_SCAN_LATER;
    return scan->good ? SPOOL_SCAN_OK : SPOOL_SCAN_DAMAGED;
}

/* Bodies are not read: they were durable before qmgr heard of them, and their reader compares
 * the checksum. */
enum spool_scan spool_segment_scan(struct spool_segment *segment, uint64_t durable_end,
                                   spool_visit *visit, void *arg)
{
    struct stat facts;
    if (segment->sealed_end != 0 || durable_end <= segment->scanned_end)
        return SPOOL_SCAN_OK;
    if (fstat(segment->fd, &facts) != 0)
        return SPOOL_SCAN_LATER;
    uint64_t size = spool_align((uint64_t)facts.st_size, SPOOL_ALIGN);
    /* More was promised than there is: what is there is taken, and the alarm is given. */
    if (durable_end > size)
        log_event(LOG_ERROR, "spool-segment-short", LOG_UINT("segment", segment->block.number),
                  LOG_UINT("octets", size), LOG_UINT("durable", durable_end));
    struct scan scan = go_on(segment, visit, arg);
    scan.limit = scan.proven = durable_end < size ? durable_end : size;
    enum spool_scan result = finish(&scan);
    return result == SPOOL_SCAN_OK && durable_end > size ? SPOOL_SCAN_DAMAGED : result;
}

bool spool_segment_has_writer(const struct spool_segment *segment)
{
    return segment->fd >= 0 && segment_is_open_for(segment->fd, LOCK_WRITER);
}

/* Bodies are read here, as at the start: which of them are whole, nobody can say any more. */
enum spool_scan spool_segment_scan_tail(struct spool_segment *segment, spool_visit *visit,
                                        void *arg)
{
    if (segment->sealed_end != 0)
        return SPOOL_SCAN_OK;
    int error = spool_io_sync(segment->store->io, segment->fd);
    if (error != 0)
        log_event(LOG_ERROR, "spool-sync-failed", LOG_UINT("segment", segment->block.number),
                  LOG_ERRNO(error));
    struct scan scan = go_on(segment, visit, arg);
    scan.check_body = true;
    scan_find_bounds(&scan);
    enum spool_scan result = finish(&scan);
    if (result != SPOOL_SCAN_LATER)
        spool_segment_seal(segment);
    return result;
}
