/*
 * spawn - fork and exec: a fresh address space that has inherited its control socket and the log.
 */
#ifndef VEREDUS_MASTER_SPAWN_H
#define VEREDUS_MASTER_SPAWN_H

#include <sys/types.h>

/* Borrowed for the call: nothing here is kept or closed. */
struct spawn {
    const char *directory; /* of the program */
    const char *program;
    const char *role; /* its one argument */
    int control;      /* becomes DAEMON_CONTROL_FD */
    int null;         /* becomes standard input and output */
    int log;          /* becomes standard error */
};

/* The pid, or -1 with errno. A program that can not be executed is a child that exits with 127. */
pid_t spawn_process(const struct spawn *spawn) __attribute__((warn_unused_result));

#endif
