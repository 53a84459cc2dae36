/*
 * sandbox_steps - the two halves of the sandbox that the kernel keeps; for sandbox.c alone.
 */
#ifndef VEREDUS_SYS_SANDBOX_STEPS_H
#define VEREDUS_SYS_SANDBOX_STEPS_H

#include "util/sys/sandbox.h"

/* Landlock: takes away all paths but those listed in `sandbox`, TCP connections and binding, and
 * signals to others. False when this kernel has no Landlock; any other failure is fatal. Needs
 * no_new_privs. */
bool sandbox_restrict_paths(const struct sandbox *sandbox) __attribute__((warn_unused_result));

/* seccomp: from now on the process may make the system calls of `role`, in all of its threads.
 * Failure is fatal. */
void sandbox_restrict_calls(enum role role);

#endif
