/*
 * child - one living process: started, introduced, drained, reaped.
 *
 * A child is in the list from its fork until it was reaped. Its index is unique among the living of
 * its role and names its page.
 */
#ifndef VEREDUS_MASTER_CHILD_H
#define VEREDUS_MASTER_CHILD_H

#include <bsd/sys/queue.h>
#include <sys/types.h>

#include "util/ipc/channel.h"
#include "util/sys/role.h"

struct master;
struct place;

/* Only ever forwards, and DRAINING ends in death. */
enum child_state { CHILD_STARTING, CHILD_READY, CHILD_DRAINING };

struct child {
    TAILQ_ENTRY(child) entry;
    struct master *master;
    struct place *place; /* that it fills, or filled */
    enum role role;
    unsigned index;
    uint32_t generation;
    pid_t pid;
    enum child_state state;
    int64_t born_ms;
    struct channel *channel; /* NULL: it hung up, or was hung up on */
    struct timer deadline;   /* to get ready, later to get drained; then it is killed */
    bool patient;            /* while draining: its clients may go on */
    unsigned unlinked;       /* how often it lost a peer */
    uint64_t beats;          /* of its page, when master looked last */
    unsigned still;          /* looks in a row at which they stood still */
    bool hung;               /* for too long: it was killed */
};

TAILQ_HEAD(child_list, child);

/* From the fork to the word that it is ready; who is later is killed. */
enum { CHILD_READY_MS = 30000 };

/* Peers that a child may lose while they live. More would be somebody who plays with master. */
enum { CHILD_UNLINKED_MOST = 10000 };

/* Starts a process and sends it all that it needs. NULL after an event in the log. */
struct child *child_start(struct master *master, enum role role, struct place *place)
    __attribute__((warn_unused_result));

/* Tells it to take nothing new and end, patiently (its clients may go on) or soon; after `ms` it is
 * killed. A patient one may be told again to end soon. */
void child_drain(struct child *child, int64_t ms, bool patient);

/* Kills it at once (SIGKILL); it is collected like any that died. */
void child_kill(struct child *child);

/* Collects the dead. Each one's place hears of it. */
void child_reap_all(struct master *master);

/* True when it serves the network: drained first, and alive while it has sessions. */
bool child_is_front(const struct child *child);

/* "starting", "ready" or "draining". */
const char *child_state_name(enum child_state state);

#endif
