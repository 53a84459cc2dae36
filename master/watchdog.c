/*
 * Why looks are counted and not seconds: a machine that was suspended, or a master that was stopped
 * together with its children, finds all beats standing where they stood. That is one look, however
 * long it took; and as nobody can have beaten while nothing ran, a look that comes late lets all of
 * them begin anew.
 */
#include "master/watchdog.h"

#include "master/master.h"

/* By SIGKILL: one that is stopped hears no other signal. While stopping it spoils the exit code, as
 * one does that is late. */
static void give_up(struct child *child)
{
    child->hung = true;
    log_event(LOG_ERROR, "child-hung", LOG_STR("role", role_info(child->role)->name),
              LOG_UINT("index", child->index), LOG_INT("child", child->pid),
              LOG_UINT("seconds", child->still * (WATCHDOG_LOOK_MS / 1000)));
    child->master->killed |= child->master->stopping;
    child_kill(child);
}

/* Before it is ready it may be opening tables, and its loop has not begun. */
static void look_at(struct child *child, bool late)
{
    struct master *master = child->master;
    const struct page_slot *slot = pages_made(&master->pages, child->role, child->index);
    uint64_t most = master->configuration.conf->limits.watchdog * 1000 / WATCHDOG_LOOK_MS;

    if (slot == NULL || child->state == CHILD_STARTING)
        return;
    uint64_t beats = page_beats(slot->page);
    child->still = late || beats != child->beats ? 0 : child->still + 1;
    child->beats = beats;
    /* Once: a process that waits for a disk dies only when the disk has answered. */
    if (child->still >= most && !child->hung)
        give_up(child);
}

void watchdog_look(struct master *master, int64_t now)
{
    struct watchdog *watchdog = &master->watchdog;
    bool late = now - watchdog->looked > WATCHDOG_LATE_MS;
    struct child *child;

    watchdog->looked = now;
    /* Nobody leaves the list here: a kill comes back as a death. */
    TAILQ_FOREACH (child, &master->children, entry)
        look_at(child, late);
}

static void on_timer(void *arg)
{
    struct master *master = arg;
    watchdog_look(master, loop_now(master->loop));
    timer_set(&master->watchdog.timer, WATCHDOG_LOOK_MS);
}

void watchdog_start(struct master *master)
{
    struct watchdog *watchdog = &master->watchdog;

    timer_init(&watchdog->timer, master->loop, on_timer, master);
    watchdog->looked = loop_now(master->loop);
    timer_set(&watchdog->timer, WATCHDOG_LOOK_MS);
}

void watchdog_end(struct master *master)
{
    timer_cancel(&master->watchdog.timer);
}

bool watchdog_finds_silent(const struct child *child)
{
    return child->still >= WATCHDOG_SILENT;
}
