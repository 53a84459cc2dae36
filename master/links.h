/*
 * links - who talks to whom: a socket pair for each pair of living processes whose roles are peers.
 */
#ifndef VEREDUS_MASTER_LINKS_H
#define VEREDUS_MASTER_LINKS_H

#include <stdbool.h>

#include "util/sys/role.h"

struct child;

/* Links a new child with all living peers: both ends hear of it. False: the child can not be used.
 */
bool links_connect(struct child *child) __attribute__((warn_unused_result));

/* Links a child anew with the peer of this role and index; nothing happens if there is none. */
void links_renew(struct child *child, enum role role, unsigned index);

#endif
