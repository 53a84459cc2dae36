/*
 * Why sums over all pages and not over the living: counters outlive their processes, and a total
 * that went down with a crash would look like mail that was lost.
 */
#include "master/status.h"

#include <inttypes.h>
#include <stdio.h>

#include "master/master.h"
#include "util/base/clock.h"

/* One "name value" a line, for people and for scripts; a name never holds a blank. */
static void add_number(struct buf *out, const char *name, uint64_t number)
{
    char line[96];
    int length = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", name, number);
    buf_add(out, span_of(line, (size_t)length));
}

/* For what would be shown as a number that is not true. */
static void add_unknown(struct buf *out, const char *name)
{
    buf_add(out, span_cstr(name));
    buf_add(out, SPAN(" unknown\n"));
}

/* What only a qmgr can know that has read its spool. */
static bool is_of_queue(enum page_value value)
{
    static const unsigned gauges = 1U << PAGE_QUEUED | 1U << PAGE_DEFERRED | 1U << PAGE_ACTIVE |
                                   1U << PAGE_HELD | 1U << PAGE_SEGMENTS;
    _Static_assert(PAGE_VALUE_COUNT <= 32, "each has a bit");
    return (gauges & 1U << value) != 0;
}

static bool has_counted_queue(const struct child *child)
{
    const struct page_slot *slot = pages_made(&child->master->pages, child->role, child->index);
    return slot != NULL && page_queue_is_counted(slot->page);
}

/* There is one at a time: the next is started when the one before is gone, and its page cleared. */
static bool queue_is_counted(const struct master *master)
{
    const struct child *child;

    TAILQ_FOREACH (child, &master->children, entry)
        if (child->role == ROLE_QMGR && has_counted_queue(child))
            return true;
    return false;
}

/* What the operator has to know goes before what master told the child to do. */
static const char *state_of(const struct child *child)
{
    if (watchdog_finds_silent(child))
        return "silent";
    if (child->role == ROLE_QMGR && child->state == CHILD_READY && !has_counted_queue(child))
        return "recovering";
    return child_state_name(child->state);
}

/* role, index, pid, state, restarts: how often the child's place had to be filled after a
 * death. */
static void add_child(struct buf *out, const struct child *child)
{
    char line[128];
    int length =
        snprintf(line, sizeof(line), "child %s %u %ld %s %u\n", role_info(child->role)->name,
                 child->index, (long)child->pid, state_of(child), child->place->restarts);
    buf_add(out, span_of(line, (size_t)length));
}

void status_write(const struct master *master, struct buf *out)
{
    const struct child *child;
    bool counted = queue_is_counted(master);

    /* In seconds, of master itself and not of a generation. */
    add_number(out, "uptime", (uint64_t)(clock_ms() - master->started_ms) / 1000);
    add_number(out, "generation", master->generation);
    TAILQ_FOREACH (child, &master->children, entry)
        add_child(out, child);
    for (unsigned value = 0; value < PAGE_VALUE_COUNT; value++) {
        const char *name = page_value_name((enum page_value)value);
        uint64_t own = value == PAGE_LOG_LOST ? master->log_lost : 0;
        if (is_of_queue((enum page_value)value) && !counted)
            add_unknown(out, name);
        else
            add_number(out, name, own + pages_sum(&master->pages, (enum page_value)value));
    }
    master_rates_write(&master->rates, out);
}
