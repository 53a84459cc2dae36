/*
 * Why deliveries do this beside their work: whoever opens the mailbox anyway cleans it, so there is
 * no process that walks through all of them, and one that gets no mail needs no cleaning.
 */
#include "local/stale.h"

#include "local/maildir_name.h"
#include "util/base/clock.h"
#include "util/base/hash.h"
#include "util/base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY = 24 * 60 * 60 };

/* Only regular files of ours, and only after STALE_AGE seconds. */
static bool visit(void *arg, const char *name, unsigned char type)
{
    const struct maildir *maildir = arg;
    struct stat status;
    if ((type == DT_REG || type == DT_UNKNOWN) && maildir_name_is_ours(span_cstr(name)) &&
        fstatat(maildir->tmp, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
        status.st_mtime + STALE_AGE < (time_t)clock_wall())
        (void)unlinkat(maildir->tmp, name, 0);
    return true;
}

/* A collision in the table means once too often, nothing worse. */
void stale_clean(struct cleaned *cleaned, struct span path, const struct maildir *maildir)
{
    uint64_t mailbox = hash_bytes(path.data, path.len);
    uint64_t day = clock_wall() / DAY;
    size_t row = mailbox % STALE_ROWS;
    if (cleaned->rows[row].mailbox == mailbox && cleaned->rows[row].day == day)
        return;
    cleaned->rows[row].mailbox = mailbox;
    cleaned->rows[row].day = day;
    int error = maildir_each(maildir->tmp, visit, (void *)maildir);
    if (error != 0)
        log_event(LOG_WARN, "mailbox-not-cleaned", LOG_SPAN("mailbox", path), LOG_ERRNO(error));
}
