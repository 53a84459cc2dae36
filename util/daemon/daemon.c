/*
 * Why one skeleton: the order of these steps is what the privilege separation hangs on, and a
 * daemon that could choose its own order would one day choose a wrong one. What is opened before
 * the sandbox stays open, what would be opened behind it fails: the loop with its signals, the time
 * zone and the way to syslog come first.
 */
#include "util/daemon/daemon.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "util/base/panic.h"
#include "util/daemon/control.h"
#include "util/sys/privileges.h"

/* The public struct is the first member, so its address is that of the whole. */
static struct control *control_of(struct daemon *daemon)
{
    return (struct control *)daemon;
}

/* ---- the end ---- */

/* The loop ends with its turn: what was queued for the end of the turn still runs. */
void daemon_exit(struct daemon *daemon)
{
    control_of(daemon)->ended = true;
    loop_stop(daemon->loop);
}

void daemon_peer_lost(struct daemon *daemon, enum role role, unsigned index)
{
    control_unlink(control_of(daemon), role, index);
}

/* Asks the daemon to finish, once. */
static void drain(struct control *control)
{
    struct daemon *daemon = &control->daemon;

    bool patient = control->patient && !control->lost && !control->terminated;

    /* Most have nobody to be patient with: for them the first word is the last. */
    if (daemon->draining && (patient || !daemon->patient || !daemon->calls->drains_again))
        return;
    daemon->patient = patient;
    daemon->draining = true;
    log_event(LOG_INFO, "draining",
              LOG_STR("reason", control->lost ? "master is gone" : "told to"));
    if (daemon->calls->drain != NULL)
        daemon->calls->drain(daemon);
    else
        daemon_exit(daemon);
}

/* Before the daemon serves only a note is left: serve() reads it. */
static void on_terminate(int signal, void *arg)
{
    struct control *control = arg;
    (void)signal;
    control->drain = true;
    control->terminated = true;
    if (control->serving)
        drain(control);
}

/* A lost socket is not watched any more: it would be ready for ever. */
static void on_control(void *arg, unsigned events)
{
    struct control *control = arg;
    (void)events;

    control_receive(control);
    if (control->lost)
        io_stop(&control->io);
    if (control->drain || control->lost)
        drain(control);
}

/* One turn without waiting: signals, master's socket, timers. */
bool daemon_poll(struct daemon *daemon)
{
    loop_turn(daemon->loop, 0);
    return !control_of(daemon)->ended;
}

/* For poll(2) of a daemon that blocks elsewhere. */
int daemon_control_fd(const struct daemon *daemon)
{
    return ((const struct control *)daemon)->fd;
}

/* ---- the start ---- */

/* A signal that can not be ignored would one day kill the process: better now than then. */
static void ignore(int signal)
{
    const struct sigaction action = {.sa_handler = SIG_IGN};
    if (sigaction(signal, &action, NULL) != 0)
        fatal(EX_OSERR, "cannot ignore signal %d", signal);
}

/* A terminal's interrupt goes to the whole group, but it is master who ends its children. */
static void set_signals(void)
{
    ignore(SIGPIPE);
    ignore(SIGHUP);
    ignore(SIGINT);
    ignore(SIGUSR1);
}

/* The page outlives the process, and takes counts from any thread. */
static void count_lost(void *arg, uint64_t count)
{
    page_add(arg, PAGE_LOG_LOST, (int64_t)count);
}

/* Syslog and the time zone need files and sockets: both are opened here, before the sandbox. */
static void set_log(const struct daemon *daemon)
{
    const struct conf *conf = daemon->conf;

    log_setup(role_info(daemon->calls->role)->name, conf->log_format, conf->log_level);
    if (conf->log_target == LOG_TARGET_SYSLOG)
        log_to_syslog();
    if (daemon->page != NULL)
        log_on_lost(count_lost, daemon->page);
    tzset();
}

/* Only master is root; a role that asked for it is a bug in the table. */
static struct span user_of(const struct conf *conf, enum role_user user)
{
    switch (user) {
    case USER_SERVICE:
        return conf->user_service;
    case USER_QUEUE:
        return conf->user_queue;
    case USER_MAIL:
        return conf->user_mail;
    case USER_AUTH:
        return conf->user_auth;
    case USER_ROOT:
        break;
    }
    panic("a child that would stay root");
}

/* Gives up everything that `prepare` needed and `start` does not. The user is looked up before the
 * chroot hides /etc. */
static void confine(const struct daemon *daemon, const struct sandbox *sandbox)
{
    struct privileges privileges = {0};
    char empty[PATH_MAX];

    if (conf_changes_users(daemon->conf)) {
        struct span user = user_of(daemon->conf, role_info(sandbox->role)->user);
        if (!privileges_of(user.data, &privileges))
            fatal(EX_NOUSER, "there is no user \"%s\"", user.data);
    }
    int length = snprintf(empty, sizeof(empty), "%s/empty", daemon->conf->run_directory.data);
    require(length > 0 && (size_t)length < sizeof(empty));
    sandbox_chroot(sandbox, empty);
    if (conf_changes_users(daemon->conf))
        privileges_drop(&privileges);
    else
        privileges_keep_user();
    sandbox_enter(sandbox);
}

/* In shared memory, so that it costs no message: a process whose loop stands still is found by
 * master (master/watchdog.h). */
static void beat(void *arg)
{
    struct control *control = arg;
    page_beat(control->daemon.page);
    timer_set(&control->beat, CONTROL_BEAT_MS);
}

/* From the gathered control messages to the moment when master hears "ready". */
static void set_up(struct control *control)
{
    struct daemon *daemon = &control->daemon;
    struct sandbox sandbox = {.role = daemon->calls->role};

    set_log(daemon);
    daemon->loop = loop_new();
    loop_on_signal(daemon->loop, &control->terminate, SIGTERM, on_terminate, control);
    timer_init(&control->ask, daemon->loop, control_ask, control);
    timer_init(&control->beat, daemon->loop, beat, control);
    timer_set(&control->beat, 0);
    io_init(&control->io, daemon->loop, control->fd, on_control, control);
    io_want(&control->io, IO_READ);
    if (daemon->ratchet != NULL)
        tls_tickets_keep(&control->tickets, daemon->loop);
    daemon->calls->prepare(daemon, &sandbox);
    confine(daemon, &sandbox);
    /* Peers come before `start`, so that a daemon can ask them from its first turn on. */
    control_hand_over(control);
    daemon->calls->start(daemon);
    control_say_ready(control);
}

/* Master's wish to end may have come during the start: it is honoured before the first turn. */
static void serve(struct control *control)
{
    struct daemon *daemon = &control->daemon;

    if (control->drain || control->lost)
        drain(control);
    if (control->ended)
        return;
    if (daemon->calls->run != NULL)
        daemon->calls->run(daemon);
    else
        loop_run(daemon->loop);
}

/* Descriptor 3 must not leak into what the libraries may execute; without it there is no
 * master. */
int daemon_main(const struct daemon_calls *calls)
{
    struct control *control = mem_new(sizeof(*control));

    control->daemon.calls = calls;
    control->fd = DAEMON_CONTROL_FD;
    log_setup(role_info(calls->role)->name, LOG_LOGFMT, LOG_INFO);
    if (fcntl(control->fd, F_SETFD, FD_CLOEXEC) != 0)
        fatal(EX_USAGE, "this program is started by veredus-master alone");
    set_signals();
    if (!control_gather(control))
        return EX_OK;
    set_up(control);
    serve(control);
    return EX_OK;
}
