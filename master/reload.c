/*
 * Why everything that can fail comes first: from the moment a generation is counted there is no way
 * back, so file, directories, listeners and log are tried while the old configuration is in force.
 */
#include "master/reload.h"

#include <sysexits.h>

#include "master/directories.h"

/* What master itself holds locks and sockets in can not be moved beneath it. */
static bool same_house(const struct conf *old, const struct conf *new, struct buf *complaints)
{
    if (span_equal(old->spool_directory, new->spool_directory) &&
        span_equal(old->run_directory, new->run_directory))
        return true;
    complaint_note(complaints,
                   "spool_directory and run_directory can not change by reload; stop and start");
    return false;
}

/* Cheap and harmless first. Listeners come last: they alone change what the network sees, and
 * after them nothing can refuse. */
static bool usable(struct master *master, const struct conf *conf, struct buf *complaints)
{
    return same_house(master->configuration.conf, conf, complaints) &&
           directories_make(conf, complaint_note, complaints) == EX_OK &&
           journal_open(&master->journal, conf, complaint_note, complaints) &&
           listeners_update(&master->listeners, &conf->listens, complaint_note, complaints);
}

/* What was tried is undone as far as it shows: the log goes back to where it went. Directories
 * that were made stay; they are empty. */
static bool take_over(struct master *master, struct configuration *fresh, struct buf *complaints)
{
    const struct conf *old = master->configuration.conf;

    if (!configuration_load(fresh, master->file, complaint_note, complaints))
        return false;
    if (usable(master, fresh->conf, complaints))
        return true;
    /* The old file was open a moment ago; if it can not be opened anew, what is written goes
     * where descriptor 2 leads now. */
    if (!journal_open(&master->journal, old, complaint_note, complaints))
        log_event(LOG_ERROR, "log-lost", LOG_SPAN("file", old->log_file));
    configuration_free(fresh);
    return false;
}

bool reload(struct master *master, struct buf *complaints)
{
    struct configuration fresh;

    if (master->stopping) {
        complaint_note(complaints, "master is stopping");
        return false;
    }
    if (!take_over(master, &fresh, complaints)) {
        log_event(LOG_ERROR, "reload-refused", LOG_STR("file", master->file));
        return false;
    }
    /* The point of no return. Children of the old generation hold the old memfd by descriptors
     * of their own. */
    configuration_free(&master->configuration);
    master->configuration = fresh;
    master->generation++;
    log_event(LOG_INFO, "reload", LOG_UINT("generation", master->generation));
    /* Starts the new generation beside the old; who asked is answered before it serves. */
    places_fill(master);
    return true;
}
