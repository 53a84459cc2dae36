/*
 * introduce - what a new child is sent: configuration, pages, key, listeners, peers, start.
 *
 * Descriptors are capabilities: this module decides which role is handed what.
 */
#ifndef VEREDUS_MASTER_INTRODUCE_H
#define VEREDUS_MASTER_INTRODUCE_H

#include <stdbool.h>

struct child;

/* Queues all of it; false when something could not be sent. */
bool introduce_child(struct child *child) __attribute__((warn_unused_result));

/* Hands the page of a new worker to its living siblings. */
void introduce_to_siblings(struct child *child);

#endif
