/*
 * Why old children wait for the new ones: a configuration can be valid and still not serve (a user
 * that is missing, a table that can not be opened). As long as the new generation has not shown
 * that it works, the old one is what the mail depends on.
 */
#include "master/place.h"

#include "master/master.h"
#include "util/base/clock.h"

enum {
    DRAIN_FRONT_MS = 3600 * 1000, /* sessions end by their own limits long before */
    DRAIN_REST_MS = 60 * 1000
};

/* ---- filling ---- */

static void back_off(struct place *place)
{
    int64_t ms = place->backoff_ms == 0 ? PLACE_BACKOFF_FIRST_MS : place->backoff_ms * 2;

    place->backoff_ms = ms < PLACE_BACKOFF_MOST_MS ? ms : PLACE_BACKOFF_MOST_MS;
    timer_set(&place->refill, place->backoff_ms);
}

static void fill(struct place *place)
{
    timer_cancel(&place->refill);
    place->child = child_start(place->master, place->role, place);
    if (place->child == NULL)
        back_off(place);
}

static void on_refill(void *arg)
{
    struct place *place = arg;
    if (place->wanted && place->child == NULL)
        fill(place);
}

void places_init(struct master *master)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        for (unsigned i = 0; i < PLACE_WORKERS; i++) {
            struct place *place = &master->places.of[role][i];
            *place = (struct place){.master = master, .role = (enum role)role};
            timer_init(&place->refill, master->loop, on_refill, place);
        }
    }
}

/* Workers without a listener of their service would have nothing to do. */
static unsigned wanted_of(const struct master *master, enum role role)
{
    const struct role_info *info = role_info(role);
    uint64_t workers = master->configuration.conf->workers;

    if (role == ROLE_MASTER)
        return 0;
    if (role == ROLE_SMTPD && !listeners_serve(&master->listeners, SERVICE_SMTP))
        return 0;
    if (role == ROLE_POP3D && !listeners_serve(&master->listeners, SERVICE_POP3))
        return 0;
    if (!info->per_worker)
        return info->count;
    return workers < PLACE_WORKERS ? (unsigned)workers : PLACE_WORKERS;
}

static void renew(struct place *place, bool wanted)
{
    place->wanted = wanted;
    place->backoff_ms = 0;
    if (!wanted) {
        timer_cancel(&place->refill);
        place->child = NULL;
    } else if (place->role != ROLE_QMGR || place->child == NULL) {
        fill(place);
    }
}

void places_fill(struct master *master)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        unsigned wanted = wanted_of(master, (enum role)role);
        for (unsigned i = 0; i < PLACE_WORKERS; i++)
            renew(&master->places.of[role][i], i < wanted);
    }
}

void places_abandon(struct master *master)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        for (unsigned i = 0; i < PLACE_WORKERS; i++) {
            master->places.of[role][i].wanted = false;
            timer_cancel(&master->places.of[role][i].refill);
        }
    }
}

/* ---- the change of generations ---- */

static bool serves(const struct place *place)
{
    return place->child != NULL && place->child->state == CHILD_READY &&
           place->child->generation == place->master->generation;
}

bool places_are_ready(const struct master *master, bool qmgr_too)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        for (unsigned i = 0; i < PLACE_WORKERS; i++) {
            const struct place *place = &master->places.of[role][i];
            bool counts = place->wanted && (qmgr_too || role != ROLE_QMGR);
            if (counts && !serves(place))
                return false;
        }
    }
    return true;
}

static void retire_older(struct master *master)
{
    struct child *child;

    TAILQ_FOREACH (child, &master->children, entry)
        if (child->generation < master->generation)
            child_drain(child, child_is_front(child) ? DRAIN_FRONT_MS : DRAIN_REST_MS);
}

void place_child_ready(struct child *child)
{
    struct master *master = child->master;

    if (master->stopping)
        return;
    if (places_are_ready(master, false))
        retire_older(master);
    if (places_are_ready(master, true))
        master_announce(master);
}

void place_child_died(struct child *child)
{
    struct place *place = child->place;
    bool drained = child->state == CHILD_DRAINING;

    if (place == NULL || place->child != child)
        return;
    place->child = NULL;
    if (!place->wanted || place->master->stopping)
        return;
    if (clock_ms() - child->born_ms >= PLACE_STEADY_MS)
        place->backoff_ms = 0;
    if (drained) {
        fill(place);
        return;
    }
    place->restarts++;
    back_off(place);
}
