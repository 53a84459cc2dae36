/*
 * Why the index is found among the living and not counted up: it names a slot of shared pages, and
 * their number is bounded. While a generation drains, the next one's workers take other indexes;
 * the ones they leave are free again.
 */
#include "master/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/introduce.h"
#include "master/links.h"
#include "master/master.h"
#include "master/spawn.h"
#include "util/base/clock.h"

/* Octets: room for what introduces a child, which is sent before the child reads a word. */
enum { CONTROL_BUFFER = 1 << 18 };

bool child_is_front(const struct child *child)
{
    return listeners_are_for(child->role);
}

const char *child_state_name(enum child_state state)
{
    static const char *const names[] = {
        [CHILD_STARTING] = "starting", [CHILD_READY] = "ready", [CHILD_DRAINING] = "draining"};
    return names[state];
}

/* ---- its socket ---- */

void child_kill(struct child *child)
{
    (void)kill(child->pid, SIGKILL);
}

/* Said once. Before the place hears of it the deadline ends: what the place does next may drain
 * this very child. */
static void take_ready(struct child *child)
{
    child->state = CHILD_READY;
    timer_cancel(&child->deadline);
    place_child_ready(child);
}

/* It gets no more than it had, and a bounded number of times: one that was broken into must not
 * keep master busy. */
static void take_unlinked(struct child *child, const struct control_unlinked *message)
{
    if (++child->unlinked <= CHILD_UNLINKED_MOST)
        links_renew(child, message->role, message->index);
    else
        child_kill(child);
}

/* Anything else is noted and changes nothing: a child gains nothing by talking. */
static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct child *child = arg;
    (void)channel, (void)fds;

    if (type == &ipc_control_ready && child->state == CHILD_STARTING)
        take_ready(child);
    else if (type == &ipc_control_unlinked && child->state != CHILD_STARTING)
        take_unlinked(child, message);
    else
        log_event(LOG_WARN, "child-unexpected", LOG_INT("pid", child->pid),
                  LOG_STR("message", type->name));
}

/* It is about to die, or it is broken: without its socket it can not be told anything any more. */
static void on_closed(void *arg, struct channel *channel)
{
    struct child *child = arg;

    /* The record stays in the list: its death is collected by SIGCHLD, and only then is it
     * freed. */
    child->channel = NULL;
    channel_free(channel);
    if (child->state != CHILD_DRAINING)
        child_kill(child);
}

/* One timer for both waits, since a child is either getting ready or draining. The record is
 * left alone here: the kill comes back as a death. */
static void on_deadline(void *arg)
{
    struct child *child = arg;

    log_event(LOG_ERROR, "child-late", LOG_STR("role", role_info(child->role)->name),
              LOG_INT("pid", child->pid), LOG_STR("state", child_state_name(child->state)));
    /* Only while stopping does it spoil the exit code; in service the place is simply filled
     * again. */
    child->master->killed |= child->master->stopping;
    child_kill(child);
}

/* ---- birth ---- */

/* Of the same role only: each role has its own row of pages. */
static bool index_is_free(const struct master *master, enum role role, unsigned index)
{
    const struct child *child;

    TAILQ_FOREACH (child, &master->children, entry)
        if (child->role == role && child->index == index)
            return false;
    return true;
}

/* The lowest that is free, so the slots in use stay dense and readers scan few pages. EAGAIN
 * when all are taken: draining workers give theirs back, and the place tries again. */
static bool free_index(const struct master *master, enum role role, unsigned *index)
{
    for (*index = 0; *index < ROLE_INDEXES; (*index)++)
        if (index_is_free(master, role, *index))
            return true;
    errno = EAGAIN;
    return false;
}

/* The process and the near end of its socket; -1 with errno. */
static pid_t launch(const struct master *master, enum role role, int *control)
{
    int pair[2];
    /* It sets RLIMIT_FSIZE for the segments that it writes to. */
    bool limited = role_info(role)->receives;

    if (!seqpacket_pair(pair, CONTROL_BUFFER))
        return -1;
    pid_t pid = spawn_process(&(struct spawn){.directory = master->programs,
                                              .program = role_info(role)->program,
                                              .role = role_info(role)->name,
                                              .control = pair[1],
                                              .null = master->null,
                                              .log = relay_log_of(&master->relay, limited)});
    /* The far end belongs to the child now. Kept open here, it would hide the child's hanging
     * up. */
    int problem = errno;
    (void)close(pair[1]);
    if (pid < 0)
        (void)close(pair[0]);
    errno = problem;
    *control = pair[0];
    return pid;
}

/* From here on the process is accounted for: its death finds a record, its silence a deadline. */
static struct child *enlist(struct master *master, enum role role, unsigned index, pid_t pid,
                            int control)
{
    struct child *child = mem_new(sizeof(*child));
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = child};

    child->master = master;
    child->role = role;
    child->index = index;
    /* That of the configuration it will be sent, which is the one in force now. */
    child->generation = master->generation;
    child->pid = pid;
    child->born_ms = clock_ms();
    child->channel = channel_new(master->loop, control, &calls);
    timer_init(&child->deadline, master->loop, on_deadline, child);
    timer_set(&child->deadline, CHILD_READY_MS);
    TAILQ_INSERT_TAIL(&master->children, child, entry);
    return child;
}

/* The child is enlisted before it is introduced, for links and pages look among the living. */
struct child *child_start(struct master *master, enum role role, struct place *place)
{
    unsigned index;
    int control = -1;
    pid_t pid = free_index(master, role, &index) ? launch(master, role, &control) : -1;

    if (pid < 0) {
        log_event(LOG_ERROR, "child-not-started", LOG_STR("role", role_info(role)->name),
                  LOG_ERRNO(errno));
        return NULL;
    }
    struct child *child = enlist(master, role, index, pid, control);
    child->place = place;
    if (introduce_child(child)) {
        introduce_to_siblings(child);
    } else {
        /* Half introduced it would wait for its start until the deadline. It is killed and
         * still returned: the place learns of the death as of any other and backs off. */
        log_event(LOG_ERROR, "child-not-introduced", LOG_STR("role", role_info(role)->name),
                  LOG_INT("pid", pid));
        child_kill(child);
    }
    return child;
}

/* ---- death ---- */

void child_drain(struct child *child, int64_t ms, bool patient)
{
    const struct control_drain message = {.patient = patient};

    /* Draining goes only one way: from patient to soon. A second patient request must not win
     * time. */
    if (child->state == CHILD_DRAINING && (patient || !child->patient))
        return;
    child->state = CHILD_DRAINING;
    child->patient = patient;
    timer_set(&child->deadline, ms);
    /* SIGTERM says the same as the message, to one whose socket is gone or full. */
    if (child->channel == NULL || !channel_send(child->channel, &ipc_control_drain, &message, NULL))
        (void)kill(child->pid, SIGTERM);
}

/* Once master stops all of them are to end, whoever tells them: timeout(1) and a shell that
 * controls jobs send SIGTERM to the whole process group. */
static bool is_to_end(const struct child *child)
{
    return child->state == CHILD_DRAINING || child->master->stopping;
}

/* Only a child that is to end and exited with 0 is no news. Every other end is an error, an exit
 * with 0 that nobody asked for included. */
static void log_death(const struct child *child, int status)
{
    bool killed = WIFSIGNALED(status);
    bool expected = is_to_end(child) && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    int number = killed ? WTERMSIG(status) : WEXITSTATUS(status);

    log_event(expected ? LOG_INFO : LOG_ERROR, expected ? "child-done" : "child-died",
              LOG_STR("role", role_info(child->role)->name), LOG_UINT("index", child->index),
              LOG_INT("child", child->pid), LOG_INT(killed ? "signal" : "exit", number));
}

/* The order matters: the page is marked before anybody can be given its index, and the record
 * is out of the list before its place starts a successor that looks for a free index. */
static void bury(struct child *child, int status)
{
    struct master *master = child->master;
    /* Made at the introduction; NULL when the child died of not being introduced. */
    const struct page_slot *slot = pages_made(&master->pages, child->role, child->index);

    /* What it said before it died comes first. */
    relay_take(&master->relay);
    log_death(child, status);
    if (slot != NULL)
        page_owner_died(slot->page);
    timer_cancel(&child->deadline);
    channel_free(child->channel);
    TAILQ_REMOVE(&master->children, child, entry);
    place_child_died(child);
    mem_free(child);
    /* Last, since it may end the loop: nothing of the child is left to be looked at. */
    master_child_gone(master);
}

/* NULL for a process that master did not start: as process 1 of a container it inherits
 * orphans. */
static struct child *find(const struct master *master, pid_t pid)
{
    struct child *child;

    TAILQ_FOREACH (child, &master->children, entry)
        if (child->pid == pid)
            return child;
    return NULL;
}

void child_reap_all(struct master *master)
{
    int status;
    pid_t pid;

    /* Until none is left: one SIGCHLD may stand for several deaths. */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *child = find(master, pid);
        if (child != NULL)
            bury(child, status);
    }
}
