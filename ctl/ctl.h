/*
 * ctl - the operator's command: `veredus [-c FILE] VERB ARGUMENT...`.
 *
 * A verb is a row of the table in verbs.c: its name, what it needs, its help, its handler. What it
 * needs is seen to before the handler is called: the number of arguments, and the configuration. A
 * handler says what went wrong with ctl_say and returns the exit code, one of sysexits.h.
 */
#ifndef VEREDUS_CTL_CTL_H
#define VEREDUS_CTL_CTL_H

#include <stdio.h>

#include "util/conf/conf.h"

/* Where a verb reads and writes; tests give their own. */
struct ctl_streams {
    FILE *in, *out, *err;
};

/* One call of the command. */
struct ctl {
    struct ctl_streams streams;
    struct arena arena;    /* lives as long as the call */
    const char *file;      /* of the configuration, whether it exists or not */
    struct conf *conf;     /* for verbs with NEEDS_CONF, else NULL */
    char *const *argument; /* what follows the verb */
    size_t argument_count;
};

/* Stated by the row and seen to before the handler runs; 0 is none. */
enum ctl_need { NEEDS_NOTHING, NEEDS_CONF };

enum { CTL_ANY_NUMBER = 1000 }; /* of arguments */

/* A row of the table; the arguments are counted without the words of the name. */
struct ctl_verb {
    const char *name;      /* one or two words */
    const char *arguments; /* as shown */
    const char *help;      /* one line */
    size_t least, most;    /* arguments */
    enum ctl_need need;
    int (*handler)(struct ctl *ctl);
};

/* The whole command; `argv` as main gets it. The caller flushes the streams. Returns the exit code:
 * EX_USAGE and EX_CONFIG are given here, after one line that says what would be right. */
int ctl_main(int argc, char *const *argv, const struct ctl_streams *streams);

/* Writes "veredus: ..." and a line feed to the error stream. */
void ctl_say(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says that the call is wrong and why; returns EX_USAGE. */
int ctl_misused(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A conf_complain whose `arg` is the struct ctl. */
void ctl_complain(void *ctl, const char *message);

#endif
