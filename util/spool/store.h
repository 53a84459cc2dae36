/*
 * store - the spool directory: qmgr's alone, and within qmgr its helper thread's alone.
 *
 * Every call may wait for the disk. spool/queue/ holds N.seg and N.state (N: the segment's number
 * in base 32) and `next`, the persisted next number; spool/corrupt/ what was set aside. A segment
 * number is never used twice, not even after the spool was emptied or restored.
 */
#ifndef VEREDUS_SPOOL_STORE_H
#define VEREDUS_SPOOL_STORE_H

#include "util/spool/io.h"
#include "util/spool/record.h"

struct spool_store;
struct spool_segment; /* one segment with its state file, known by number */

/* Opens `directory`/queue (made when missing), takes its lock. NULL with a sentence in *problem (in
 * `arena`): another qmgr has it, an unsupported file system, no permission. */
struct spool_store *spool_store_open(const char *directory, struct arena *arena,
                                     struct span *problem) __attribute__((warn_unused_result));

/* The same with other system calls, for tests. */
struct spool_store *spool_store_open_io(const char *directory, const struct spool_io *io,
                                        struct arena *arena, struct span *problem)
    __attribute__((warn_unused_result));

/* Writes nothing: call spool_store_sync before it. */
void spool_store_close(struct spool_store *store);

/* What recovery and scans report, in the order of the records. `slot` is the index of the entry in
 * the state file. `record` is NULL for an entry known from the state file alone. */
struct spool_found {
    struct spool_segment *segment;
    uint32_t slot;
    struct state_entry entry;
    const struct record *record; /* valid during the call */
};
typedef void spool_visit(void *arg, const struct spool_found *found);

/* A segment that a living writer says it holds: believed when the salt is the segment's, which only
 * who was given the segment knows. */
struct spool_held {
    uint64_t number;
    uint64_t durable_end;
    struct spool_salt salt;
};

/* Whether the salts are the same. */
bool spool_salt_equal(const struct spool_salt *left, const struct spool_salt *right);

/* Recovery at start: for every pair, the state file first, then the letters behind the last indexed
 * one; a bad record is set aside, an unfinished last batch is cut, foreign files are logged.
 * Entries that are done are not reported. Segments in `held` are read up to their durable end only
 * and stay open (their writer goes on). So does a segment that a living process has open for
 * writing without having said so yet: of its letters those are reported that prove themselves
 * durable, the rest comes with its word, or with a scan of the tail when it is gone. All others are
 * sealed, and released when nothing is left to do; but for those that hold something that can not
 * be read now: they stay open, for spool_segment_scan_tail. Once, before any segment is made. False
 * with errno when the directory or a file of it can not be opened, or its block not be read: what
 * is in there is not known, and the store is of no use. */
bool spool_store_recover(struct spool_store *store, const struct spool_held *held,
                         size_t held_count, spool_visit *visit, void *arg)
    __attribute__((warn_unused_result));

/* Makes (or recycles) a pair, synced, directory too. NULL with errno. */
struct spool_segment *spool_segment_new(struct spool_store *store, enum spool_kind kind)
    __attribute__((warn_unused_result));

/* The segment of that number; NULL when there is none. */
struct spool_segment *spool_segment_find(struct spool_store *store, uint64_t number);

/* Its facts: number, salt, kind; valid as long as the segment. */
const struct spool_block *spool_segment_block(const struct spool_segment *segment);

/* A separate open of the letters: write-only for their one writer, read-only for agents; the caller
 * closes it. -1 with errno. */
int spool_segment_open_writer(struct spool_segment *segment) __attribute__((warn_unused_result));

/* As above, for reading alone; any number of them. */
int spool_segment_open_reader(struct spool_segment *segment) __attribute__((warn_unused_result));

enum spool_scan {
    SPOOL_SCAN_OK,
    SPOOL_SCAN_DAMAGED, /* a bad record was set aside, the rest went on */
    SPOOL_SCAN_LATER    /* something can not be read, or set aside, now: what lies before it is
                           indexed, the rest waits for another call */
};

/* Indexes the letters up to `durable_end`: an entry LETTER_WAITING for each recipient, in memory,
 * reported to `visit`; not yet on disk. Idempotent for an end that was seen. */
enum spool_scan spool_segment_scan(struct spool_segment *segment, uint64_t durable_end,
                                   spool_visit *visit, void *arg)
    __attribute__((warn_unused_result));

/* True while a living process has its letters open for writing. */
bool spool_segment_has_writer(const struct spool_segment *segment);

/* The writer is gone (ask spool_segment_has_writer), its last word unknown: syncs, then scans the
 * tail as recovery does, seals; what has to be read later stays open. */
enum spool_scan spool_segment_scan_tail(struct spool_segment *segment, spool_visit *visit,
                                        void *arg) __attribute__((warn_unused_result));

/* Calls `visit` for each segment that is not sealed. */
void spool_store_each_open(struct spool_store *store,
                           void (*visit)(void *arg, const struct spool_segment *segment),
                           void *arg);

/* No letter will be added behind what was scanned: the next sync writes that end down, and no
 * recovery looks behind it. So a batch whose sync failed is never taken for mail. */
void spool_segment_seal(struct spool_segment *segment);

/* True once it was sealed, in this life or an earlier one. */
bool spool_segment_is_sealed(const struct spool_segment *segment);

/* Changes an entry in memory; spool_store_sync writes what changed. */
void spool_segment_set(struct spool_segment *segment, uint32_t slot,
                       const struct state_entry *entry);

/* Writes and syncs all changed entries of all segments, then gives space back: recycles or unlinks
 * sealed segments that are done (pointers to those are invalid then: keep numbers, not pointers),
 * punches holes of at least 1 MiB. A state file that is gone or can not be written is made anew
 * from memory. False with errno when one failed all the same: nothing of its segment is given back,
 * the next call tries again, and all other segments are synced (spool_segment_is_synced). */
bool spool_store_sync(struct spool_store *store) __attribute__((warn_unused_result));

/* True when every entry is on the disk as it is in memory. */
bool spool_segment_is_synced(const struct spool_segment *segment);

/* Reads a record for whoever needs its envelope again. */
enum record_result spool_segment_read(struct spool_segment *segment, uint64_t offset,
                                      struct arena *arena, struct record *record)
    __attribute__((warn_unused_result));

/* A letter of the index turned out to be damaged: copies its octets to corrupt/ and raises the
 * alarm, once however often it is called. What becomes of its entries is the caller's to say. False
 * when there is no copy; then its segment is not given back in this life of the store. */
bool spool_segment_set_aside(struct spool_segment *segment, uint64_t offset)
    __attribute__((warn_unused_result));

/* Percent of free octets or inodes, whichever is less. */
unsigned spool_store_free_percent(const struct spool_store *store);

/* How many segments there are, recycled spares not counted. */
size_t spool_store_segments(const struct spool_store *store);

#endif
