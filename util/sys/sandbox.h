/*
 * sandbox - what a process can still do once it serves: seccomp, Landlock, chroot, limits.
 *
 * Each role has an allow-list of system calls (sandbox_filters.c). In the release build any other
 * call kills the process; under sanitizers, which need calls of their own and whose report must get
 * out, it fails with EPERM. Landlock takes away every path but the listed ones; a root start adds a
 * chroot to an empty directory for the roles that open nothing. Who may make sockets (smtpd, for
 * the DNS) connects over TCP to the listed ports alone, where the kernel can tell (6.7).
 */
#ifndef VEREDUS_SYS_SANDBOX_H
#define VEREDUS_SYS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "util/sys/role.h"

enum { SANDBOX_PATHS = 4, SANDBOX_PORTS = 8 };

struct sandbox {
    enum role role;
    const char *readable[SANDBOX_PATHS]; /* directories beneath which files may be read */
    const char *writable[SANDBOX_PATHS]; /* and where they may be made, written, renamed, removed */
    uint16_t ports[SANDBOX_PORTS];       /* of TCP, to which a role with sockets may connect */
    uint64_t file_size_limit;            /* RLIMIT_FSIZE; 0: as it is */
};

/* Step one, still as root: chroot into `empty_directory` for the roles that open nothing; does
 * nothing without root or when it is NULL. */
void sandbox_chroot(const struct sandbox *sandbox, const char *empty_directory);

/* Step two, after privileges_drop: no_new_privs, Landlock, limits, seccomp. There is no way back.
 * Before it: event loop, eventfds, log, whatever opens a socket. Behind it: threads; those that run
 * already are under seccomp too, but not under Landlock. A listed directory that is missing is
 * fatal. A kernel without Landlock is logged once and served without it; without seccomp: fatal. */
void sandbox_enter(const struct sandbox *sandbox);

/* True when the role may never open a file (smtpd, submission, pop3d). */
bool sandbox_opens_nothing(enum role role);

#endif
