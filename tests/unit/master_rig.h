/*
 * master_rig - a whole master, with the test program itself in the place of every child.
 *
 * The programs' directory holds links to the test; under such a name it runs the daemon skeleton
 * with calls that note in the shared page what they were given. What is seen of master is what an
 * operator sees: its standard output, its sockets, its exit code and the answers of its operator
 * socket.
 */
#ifndef VEREDUS_TESTS_MASTER_RIG_H
#define VEREDUS_TESTS_MASTER_RIG_H

#include "master/master.h"

/* How long a test waits for what must come, and how long between two looks. */
enum { DEADLINE_MS = 40000, STEP_MS = 20 };

struct rig {
    struct arena arena;
    const char *directory;
    const char *file;
    unsigned smtp, pop3;
    pid_t master;
    int output; /* of master */
};

/* A path beneath the stage's directory. */
const char *rig_beneath(struct rig *rig, const char *name);

/* Writes a file that master may read. */
void rig_write_file(const char *path, const char *text);

/* Writes the configuration for the rig's ports, followed by `more`. */
void rig_configure(struct rig *rig, const char *more);

/* A port that is free now. */
unsigned rig_free_port(void);

/* The stage: a configuration with two workers of each service, and the programs. */
int rig_set_up(void **state);

/* Ends what still runs, removes the stage. */
int rig_tear_down(void **state);

/* Another master on the same stage; its pid, its standard output in *output. */
pid_t rig_launch(const struct rig *rig, int *output);

/* Waits for the end; 128 + signal for a violent one. */
int rig_exit_code(pid_t pid);

/* Starts the master of the rig and waits until it said "ready". */
void rig_start(struct rig *rig);

/* Its exit code; tear_down has nothing to end then. */
int rig_end_of_master(struct rig *rig);

/* A connection to the operator socket. */
int rig_connect_operator(struct rig *rig);

/* Asks the operator socket and gathers the answer; the text lives as long as the rig. */
struct span rig_ask(struct rig *rig, enum operator_request what, bool *ok);

/* The operator's status. */
struct span rig_status(struct rig *rig);

/* True when the text holds `part`. */
bool rig_contains(struct span text, const char *part);

/* The number behind "NAME " at the start of a line; -1 when there is none. */
long rig_value(struct span text, const char *name);

/* The pid behind "child ROLE INDEX "; -1 when there is none. */
long rig_pid_of(struct span text, const char *role_and_index);

/* How often it holds it. */
unsigned rig_count_of(struct span text, const char *part);

/* Asks until the status satisfies `wanted`; fails at a deadline. */
struct span rig_wait_for_status(struct rig *rig, bool (*wanted)(struct span text, long argument),
                                long argument);

/* True when somebody listens on the port of loopback. */
bool rig_can_connect(unsigned port);

/* What a child does in the place of the real program; its exit code. */
int rig_run_as_child(const char *role);

/* 127.0.0.1:port. */
void rig_loopback(unsigned port, union net_address *address);

#endif
