/*
 * Why old children wait for the new ones: a configuration can be valid and still not serve (a user
 * that is missing, a table that can not be opened). As long as the new generation has not shown
 * that it works, the old one is what the mail depends on.
 *
 * Why workers are relieved at all: whoever broke into one has it for hours and not for months, and
 * what leaks or fragments does not pile up. Not all at once: their memory would double.
 */
#include "master/place.h"

#include "master/master.h"
#include "util/base/clock.h"
#include "util/base/random.h"

/* The roles in the order of their taking over. */
#define ROLES_FRONT (1U << ROLE_SMTPD | 1U << ROLE_SUBMISSION | 1U << ROLE_POP3D)
#define ROLES_QMGR  (1U << ROLE_QMGR)
#define ROLES_REST  (1U << ROLE_LOOKUP | 1U << ROLE_AUTH | 1U << ROLE_DELIVER | 1U << ROLE_MAILBOX)

enum {
    DRAIN_FRONT_MS = 3600 * 1000, /* sessions end by their own limits long before */
    DRAIN_REST_MS = 60 * 1000
};

/* ---- filling ---- */

/* Doubles up to a limit: a configuration that no child survives costs a fork now and then and
 * not a core, and a disturbance that passes is over within seconds. */
static void back_off(struct place *place)
{
    int64_t ms = place->backoff_ms == 0 ? PLACE_BACKOFF_FIRST_MS : place->backoff_ms * 2;

    place->backoff_ms = ms < PLACE_BACKOFF_MOST_MS ? ms : PLACE_BACKOFF_MOST_MS;
    timer_set(&place->refill, place->backoff_ms);
}

/* A predecessor of an older generation loses the place here and serves on until it is drained. */
static void fill(struct place *place)
{
    timer_cancel(&place->refill);
    place->child = child_start(place->master, place->role, place);
    /* Not even started: no process, no descriptor. More will be free later. */
    if (place->child == NULL)
        back_off(place);
}

/* A reload may have filled the place, or dropped it, since the timer was set. */
static void on_refill(void *arg)
{
    struct place *place = arg;
    if (place->wanted && place->child == NULL)
        fill(place);
}

/* Filling lets the old worker serve on until the successor is ready. A generation that is still
 * coming replaces it anyway. */
static void on_relief(void *arg)
{
    struct place *place = arg;
    const struct child *child = place->child;
    if (place->wanted && child != NULL && child->state == CHILD_READY &&
        child->generation == place->master->generation)
        fill(place);
}

/* A quarter more or less, so that workers which were started together do not end together. */
static void set_relief(struct place *place)
{
    uint64_t age_ms = place->master->configuration.conf->limits.worker_age * 1000;
    timer_set(&place->relief, (int64_t)(age_ms + random_u64() % (age_ms / 4)));
}

/* Every role gets a row of the same length; wanted_of decides how much of it is used. */
void places_init(struct master *master)
{
    for (unsigned i = 0; i < PLACES; i++) {
        struct place *place = &master->places.all[i];
        *place = (struct place){.master = master, .role = (enum role)(i / PLACE_WORKERS)};
        timer_init(&place->refill, master->loop, on_refill, place);
        timer_init(&place->relief, master->loop, on_relief, place);
    }
}

/* Workers without a listener of their service would have nothing to do. */
static unsigned wanted_of(const struct master *master, enum role role)
{
    const struct role_info *info = role_info(role);
    uint64_t workers = master->configuration.conf->workers;

    /* The table of roles has it, the places do not: it is the one that fills them. */
    if (role == ROLE_MASTER)
        return 0;
    if (listeners_are_for(role) && !listeners_serve(&master->listeners, role))
        return 0;
    if (!info->per_worker)
        return info->count;
    return workers < PLACE_WORKERS ? (unsigned)workers : PLACE_WORKERS;
}

/* From now on a death is final. The children themselves are drained by whoever calls. */
void places_abandon(struct master *master)
{
    for (unsigned i = 0; i < PLACES; i++) {
        master->places.all[i].wanted = false;
        timer_cancel(&master->places.all[i].refill);
        timer_cancel(&master->places.all[i].relief);
    }
}

/* ---- the change of generations ---- */

/* A place that is not wanted belongs to no step: nobody waits for it. */
static bool is_of(const struct place *place, unsigned roles)
{
    return place->wanted && (roles & 1U << place->role) != 0;
}

/* Empty and not waiting for another try, or filled by an older generation. */
static bool is_due(const struct place *place)
{
    if (place->child == NULL)
        return !timer_is_set(&place->refill);
    /* qmgr is alone with the queue: its successor is started only when the old one has ended. */
    return place->child->generation < place->master->generation && place->role != ROLE_QMGR;
}

/* Filling overwrites the child that was there; it stays in the list and drains as an older one. */
static void fill_all(struct master *master, unsigned roles)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (is_of(&master->places.all[i], roles) && is_due(&master->places.all[i]))
            fill(&master->places.all[i]);
}

/* Ready alone is not enough: one of the old generation proves nothing about the new settings. */
static bool serves(const struct place *place)
{
    return place->child != NULL && place->child->state == CHILD_READY &&
           place->child->generation == place->master->generation;
}

/* True of none at all, too: without POP3 listeners nobody waits for a pop3d. */
static bool all_serve(const struct master *master, unsigned roles)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (is_of(&master->places.all[i], roles) && !serves(&master->places.all[i]))
            return false;
    return true;
}

/* Told again at every advance; child_drain makes nothing of the repetition. */
static void retire_older(struct master *master)
{
    struct child *child;

    TAILQ_FOREACH (child, &master->children, entry)
        if (child->generation < master->generation)
            child_drain(child, child_is_front(child) ? DRAIN_FRONT_MS : DRAIN_REST_MS, true);
}

/* Takes the present generation as far as it can go now. */
static void advance(struct master *master)
{
    /* Called at every change and never waiting: each step looks at what is there, so it does
     * not matter in which order children get ready or die. */
    fill_all(master, ROLES_REST | ROLES_QMGR);
    if (!all_serve(master, ROLES_REST))
        return;
    /* The front only when there is somebody for it to ask: its first session may come at once. */
    fill_all(master, ROLES_FRONT);
    if (!all_serve(master, ROLES_FRONT))
        return;
    /* Among them the old qmgr, whose death fills its place with the new one. */
    retire_older(master);
    if (all_serve(master, ROLES_QMGR))
        master_announce(master);
}

void places_fill(struct master *master)
{
    for (unsigned i = 0; i < PLACES; i++) {
        struct place *place = &master->places.all[i];
        /* A new configuration deserves a first try without the old one's delay. */
        place->wanted = i % PLACE_WORKERS < wanted_of(master, place->role);
        place->backoff_ms = 0;
        timer_cancel(&place->refill);
        /* Its child is of an older generation now and drains with that. */
        if (!place->wanted)
            place->child = NULL;
    }
    advance(master);
}

/* The workers that `child` was started to relieve; mostly there are none. Those of an older
 * generation wait for the whole of the new one. */
static void drain_relieved(const struct child *child)
{
    struct child *other;

    TAILQ_FOREACH (other, &child->master->children, entry)
        if (other != child && other->place == child->place &&
            other->generation == child->generation)
            child_drain(other, DRAIN_FRONT_MS, true);
}

/* While stopping nothing is begun, however ready. One that lost its place meanwhile serves until
 * the generation that took it does. */
void place_child_ready(struct child *child)
{
    if (child->master->stopping)
        return;
    if (child_is_front(child) && child->place->child == child) {
        set_relief(child->place);
        drain_relieved(child);
    }
    advance(child->master);
}

void place_child_died(struct child *child)
{
    struct place *place = child->place;
    bool drained = child->state == CHILD_DRAINING;

    /* A successor has the place already: this death was expected and is nobody's loss. */
    if (place == NULL || place->child != child)
        return;
    place->child = NULL;
    if (!place->wanted || place->master->stopping)
        return;
    /* One that served for a while died of something new; the delay starts over. */
    if (clock_ms() - child->born_ms >= PLACE_STEADY_MS)
        place->backoff_ms = 0;
    /* It made room as it was told: the successor comes at once and does not count as a restart. */
    if (drained) {
        fill(place);
        return;
    }
    place->restarts++;
    back_off(place);
}
