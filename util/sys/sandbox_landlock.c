/*
 * Landlock by its system calls: glibc has no functions for it, and the kernel's header that we
 * build with may be older than the kernel that we run on, so what it may lack is written down here.
 *
 * The rights are handled by the version of the running kernel: an older one would refuse a ruleset
 * with rights that it does not know, and then protect nothing. What a version does not know stays
 * allowed by it, and the system call filter is what remains.
 */
#include "util/sys/sandbox_steps.h"

#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

/* struct landlock_ruleset_attr of version 6. Kernels accept a longer one whose end is zero. */
struct ruleset {
    uint64_t files;
    uint64_t network;
    uint64_t scoped;
};

/* struct landlock_net_port_attr, and the kind of rule that it makes. */
struct port_rule {
    uint64_t network;
    uint64_t port;
};

enum { RULE_NET_PORT = 2 };

enum {
    NETWORK_BIND_TCP = 1 << 0, /* since version 4 */
    NETWORK_CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT_UNIX = 1 << 0, /* since version 6 */
    SCOPE_SIGNAL = 1 << 1
};

enum {
    FILES_TRUNCATE = 1 << 14,    /* since version 3 */
    FILES_IOCTL_DEVICE = 1 << 15 /* since version 5 */
};

enum {
    READING = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    WRITING = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
              LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
              LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER | FILES_TRUNCATE
};

/* All rights to files that version 1 knows, of which some are given back and most to nobody. */
enum { FILES_OF_VERSION_1 = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1 };

/* What a right of a later version guards stays open on an older kernel; the filter of system
 * calls is the other half. */
static struct ruleset ruleset_of(long version)
{
    struct ruleset rules = {.files = FILES_OF_VERSION_1};
    if (version >= 2)
        rules.files |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        rules.files |= FILES_TRUNCATE;
    if (version >= 4)
        rules.network = NETWORK_BIND_TCP | NETWORK_CONNECT_TCP;
    if (version >= 5)
        rules.files |= FILES_IOCTL_DEVICE;
    if (version >= 6)
        rules.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    return rules;
}

/* errno is that of the call that failed just now. */
static void cannot(const char *what, const char *path)
{
    fatal(EX_OSERR, "cannot enter the sandbox: %s %s: %s", what, path, log_errno_text(errno));
}

/* O_PATH: the directory is named, not read, so it need not be readable for us. */
static void allow_beneath(int ruleset, const char *directory, uint64_t rights)
{
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        cannot("directory", directory);
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        cannot("landlock_add_rule", directory);
    (void)close(fd);
}

/* Rights are cut to those that this kernel handles: it would refuse a rule with others. */
static void allow_paths(int ruleset, const struct sandbox *sandbox, uint64_t handled)
{
    for (size_t i = 0; i < SANDBOX_PATHS; i++) {
        if (sandbox->readable[i] != NULL)
            allow_beneath(ruleset, sandbox->readable[i], READING & handled);
        if (sandbox->writable[i] != NULL)
            allow_beneath(ruleset, sandbox->writable[i], (READING | WRITING) & handled);
    }
}

/* Those who connect elsewhere are refused, be it that the filter of system calls let them. */
static void allow_ports(int ruleset, const struct sandbox *sandbox, uint64_t handled)
{
    for (size_t i = 0; i < SANDBOX_PORTS && (handled & NETWORK_CONNECT_TCP) != 0; i++) {
        struct port_rule rule = {.network = NETWORK_CONNECT_TCP, .port = sandbox->ports[i]};
        if (rule.port != 0 && syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) != 0)
            cannot("landlock_add_rule", "of a port");
    }
}

bool sandbox_restrict_paths(const struct sandbox *sandbox)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    /* Not built in, or switched off at boot. */
    if (version < 1)
        return false;

    struct ruleset rules = ruleset_of(version);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
    if (ruleset < 0)
        cannot("landlock_create_ruleset", "");
    allow_paths(ruleset, sandbox, rules.files);
    allow_ports(ruleset, sandbox, rules.network);
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        cannot("landlock_restrict_self", "");
    (void)close(ruleset);
    return true;
}
