/*
 * pages - the shared pages, one a slot of role and index, made when first used and never given
 * back.
 *
 * A page outlives the processes that write it, so counters do not start over with a crash; a slot
 * that is free is taken by the next worker.
 */
#ifndef VEREDUS_MASTER_PAGES_H
#define VEREDUS_MASTER_PAGES_H

#include "util/sys/page.h"
#include "util/sys/role.h"

/* Both descriptors are of one memory and are open just when page is not NULL. */
struct page_slot {
    struct page *page; /* NULL: not made yet */
    int writable;
    int readonly;
};

struct pages {
    struct page_slot slots[ROLE_COUNT][ROLE_INDEXES];
};

/* The slot with its page; NULL with errno when the page can not be made. */
const struct page_slot *pages_slot(struct pages *pages, enum role role, unsigned index)
    __attribute__((warn_unused_result));

/* The same for a page that was made already; else NULL. */
const struct page_slot *pages_made(const struct pages *pages, enum role role, unsigned index);

/* The value added up over all pages. */
uint64_t pages_sum(const struct pages *pages, enum page_value value);

/* Unmaps and closes all of them: master's own descriptors, not those that children have. */
void pages_free(struct pages *pages);

#endif
