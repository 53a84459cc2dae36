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

/* role, index, pid, state, restarts: how often the child's place had to be filled after a
 * death. */
static void add_child(struct buf *out, const struct child *child)
{
    char line[128];
    int length = snprintf(line, sizeof(line), "child %s %u %ld %s %u\n",
                          role_info(child->role)->name, child->index, (long)child->pid,
                          child_state_name(child->state), child->place->restarts);
    buf_add(out, span_of(line, (size_t)length));
}

void status_write(const struct master *master, struct buf *out)
{
    const struct child *child;

    /* In seconds, of master itself and not of a generation. */
    add_number(out, "uptime", (uint64_t)(clock_ms() - master->started_ms) / 1000);
    add_number(out, "generation", master->generation);
    TAILQ_FOREACH (child, &master->children, entry)
        add_child(out, child);
    for (unsigned value = 0; value < PAGE_VALUE_COUNT; value++) {
        uint64_t own = value == PAGE_LOG_LOST ? master->log_lost : 0;
        add_number(out, page_value_name((enum page_value)value),
                   own + pages_sum(&master->pages, (enum page_value)value));
    }
    master_rates_write(&master->rates, out);
}
