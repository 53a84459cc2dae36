/*
 * lookup_rig - the daemon lookup in its sandbox over real tables, and one socket to it.
 */
#ifndef VEREDUS_TESTS_LOOKUP_RIG_H
#define VEREDUS_TESTS_LOOKUP_RIG_H

#include "table_rig.h"

#include "daemon_rig.h"

struct lookup_rig {
    struct table_rig tables;
    struct daemon_rig daemon;
    int peer;
};

/* What a test wants of the installation: lines of its configuration, and the texts of two tables.
 */
struct lookup_rig_wishes {
    const char *settings, *users, *aliases;
};

/* The fixture of a test: made from the wishes, and freed by lookup_rig_end. */
void lookup_rig_begin(void **state, const struct lookup_rig_wishes *wishes);

/* A tear-down of cmocka. */
int lookup_rig_end(void **state);

/* Asks through the socket, and hears the next answer, which must be of `answer_type`. */
void lookup_rig_ask(struct lookup_rig *rig, const struct ipc_type *type, const void *question);
void lookup_rig_hear(struct lookup_rig *rig, const struct ipc_type *answer_type, void *answer);

#endif
