/*
 * qmgr_rig - the whole of qmgr in one process with a real spool: the rig plays smtpd, lookup and
 * the delivery agent over the sockets that master would make.
 */
#ifndef VEREDUS_TEST_QMGR_RIG_H
#define VEREDUS_TEST_QMGR_RIG_H

#include "qmgr/qmgr.h"
#include "util/daemon/control.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000, JOBS_MOST = 64, RUN_ANSWERS_MOST = 64 };

struct seen_job {
    uint64_t job, number, offset;
    uint16_t recipient;
    uint8_t flags;
    char nexthop[64];
};

/* A segment in smtpd's hands. */
struct given {
    uint64_t number, durable_end;
    struct spool_salt salt;
};

struct world {
    struct loop *loop;
    struct conf conf;
    struct span domain;
    union {
        struct daemon daemon;
        struct control control; /* the whole of it: daemon_exit writes there */
    };
    struct page *page;
    char directory[64];
    /* smtpd */
    struct channel *smtpd;
    struct spool_writer *writer;
    unsigned committed, gives;
    uint16_t letter_flags;        /* of those that are sent from now on */
    uint8_t letter_notify;        /* and of their recipients: ENVELOPE_NOTIFY_... */
    struct span letter_nexthop;   /* likewise; empty: a mailbox */
    const struct span *letter_to; /* three addresses; NULL: those of example.test */
    struct given held[JOBS_MOST]; /* one a give */
    struct queue_run_answer run_answers[RUN_ANSWERS_MOST];
    size_t run_answer_count;
    uint32_t runs_asked;
    /* lookup */
    struct channel *lookup;
    enum resolve_status lookup_says;
    const char *lookup_transport;
    unsigned asked;
    /* the agent */
    struct channel *agent;
    struct seen_job jobs[JOBS_MOST];
    size_t job_count;
    unsigned segments, forgets;
};

typedef bool condition(const struct world *world);

/* Turns the loop until the condition is met; fails after PATIENCE_MS. */
void wait_for(struct world *world, condition *met);

/* Turns the loop for so long: for what must not happen. */
void turn_for(struct world *world, int64_t ms);

/* How many entries of qmgr's queue are in that state. */
uint64_t count_of(const struct world *world, enum queue_state state);

/* Conditions: what the page, the sockets or the agent have seen. */
bool delivered_one(const struct world *world);
bool delivered_three(const struct world *world);
bool delivered_four(const struct world *world);
bool deferred_one(const struct world *world);
bool held_one(const struct world *world);
bool bounced_one(const struct world *world);
bool segments_came(const struct world *world);
bool one_job(const struct world *world);
bool two_jobs(const struct world *world);
bool three_jobs(const struct world *world);
bool five_jobs(const struct world *world);

/* A new socket between smtpd and qmgr; then smtpd says which segments it holds. */
void connect_smtpd(struct world *world);

/* smtpd asks for a queue run; the number of the question is how many there were before. */
void ask_run(struct world *world, const char *domain, bool subdomains);
void report_smtpd(struct world *world);

/* The whole of smtpd dies: socket and descriptors; another writer is in its place, unconnected. */
void kill_smtpd(struct world *world);

/* Commits one letter from `sender` to `count` recipients of that transport. */
void send_letter(struct world *world, const char *sender, const char *transport, size_t count);

/* The same into "discard"; qmgr is not told that it is durable. */
void send_letter_unheard(struct world *world, size_t recipients);

/* An agent that can take `credit` jobs; its socket is closed by kill_agent. */
void connect_agent(struct world *world, uint16_t credit);
void kill_agent(struct world *world);

/* The agent answers the job of that index and can take one more. */
void answer_job(struct world *world, size_t index, enum job_fate fate);

/* A qmgr that was not started yet, with a socket to lookup. */
void prepare_qmgr(struct world *world);

/* Drains it and closes all sockets. */
void stop_qmgr(struct world *world);

/* A world with a running qmgr and an smtpd that has its segments; for cmocka. */
int setup(void **state);
int teardown(void **state);

#endif
