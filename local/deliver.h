/*
 * deliver - a batch of letters into Maildirs: all written, all synced, all renamed, then each
 * directory synced once.
 *
 * Nothing is visible in new/ before its octets are on the disk, and no delivery is reported before
 * its name is. A delivery that fails is cleaned up and deferred; its neighbours go on.
 */
#ifndef VEREDUS_LOCAL_DELIVER_H
#define VEREDUS_LOCAL_DELIVER_H

#include "local/maildir_name.h"
#include "local/stale.h"
#include "util/base/buf.h"
#include "util/ipc/messages.h"
#include "util/spool/record.h"
#include "util/sys/page.h"

enum {
    DELIVER_BATCH = 64 /* deliveries at once */
};

/* One job: what is asked, and what became of it. */
struct delivery {
    struct segment_view segment; /* not owned */
    uint64_t offset;
    uint32_t recipient;
    bool seen_before; /* may have been delivered already: look for it */
    struct span mailbox;

    enum job_fate fate;
    const char *enhanced; /* "2.0.0" (RFC 3463) */
    const char *text;
};

/* What lasts from batch to batch. */
struct deliverer {
    int root; /* the mail root; not owned */
    struct span hostname;
    struct arena arena; /* of one batch */
    struct buf scratch;
    struct cleaned cleaned;
    struct page *page; /* shows between two letters that the process lives; NULL: to nobody */
};

/* Delivers 1 to DELIVER_BATCH letters and fills in fate, enhanced and text of each (texts are
 * static). */
void deliver_batch(struct deliverer *deliverer, struct delivery *deliveries, size_t count);

/* Gives the memory back; the root stays open. */
void deliverer_free(struct deliverer *deliverer);

#endif
