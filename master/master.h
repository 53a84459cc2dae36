/*
 * master - the only root process: binds sockets, spawns, supervises, reloads, stops.
 *
 * It parses nothing that comes from the network. Its whole state is one struct that its modules
 * share: configuration, listeners and pages hold what is handed to children; child.h the living
 * processes; place.h the processes that there should be; links.h who talks to whom; reload.h and
 * operator.h what the operator wants.
 */
#ifndef VEREDUS_MASTER_MASTER_H
#define VEREDUS_MASTER_MASTER_H

#include "master/child.h"
#include "master/configuration.h"
#include "master/journal.h"
#include "master/listeners.h"
#include "master/locks.h"
#include "master/operator.h"
#include "master/pages.h"
#include "master/place.h"
#include "master/rates.h"
#include "master/relay.h"
#include "master/watchdog.h"
#include "util/sys/tls_tickets.h"

enum { MASTER_KEY = 32 /* octets of the key of login tickets */ };

struct master {
    struct loop *loop;
    const char *file;     /* of the configuration, absolute */
    const char *programs; /* directory of the children's programs */
    struct configuration configuration;
    struct journal journal;
    struct relay relay;
    struct locks locks;
    struct listeners listeners;
    struct pages pages;
    struct master_rates rates;
    struct child_list children; /* all that live */
    struct places places;
    struct operators operators;
    struct watchdog watchdog;
    uint8_t key[MASTER_KEY];    /* drawn at start */
    struct tls_tickets tickets; /* likewise; steps by itself */
    uint64_t log_lost;          /* lines of master's own, or passed on by it */
    uint32_t generation;
    int64_t started_ms;
    int null;       /* /dev/null: the children's standard input and output */
    bool announced; /* "ready" was said */
    bool stopping;
    bool rest_told; /* the processes behind the network's were told to stop, too */
    bool killed;    /* while stopping, a child had to be killed */
    struct signal_watch signals[5];
};

/* The life of master with the configuration `file` and the children's programs in the directory
 * `programs`. Returns the exit code (sysexits.h). */
int master_run(const char *file, const char *programs);

/* Drains everything, then ends the loop: first what serves the network, then the rest. */
void master_stop(struct master *master);

/* Goes on stopping when a child died. */
void master_child_gone(struct master *master);

/* Says "ready" once, when every place of the first generation serves. */
void master_announce(struct master *master);

#endif
