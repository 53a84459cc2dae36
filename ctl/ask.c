/*
 * What the operator wants of a running server. Stopping waits for the end of the process itself,
 * not for a promise: whoever starts the next one must find ports and spool free.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "ctl/socket.h"
#include "ctl/tables.h"
#include "ctl/verbs.h"

/* Longer than master gives its children: first those that serve the network, then the rest. */
enum { STOP_MS = 120000 };

/* errno is socket_connect's. */
static int say_unreachable(struct ctl *ctl)
{
    if (errno == EACCES || errno == EPERM)
        ctl_say(ctl, "this user may not speak to the server of %s", ctl->file);
    else
        ctl_say(ctl, "the server of %s is not running; `veredus start` starts it", ctl->file);
    return EX_UNAVAILABLE;
}

/* One connection for one question. What was refused was said already; the exit code tells a
 * refusal from an answer that never came. */
static int ask(struct ctl *ctl, enum operator_request request)
{
    int fd = socket_connect(ctl->conf);
    if (fd < 0)
        return say_unreachable(ctl);
    enum socket_result result = socket_ask(ctl, fd, request);
    close(fd);
    if (result == SOCKET_LOST)
        return EX_UNAVAILABLE;
    return result == SOCKET_OK ? EX_OK : EXIT_FAILURE;
}

/* The tables first: what was edited in them counts by then, or the reload is none. */
int verb_reload(struct ctl *ctl)
{
    if (!tables_refresh(ctl, ctl->conf->table_directory))
        return EX_DATAERR;
    return ask(ctl, OPERATOR_RELOAD);
}

int verb_status(struct ctl *ctl)
{
    return ask(ctl, OPERATOR_STATUS);
}

/* A drain may take as long as the slowest client is given. */
static int wait_for_end(struct ctl *ctl, int master)
{
    /* A pidfd becomes readable when its process has ended. */
    struct pollfd end = {.fd = master, .events = POLLIN};
    if (poll(&end, 1, STOP_MS) == 1)
        return EX_OK;
    ctl_say(ctl, "the server is still finishing after %d seconds", STOP_MS / 1000);
    return EX_TEMPFAIL;
}

/* By its socket, or when that does not answer by signal: a server that is stuck must stop, too. */
static bool request_stop(struct ctl *ctl, int fd, int master)
{
    if (fd >= 0 && socket_ask(ctl, fd, OPERATOR_STOP) == SOCKET_OK)
        return true;
    return pidfd_send_signal(master, SIGTERM, NULL, 0) == 0;
}

int verb_stop(struct ctl *ctl)
{
    int code = EX_UNAVAILABLE;
    /* The pidfd is taken before anything is asked: afterwards the number could be somebody
     * else's. */
    int fd = socket_connect(ctl->conf);
    int master = fd >= 0 ? socket_master(fd) : socket_master_by_number(ctl);
    if (master < 0)
        code = say_unreachable(ctl);
    else if (request_stop(ctl, fd, master))
        code = wait_for_end(ctl, master);
    else
        ctl_say(ctl, "the server does not let itself be stopped by this user");
    /* Either may be missing: a master without a socket, or a socket whose master just ended. */
    if (fd >= 0)
        close(fd);
    if (master >= 0)
        close(master);
    return code;
}
