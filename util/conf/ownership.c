/*
 * Why it is asked by a process that became the user, and not worked out from modes: a directory
 * that keeps a role out may be any of those on the way (an instance that root made with mode 0700
 * is the usual one), and an ACL may let in whom the mode keeps out.
 */
#include "util/conf/ownership.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/sys/privileges.h"

/* Nobody but the owner may write; nobody but the owner may do anything. */
enum { CLOSED_TO_WRITERS = 022, CLOSED = 077 };

/* Room for two paths and what is said of them. */
enum { SENTENCE = 2 * PATH_MAX + 256 };

/* ---- the list ---- */

/* What lookup reads: the texts belong to whoever maintains them, and so does what is compiled. */
static size_t list_public(const struct conf *conf, struct arena *arena, struct ownership *out)
{
    static const char *const names[] = {"users", "aliases", "senders", "access"};
    size_t count = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *directory = conf->table_directory.data;
        out[count++] = (struct ownership){.path = arena_printf(arena, "%s/%s", directory, names[i]),
                                          .mode = 0644,
                                          .closed = CLOSED_TO_WRITERS};
        out[count] = out[count - 1];
        out[count].path = arena_printf(arena, "%s/%s.db", directory, names[i]);
        out[count].user = conf->user_service;
        out[count++].need = R_OK;
    }
    return count;
}

/* Text and compiled table hold the same hashes. */
static size_t list_passwords(const struct conf *conf, struct arena *arena, struct ownership *out)
{
    static const char *const names[] = {"passwords", "passwords.db"};

    for (size_t i = 0; i < 2; i++)
        out[i] = (struct ownership){
            .path = arena_printf(arena, "%s/%s", conf->table_directory.data, names[i]),
            .owner = conf->user_auth,
            .user = conf->user_auth,
            .need = R_OK,
            .mode = 0600,
            .closed = CLOSED};
    return 2;
}

/* A directory of one role's user, who makes, renames and removes files there. */
static struct ownership private_directory(struct span path, struct span user, mode_t closed)
{
    return (struct ownership){.path = path,
                              .owner = user,
                              .user = user,
                              .need = R_OK | W_OK | X_OK,
                              .mode = 0700,
                              .closed = closed,
                              .made = true};
}

/* "empty" stays empty: its mode lets nobody write there. Nobody but root replaces what lies in the
 * directory of the tables. */
size_t ownership_list(const struct conf *conf, struct arena *arena,
                      struct ownership out[OWNERSHIP_MAX])
{
    const char *run = conf->run_directory.data, *spool = conf->spool_directory.data;
    struct span queue = conf->user_queue;
    const struct ownership of_root = {
        .owner = SPAN("root"), .mode = 0755, .closed = CLOSED_TO_WRITERS, .made = true};
    size_t count = 0;

    out[count] = of_root;
    out[count++].path = conf->run_directory;
    out[count] = of_root;
    out[count].path = arena_printf(arena, "%s/empty", run);
    out[count++].mode = 0555;
    out[count++] = private_directory(conf->spool_directory, queue, CLOSED);
    out[count++] = private_directory(arena_printf(arena, "%s/queue", spool), queue, CLOSED);
    out[count++] = private_directory(arena_printf(arena, "%s/corrupt", spool), queue, CLOSED);
    out[count++] = private_directory(conf->mail_root, conf->user_mail, CLOSED_TO_WRITERS);
    out[count] = of_root;
    out[count].path = conf->table_directory;
    out[count].user = conf->user_service;
    out[count].need = X_OK;
    out[count++].made = false;
    count += list_public(conf, arena, out + count);
    return count + list_passwords(conf, arena, out + count);
}

/* ---- looking at it ---- */

/* Where complaints go, and how many there were. */
struct report {
    conf_complain *complain;
    void *arg;
    unsigned problems;
};

__attribute__((format(printf, 2, 3))) static void complain_about(struct report *report,
                                                                 const char *format, ...)
{
    char sentence[SENTENCE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    report->complain(report->arg, sentence);
    report->problems++;
}

unsigned ownership_check_users(const struct conf *conf, conf_complain *complain, void *arg)
{
    const struct {
        const char *setting;
        struct span name;
    } users[] = {{"service_user", conf->user_service},
                 {"queue_user", conf->user_queue},
                 {"mail_user", conf->user_mail},
                 {"auth_user", conf->user_auth}};
    struct report report = {complain, arg, 0};
    struct privileges found;

    for (size_t i = 0; conf_changes_users(conf) && i < sizeof(users) / sizeof(users[0]); i++) {
        const char *name = users[i].name.data;
        if (!privileges_of(name, &found))
            complain_about(&report,
                           "%s: there is no such system user (%s); make it with useradd --system "
                           "--shell /usr/sbin/nologin %s",
                           name, users[i].setting, name);
        else if (found.uid == 0 || found.gid == 0)
            complain_about(&report, "%s: %s must not be root; name a user without privileges", name,
                           users[i].setting);
    }
    return report.problems;
}

/* True when the row is about the user's own, and not about what is shared with him. */
static bool is_own(const struct ownership *row)
{
    return span_equal(row->owner, row->user);
}

/* A missing user was complained of by himself. All that lies in a role's directory is the role's.
 */
static void check_owner(struct report *report, const struct ownership *row, const struct stat *st)
{
    struct privileges owner;

    if (row->owner.len == 0 || !privileges_of(row->owner.data, &owner) || st->st_uid == owner.uid)
        return;
    complain_about(report, "%s: belongs to user %u and must belong to %s; chown %s%s: %s",
                   row->path.data, (unsigned)st->st_uid, row->owner.data,
                   S_ISDIR(st->st_mode) && is_own(row) ? "-R " : "", row->owner.data,
                   row->path.data);
}

static void check_mode(struct report *report, const struct ownership *row, const struct stat *st)
{
    if (st->st_mode & row->closed)
        complain_about(report, "%s: mode %04o lets others %s; chmod %s %s", row->path.data,
                       (unsigned)st->st_mode & 07777, row->closed == CLOSED ? "in" : "write",
                       row->closed == CLOSED ? "go-rwx" : "go-w", row->path.data);
}

/* The first directory on the way to `path` that `user` may not pass, in `arena`; NULL for none. */
static const char *find_barrier(struct arena *arena, struct span path,
                                const struct privileges *user)
{
    for (size_t i = 1; i < path.len; i++) {
        if (path.data[i] != '/')
            continue;
        const char *parent = arena_copy(arena, span_first(path, i)).data;
        if (privileges_access(user, parent, X_OK) != 0)
            return parent;
    }
    return NULL;
}

/* For the owner of a thing the remedy is another than for one of all the others. */
static void say_kept_out(struct report *report, const struct ownership *row, const char *barrier,
                         int error)
{
    const char *verb = "read", *rights = "r";

    if (row->need & W_OK) {
        verb = "write";
        rights = "rwx";
    } else if (row->need & X_OK) {
        verb = "enter";
        rights = "x";
    }
    if (barrier != NULL)
        complain_about(report, "%s: %s can not get there, %s keeps it out; chmod o+x %s",
                       row->path.data, row->user.data, barrier, barrier);
    else
        complain_about(report, "%s: %s can not %s it: %s; chmod %s+%s %s", row->path.data,
                       row->user.data, verb, log_errno_text(error), is_own(row) ? "u" : "o", rights,
                       row->path.data);
}

/* Whoever does not own what he should has been told so; that he can not use it says no more. */
static void check_reach(struct report *report, const struct ownership *row, const struct stat *st)
{
    struct arena arena = {0};
    struct privileges user;

    if (row->user.len == 0 || !privileges_of(row->user.data, &user))
        return;
    int error = privileges_access(&user, row->path.data, row->need);
    if (error != 0) {
        const char *barrier = find_barrier(&arena, row->path, &user);
        if (barrier != NULL || !is_own(row) || st->st_uid == user.uid)
            say_kept_out(report, row, barrier, error);
    }
    arena_free(&arena);
}

unsigned ownership_check(const struct conf *conf, conf_complain *complain, void *arg)
{
    struct report report = {complain, arg, 0};
    struct ownership rows[OWNERSHIP_MAX];
    struct arena arena = {0};
    struct stat st;
    size_t count = conf_changes_users(conf) ? ownership_list(conf, &arena, rows) : 0;

    for (size_t i = 0; i < count; i++) {
        if (stat(rows[i].path.data, &st) != 0)
            continue;
        check_owner(&report, &rows[i], &st);
        check_mode(&report, &rows[i], &st);
        check_reach(&report, &rows[i], &st);
    }
    arena_free(&arena);
    return report.problems;
}
