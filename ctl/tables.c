/*
 * The text is what people own, the compiled table is what the server reads. Both carry the mode of
 * the row, and the owner of the text. Passwords are the exception: the server's auth, not root, has
 * to read them, so whatever root writes there is given to auth's user.
 */
#include "ctl/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "ctl/files.h"
#include "util/mail/access_table.h"
#include "util/mail/senders_table.h"

/* In the order in which they are compiled and checked. Passwords alone are closed to others. */
const struct tables_row tables_rows[TABLES] = {
    [TABLE_USERS] = {"users", 0644,
                     "# ADDRESS [MAILBOX]: who has a mailbox here; MAILBOX lies beneath the mail "
                     "root and\n# is DOMAIN/USER when nothing is said. Compiled by `veredus table "
                     "build users`.\n",
                     NULL},
    [TABLE_ALIASES] = {"aliases", 0644,
                       "# NAME TARGET, TARGET...: mail to NAME goes to the targets; each is an "
                       "address or a\n# name of the same domain. Compiled by `veredus table build "
                       "aliases`.\n",
                       NULL},
    [TABLE_SENDERS] = {"senders", 0644,
                       "# LOGIN ADDRESS, @DOMAIN...: what a user may send from besides the own "
                       "address; * is\n# any. Compiled by `veredus table build senders`.\n",
                       &senders_rules},
    [TABLE_ACCESS] =
        {"access", 0644,
         "# client:ADDRESS|NETWORK|NAME, helo:NAME, sender:ADDRESS|DOMAIN, "
         "recipient:ADDRESS|DOMAIN, then\n# OK, HOLD, REJECT [text], DEFER [text] or a code. "
         "Compiled by `veredus table build access`.\n",
         &access_rules},
    [TABLE_PASSWORDS] =
        {"passwords", 0600,
         "# ADDRESS HASH KEYS: what crypt(3) and SCRAM make of the password. Changed "
         "by `veredus\n# user passwd ADDRESS`, compiled by `veredus table build "
         "passwords`.\n",
         NULL},
};

enum tables_id tables_named(const char *name)
{
    enum tables_id id = TABLE_USERS;
    /* Runs off the end to TABLES, which is the answer for a name that is none. */
    while (id < TABLES && !span_equal(span_cstr(name), span_cstr(tables_rows[id].name)))
        id++;
    return id;
}

const char *tables_path(struct ctl *ctl, struct span directory, enum tables_id id)
{
    return arena_printf(&ctl->arena, "%.*s/%s", SPAN_ARG(directory), tables_rows[id].name).data;
}

/* The lock is a file of its own: the texts are replaced, and a lock on a replaced file locks
 * nobody out. */
int tables_lock(struct ctl *ctl, struct span directory)
{
    const char *path = arena_printf(&ctl->arena, "%.*s/.lock", SPAN_ARG(directory)).data;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = -1;
    /* Waits without limit: a holder is busy for moments, and its end lets go of the lock. */
    while (fd >= 0 && (result = flock(fd, LOCK_EX)) != 0 && errno == EINTR)
        ;
    if (result == 0)
        return fd;
    ctl_say(ctl, "the tables can not be locked with %s: %s", path, log_errno_text(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A text that is gone while its table is still there was lost: a new one would replace the table by
 * an empty one. */
bool tables_read(struct ctl *ctl, struct span directory, enum tables_id id, struct buf *text)
{
    const char *path = tables_path(ctl, directory, id);
    const char *compiled = arena_printf(&ctl->arena, "%s.db", path).data;
    if (files_read(path, text))
        return true;
    if (errno != ENOENT) {
        ctl_say(ctl, "%s can not be read: %s", path, log_errno_text(errno));
        return false;
    }
    if (access(compiled, F_OK) == 0) {
        ctl_say(ctl, "%s is gone, but %s is there; bring back the text, or remove both", path,
                compiled);
        return false;
    }
    buf_add(text, span_cstr(tables_rows[id].opening));
    return true;
}

/* To whom root gives the table: in *owner, or none when it keeps the owner it has. False after a
 * message. */
static bool find_owner(struct ctl *ctl, enum tables_id id, struct privileges *user,
                       const struct privileges **owner)
{
    *owner = NULL;
    /* init has no configuration yet, and makes an instance that changes no users. */
    if (id != TABLE_PASSWORDS || !ctl->conf || !conf_changes_users(ctl->conf))
        return true;
    *owner = user;
    if (privileges_of(ctl->conf->user_auth.data, user))
        return true;
    ctl_say(ctl,
            "there is no system user %s (auth_user), who has to own the passwords; make it "
            "with useradd --system",
            ctl->conf->user_auth.data);
    return false;
}

bool tables_make_missing(struct ctl *ctl, struct span directory)
{
    bool good = true;
    for (enum tables_id id = TABLE_USERS; good && id < TABLES; id++) {
        struct buf text = {0};
        if (access(tables_path(ctl, directory, id), F_OK) != 0)
            good = tables_read(ctl, directory, id, &text) &&
                   tables_write(ctl, directory, id, buf_span(&text));
        buf_free(&text);
    }
    return good;
}

bool tables_write(struct ctl *ctl, struct span directory, enum tables_id id, struct span text)
{
    struct privileges user;
    const struct privileges *owner;
    const char *path = tables_path(ctl, directory, id);
    if (!find_owner(ctl, id, &user, &owner))
        return false;
    /* A crash before the compiling leaves a new text beside an old table: the server goes on
     * with the old entries, and `veredus check` says that the text is newer. */
    if (files_replace(path, text, tables_rows[id].mode, owner))
        return tables_compile(ctl, directory, id);
    ctl_say(ctl, "%s can not be written: %s", path, log_errno_text(errno));
    return false;
}

/* A compiled table is a new file, which gets the owner of its text: so the text comes first, and
 * what a person edited as root, or an older root wrote, is put right. */
bool tables_compile(struct ctl *ctl, struct span directory, enum tables_id id)
{
    struct table_problem problem = {0};
    struct privileges user;
    const struct privileges *owner;
    const char *path = tables_path(ctl, directory, id);
    if (!find_owner(ctl, id, &user, &owner))
        return false;
    if (!files_give(path, owner)) {
        ctl_say(ctl, "%s can not be given to %s: %s", path, ctl->conf->user_auth.data,
                log_errno_text(errno));
        return false;
    }
    const struct tables_row *row = &tables_rows[id];
    if (row->rules ? table_build_with(path, row->mode, row->rules, &problem)
                   : table_build(path, row->mode, &problem))
        return true;
    if (problem.line > 0)
        ctl_say(ctl, "%s:%u: %s", path, problem.line, problem.text);
    else
        ctl_say(ctl, "%s can not be compiled: %s", path, problem.text);
    return false;
}

/* To the nanosecond: edited and compiled within a second is common in scripts. */
bool tables_is_newer(const struct stat *a, const struct stat *b)
{
    if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
        return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
    return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

/* Also when both are of one moment: the text may have been changed just behind its reading. */
static bool is_stale(struct ctl *ctl, struct span directory, enum tables_id id)
{
    struct stat text, compiled;
    const char *path = tables_path(ctl, directory, id);
    if (stat(path, &text) != 0)
        return false;
    return stat(arena_printf(&ctl->arena, "%s.db", path).data, &compiled) != 0 ||
           !tables_is_newer(&compiled, &text);
}

/* Looked at again under the lock: whoever had it may have compiled. */
static bool refresh_all(struct ctl *ctl, struct span directory)
{
    bool good = true;
    for (enum tables_id id = TABLE_USERS; id < TABLES; id++)
        if (is_stale(ctl, directory, id) && !tables_compile(ctl, directory, id))
            good = false;
    return good;
}

bool tables_refresh(struct ctl *ctl, struct span directory)
{
    bool stale = false;
    for (enum tables_id id = TABLE_USERS; id < TABLES; id++)
        stale = stale || is_stale(ctl, directory, id);
    if (!stale)
        return true;
    int lock = tables_lock(ctl, directory);
    bool good = lock >= 0 && refresh_all(ctl, directory);
    if (lock >= 0)
        close(lock);
    return good;
}
