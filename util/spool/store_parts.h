/*
 * store_parts - what the files of the store share: the directory, one pair, the walk over letters.
 *
 * store.c opens the directory and makes pairs; state.c keeps the entries and writes them; scan.c
 * walks over letters; aside.c rescues what is damaged; pairs.c lists the directory and recover.c
 * reads it all at start; release.c gives space back.
 */
#ifndef VEREDUS_SPOOL_STORE_PARTS_H
#define VEREDUS_SPOOL_STORE_PARTS_H

#include "util/base/hash.h"
#include "util/spool/io.h"
#include "util/spool/store.h"

enum {
    STORE_SPARES = 4,           /* recycled segments kept for the next use */
    STORE_PREWRITTEN = 1 << 20, /* octets of a new segment that are written ahead */
    STORE_NAME_MAX = 32
};

struct spool_segment {
    struct spool_store *store;
    struct spool_block block;
    UT_hash_handle hh;    /* by block.number */
    int fd;               /* of the letters, while the segment is open; else -1 */
    uint64_t scanned_end; /* every letter before it has entries or was set aside */
    uint64_t sealed_end;  /* 0: open */

    struct state_mark mark;  /* as it is on the disk */
    uint64_t synced_end;     /* scanned_end when the entries were last synced */
    uint32_t synced_entries; /* and their count */
    bool mark_due;           /* the mark must be written with the next sync */
    bool renew;              /* the state file is gone or can not be written: made anew, whole */
    int failure;             /* errno of the last sync, told once; 0: it went well */

    struct state_entry *entries;
    uint64_t *dirty; /* a bit an entry: changed since the last sync */
    uint32_t count, cap;
    uint32_t dirty_low, dirty_high; /* no dirty entry lies outside [low, high) */
    uint32_t gap, gap_end;          /* where empty slots may be filled, after recovery */
    uint32_t live;                  /* entries not done */

    uint64_t punched;    /* a bit a MiB */
    bool may_have_holes; /* the state file was lost: zeros may be holes */
    bool unread;         /* the last walk met something that can not be read now; entries may lie
                            behind scanned_end */
    bool punch_due;      /* an entry became done since holes were last looked for */
    bool keep;           /* something could not be set aside: not given back in this life */
    bool doomed;         /* its letters are gone, its state file is next */
};

struct spool_store {
    const struct spool_io *io;
    int directory, queue, corrupt; /* descriptors */
    struct spool_segment *segments;
    uint64_t next_number;
    uint64_t reserved; /* the first number not reserved in `next` */
    uint64_t spares[STORE_SPARES];
    size_t spare_count;
    struct arena arena; /* for one record at a time */
};

/* ---- store.c ---- */

/* "<number>.seg" and the like. */
void store_name(uint64_t number, const char *suffix, char out[STORE_NAME_MAX]);

/* A segment in memory, open, without entries; in the table. */
struct spool_segment *store_add(struct spool_store *store, const struct spool_block *block, int fd);

/* Closes and frees it; the files stay as they are. */
void store_forget(struct spool_segment *segment);

/* Opens the letters; -1 with errno. */
int segment_open(const struct spool_segment *segment, int flags);

/* The octet of the letters that a descriptor handed out has locked (fcntl(2), F_OFD_SETLK): the
 * lock lives as long as the last process that has it. */
enum segment_lock { LOCK_WRITER = 0, LOCK_READER = 1 };

/* True when a living process has such a descriptor; `fd` is one of ours, open for writing. */
bool segment_is_open_for(int fd, enum segment_lock lock);

/* The facts by which records of the segment are read; `fd` is not owned. */
struct segment_view segment_view_of(const struct spool_segment *segment, int fd);

/* ---- state.c ---- */

/* Makes the state file with its head and first mark, synced; 0 or errno. */
int state_create(struct spool_store *store, const struct spool_block *block);

/* Adds an entry (into a gap, else at the end), dirty; its slot. */
uint32_t state_add(struct spool_segment *segment, const struct state_entry *entry);

/* Makes room for `count` entries in all. */
void state_reserve(struct spool_segment *segment, uint32_t count);

/* Fills the gaps that recovery left with entries of no letter, so that none is met again. */
void state_close_gaps(struct spool_segment *segment);

/* True when there is something that state_sync would write. */
bool state_is_dirty(const struct spool_segment *segment);

/* Writes and syncs what changed; 0 or errno, all stays dirty then. */
int state_sync(struct spool_segment *segment);

/* ---- scan.c ---- */

/* Entries read from the disk whose letters the walk will meet: slots in the order of the records.
 */
struct known_entries {
    uint32_t *slots;
    size_t count, next;
    bool reported; /* by an earlier walk */
};

struct scan {
    struct spool_segment *segment;
    struct segment_view view;
    uint64_t from, limit; /* the walk goes over these octets */
    uint64_t proven;      /* what begins before it was accepted: damage there is not an accident */
    bool check_body;
    struct known_entries known;
    spool_visit *visit;
    void *arg;
    bool good;    /* no letter was set aside */
    int error;    /* errno: something can not be read or set aside now; the walk ended before it */
    uint64_t end; /* behind the last letter that was indexed or set aside */
};

/* The slots in use whose letters begin at `from` or behind it, in the order of the records; freed
 * by the caller. */
struct known_entries scan_sort_entries(const struct spool_segment *segment, uint64_t from);

/* Sets limit and proven: the mark's last word; else the end of the last record that has a valid
 * header, and the greatest batch_start or what an entry tells of. Or the error. */
void scan_find_bounds(struct scan *scan);

/* The walk: indexes, reports, sets aside, cuts, up to the first error. scanned_end is set at its
 * end. */
void scan_run(struct scan *scan);

/* Reports the known entries [from, to) that are not done, without a record; once. */
void scan_report_known(struct scan *scan, size_t from, size_t to);

/* ---- aside.c ---- */

/* Copies the octets to corrupt/<id> and raises the alarm; 0, or the errno of a copy that failed,
 * which keeps the segment. */
int segment_set_aside(struct spool_segment *segment, int fd, uint64_t from, uint64_t to);

/* ---- release.c ---- */

/* Gives back what is done and synced. */
void store_release(struct spool_store *store);

#endif
