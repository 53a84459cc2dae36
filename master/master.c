/*
 * Why nothing is forked before everything is bound, locked and made: whatever is wrong with the
 * machine is said once, by one process, on standard error, and not by ten children in turn.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "master/directories.h"
#include "master/reload.h"
#include "util/base/clock.h"
#include "util/base/panic.h"
#include "util/base/random.h"

enum {
    STOP_MS = 30000, /* what a child has to end; more than any of them takes by itself */
    DESCRIPTORS = 65536
};

/* ---- the end ---- */

/* Each child has its own deadline from the moment it was told. One for all would run out for the
 * second half when it runs out for the first, and qmgr would be killed without a word. */
static void drain_some(struct master *master, bool rest_too)
{
    struct child *child;

    TAILQ_FOREACH (child, &master->children, entry)
        if (rest_too || child_is_front(child))
            child_drain(child, STOP_MS, false);
}

/* Ready, starting or draining makes no difference: as long as it lives it may have a session. */
static bool front_lives(const struct master *master)
{
    const struct child *child;

    TAILQ_FOREACH (child, &master->children, entry)
        if (child_is_front(child))
            return true;
    return false;
}

/* What serves the network still needs the rest to finish its letters; so the rest hears of the end
 * only when nobody can ask it for anything any more. */
void master_child_gone(struct master *master)
{
    if (!master->stopping)
        return;
    /* The last one is collected: every page has its final count and every lock of a child is
     * gone. */
    if (TAILQ_EMPTY(&master->children)) {
        loop_stop(master->loop);
    } else if (!master->rest_told && !front_lives(master)) {
        /* Once only: each is given its time from the first word on. */
        master->rest_told = true;
        drain_some(master, true);
    }
}

void master_stop(struct master *master)
{
    if (master->stopping)
        return;
    log_event(LOG_INFO, "stopping", LOG_UINT("generation", master->generation));
    /* Set before the first child is told, so that a death from now on refills no place. */
    master->stopping = true;
    places_abandon(master);
    drain_some(master, false);
    /* Perhaps nothing that serves the network lives: then the rest is told at once. */
    master_child_gone(master);
}

/* ---- signals ---- */

/* A log that was renamed is let go by the children only when they end: a new generation takes it.
 */
static void on_signal(int signal, void *arg)
{
    struct master *master = arg;

    if (signal == SIGCHLD)
        child_reap_all(master);
    else if (signal == SIGTERM || signal == SIGINT)
        master_stop(master);
    else if (!reload(master, NULL))
        log_event(LOG_WARN, "configuration-kept", LOG_STR("file", master->file));
}

/* They arrive by the loop, never in a handler: whatever they cause runs between two events. */
static void watch_signals(struct master *master)
{
    static const int watched[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
        loop_on_signal(master->loop, &master->signals[i], watched[i], on_signal, master);
    /* A peer that hangs up is an errno to whoever writes, not the end of master. */
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

/* ---- the start ---- */

/* The log hears of every generation, standard output of the first alone: whoever started master
 * reads one line there and then closes its end. */
void master_announce(struct master *master)
{
    log_event(LOG_INFO, "ready", LOG_UINT("generation", master->generation));
    if (master->announced)
        return;
    master->announced = true;
    (void)puts("ready");
    (void)fflush(stdout);
}

/* Ten thousand sessions need as many descriptors; the children inherit the limit. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    /* As far as allowed. With less, sessions are refused earlier; that is no reason not to
     * start. */
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Opens /dev/null, and lets it stand for every standard descriptor that is missing. */
static int open_null(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        fatal(EX_OSERR, "cannot open /dev/null: %s", log_errno_text(errno));
    return fd;
}

/* Everything that may be refused. The exit code, EX_OK to go on. */
static int acquire(struct master *master)
{
    if (!configuration_load(&master->configuration, master->file, complaint_note, NULL))
        return EX_CONFIG;
    /* The log comes next, so that whatever else is refused is said where the operator wants it. */
    const struct conf *conf = master->configuration.conf;
    if (!journal_open(&master->journal, conf, complaint_note, NULL))
        return EX_CANTCREAT;
    int code = directories_make(conf, complaint_note, NULL);
    if (code != EX_OK)
        return code;
    /* After the directories that the locks lie in, and before the first socket: a second master
     * must not get as far as a port. */
    if (!locks_take(&master->locks, conf, complaint_note, NULL))
        return EX_UNAVAILABLE;
    if (listeners_update(&master->listeners, &conf->listens, complaint_note, NULL) &&
        operators_open(master))
        return EX_OK;
    /* In the reverse order. Directories stay: they are what the next start wants anyway. */
    log_event(LOG_ERROR, "not-started", LOG_STR("reason", "a socket can not be bound"));
    listeners_close(&master->listeners);
    locks_release(&master->locks);
    return EX_UNAVAILABLE;
}

/* Master has no page: its own count is added to those of the children. */
static void count_lost(void *arg, uint64_t count)
{
    struct master *master = arg;
    master->log_lost += count;
}

/* From the first child to the collecting of the last. */
static void serve(struct master *master)
{
    log_event(LOG_INFO, "starting", LOG_STR("version", VEREDUS_VERSION),
              LOG_STR("file", master->file));
    /* New at every start and never written down: tickets do not outlive the master they came
     * from. */
    random_fill(master->key, sizeof(master->key));
    tls_ratchet_draw(&master->tickets.ratchet);
    tls_tickets_keep(&master->tickets, master->loop);
    places_init(master);
    /* Before the first fork: a child that dies at once must be noticed. */
    watch_signals(master);
    watchdog_start(master);
    places_fill(master);
    loop_run(master->loop);
    watchdog_end(master);
    relay_take(&master->relay);
    log_event(LOG_INFO, "stopped", LOG_UINT("generation", master->generation));
    /* The locks go last: whoever gets them finds ports and socket free. */
    tls_tickets_forget(&master->tickets);
    operators_close(master);
    listeners_close(&master->listeners);
    locks_release(&master->locks);
}

int master_run(const char *file, const char *programs)
{
    struct master *master = mem_new(sizeof(*master));

    master->file = file;
    master->programs = programs;
    master->generation = 1;
    master->started_ms = clock_ms();
    /* Before any other descriptor is made, so that none of them becomes 0, 1 or 2. */
    master->null = open_null();
    TAILQ_INIT(&master->children);
    /* Until the configuration is read the log goes to standard error in the plainest format. */
    journal_init(&master->journal);
    log_setup("master", LOG_LOGFMT, LOG_INFO);
    log_on_lost(count_lost, master);
    raise_descriptor_limit();
    master->loop = loop_new();
    relay_init(&master->relay, master->loop);

    int code = acquire(master);
    if (code == EX_OK)
        serve(master);
    if (master->killed)
        code = EX_SOFTWARE; /* who stopped it must hear that not all went well */
    relay_close(&master->relay);
    configuration_free(&master->configuration);
    pages_free(&master->pages);
    master_rates_free(&master->rates);
    loop_free(master->loop);
    log_on_lost(NULL, NULL);
    mem_free(master);
    return code;
}
