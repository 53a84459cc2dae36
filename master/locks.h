/*
 * locks - one master for one run directory and one spool.
 *
 * The locks are flocks: they end with the process, however it ends, and need no cleaning up. The
 * pid file is for people and for the operator's command; what counts is its lock.
 */
#ifndef VEREDUS_MASTER_LOCKS_H
#define VEREDUS_MASTER_LOCKS_H

#include "util/conf/conf.h"

/* Open descriptors while both locks are held; closing one lets go of its lock. */
struct locks {
    int run_directory;
    int pid_file; /* run_directory/master.pid */
    int spool;    /* spool_directory/master.lock */
};

/* Takes both; false after a complaint, with nothing held. */
bool locks_take(struct locks *locks, const struct conf *conf, conf_complain *complain, void *arg)
    __attribute__((warn_unused_result));

/* Removes the pid file and lets go. */
void locks_release(struct locks *locks);

#endif
