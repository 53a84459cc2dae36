/*
 * Why each page has two descriptors: the owner's may be mapped for writing, and the one that goes
 * to everybody else was opened read-only, so that no reader can make itself a writer.
 */
#include "master/pages.h"

#include <errno.h>
#include <unistd.h>

#include "util/base/panic.h"

/* The memory itself lives on as long as some child has it mapped. */
static void forget(struct page_slot *slot)
{
    int problem = errno;
    page_unmap(slot->page);
    if (slot->readonly >= 0)
        (void)close(slot->readonly);
    if (slot->writable >= 0)
        (void)close(slot->writable);
    *slot = (struct page_slot){0};
    errno = problem;
}

static bool make(struct page_slot *slot)
{
    /* Each step needs the one before, and forget undoes whichever were done. */
    slot->readonly = -1;
    slot->writable = page_create();
    if (slot->writable >= 0)
        slot->readonly = page_reopen_readonly(slot->writable);
    if (slot->readonly >= 0)
        slot->page = page_map(slot->writable, true);
    if (slot->page != NULL)
        return true;
    forget(slot);
    return false;
}

const struct page_slot *pages_slot(struct pages *pages, enum role role, unsigned index)
{
    /* Both come from master's own count, never from a child. */
    require((unsigned)role < ROLE_COUNT && index < ROLE_INDEXES);
    struct page_slot *slot = &pages->slots[role][index];
    return slot->page != NULL || make(slot) ? slot : NULL;
}

/* Never makes one: asking about the past must not change it. */
const struct page_slot *pages_made(const struct pages *pages, enum role role, unsigned index)
{
    const struct page_slot *slot = &pages->slots[role][index];
    return slot->page != NULL ? slot : NULL;
}

/* Each value is read whole, but not all at one moment: a sum is as exact as its moment allows. */
uint64_t pages_sum(const struct pages *pages, enum page_value value)
{
    uint64_t sum = 0;
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        for (unsigned index = 0; index < ROLE_INDEXES; index++)
            if (pages->slots[role][index].page != NULL)
                sum += page_get(pages->slots[role][index].page, value);
    return sum;
}

/* Only at the end of master: until then a page outlives every owner. */
void pages_free(struct pages *pages)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        for (unsigned index = 0; index < ROLE_INDEXES; index++)
            if (pages->slots[role][index].page != NULL)
                forget(&pages->slots[role][index]);
}
