/*
 * Everything that opens a file outside the mail root happens here, while that is still possible.
 */
#include "local/mail_root.h"

#include "util/base/panic.h"
#include "util/ipc/ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>

enum { PRIVATE_UMASK = 077 };

/* Segments of the spool, messages on their way to pop3d: many, and the default is low. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what there is will do */
}

/* The root is opened by name once; everything else is opened beneath it. */
int mail_root_prepare(const struct daemon *daemon, struct sandbox *sandbox)
{
    const char *path = daemon->conf->mail_root.data;
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        fatal(EX_CANTCREAT, "can not open the mail root %s: %s", path, log_errno_text(errno));

    sandbox->readable[0] = path;
    sandbox->writable[0] = path;
    (void)umask(PRIVATE_UMASK);
    allow_descriptors();
    ticket_warm_up();
    return root;
}
