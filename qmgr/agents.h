/*
 * agents - the processes that deliver: what each may take, has open and has in hand.
 *
 * An agent is given a job only when it asked for it (credit), at most `delivery_concurrency` at a
 * time. It gets each segment's descriptor once, before the first job in it. When an agent dies, its
 * jobs become suspects: one agent takes them, each alone, so that the one that kills it is known;
 * after AGENT_DEATHS_MOST deaths it is held with an alert.
 */
#ifndef VEREDUS_QMGR_AGENTS_H
#define VEREDUS_QMGR_AGENTS_H

#include "qmgr/fate.h"
#include "qmgr/qmgr.h"

enum { AGENT_DEATHS_MOST = 3, AGENT_IDLE_MS = 60000 };

/* Makes the list, empty, and its timers. */
struct agents *agents_new(struct qmgr *qmgr);

/* Closes every agent's socket; what they had in hand is found again at the next start. */
void agents_free(struct agents *agents);

/* A socket to a new agent; it becomes theirs. */
void agents_connect(struct agents *agents, int fd);

/* Jobs may be given: at the end of this turn. */
void agents_wake(struct agents *agents);

/* A segment is settled: no agent keeps it open. */
void agents_forget(struct agents *agents, uint64_t number);

/* The fate that an agent's result stands for; an unknown one is temporary. */
struct fate agent_fate(const struct job_result *result);

#endif
