/*
 * verbs - the commands of POP3, one row each, and the one place that asks whether one is allowed
 * now.
 */
#ifndef VEREDUS_POP3D_VERBS_H
#define VEREDUS_POP3D_VERBS_H

#include "pop3d/commands.h"

struct verb {
    struct span name;
    struct pop3_reply (*handle)(struct session *session, const struct arguments *arguments);
    unsigned states;     /* bit set of 1u << enum session_state */
    uint8_t least, most; /* arguments */
    bool whole;          /* the rest of the line, blanks and all, is the one argument */
    const char *section; /* where it is defined */
};

/* Serves one command line without its line end. */
struct pop3_reply verb_serve(struct session *session, struct span line);

/* The rows; *count is their number. */
const struct verb *verb_table(size_t *count);

#endif
