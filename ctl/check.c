/*
 * Every problem is found and printed, not only the first: who repairs a server wants one list. The
 * rows below say what must be there; one function looks at each kind.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "ctl/tables.h"
#include "ctl/verbs.h"
#include "util/conf/ownership.h"
#include "util/table/table.h"

/* Each check returns the number of problems it printed. */

/* Missing, not a directory, open to everybody, closed to us: the first of these is reported. Where
 * the server changes users, owners and modes are looked at with those users in mind, elsewhere. */
static unsigned check_directory(struct ctl *ctl, const char *setting, struct span path)
{
    struct stat st;
    if (stat(path.data, &st) != 0)
        ctl_say(ctl, "%s: %s: %s", setting, path.data, log_errno_text(errno));
    else if (!S_ISDIR(st.st_mode))
        ctl_say(ctl, "%s: %s is no directory", setting, path.data);
    else if (st.st_mode & S_IWOTH && !conf_changes_users(ctl->conf))
        ctl_say(ctl, "%s: everybody may write %s (mode %04o); chmod o-w it", setting, path.data,
                (unsigned)st.st_mode & 07777);
    else if (access(path.data, R_OK | W_OK | X_OK) != 0)
        ctl_say(ctl, "%s: this user may not use %s: %s", setting, path.data, log_errno_text(errno));
    else
        return 0;
    return 1;
}

/* A sum, not a chain of "and": each is looked at whatever the others are like. */
static unsigned check_directories(struct ctl *ctl)
{
    const struct conf *conf = ctl->conf;
    return check_directory(ctl, "spool_directory", conf->spool_directory) +
           check_directory(ctl, "mail_root", conf->mail_root) +
           check_directory(ctl, "table_directory", conf->table_directory) +
           check_directory(ctl, "run_directory", conf->run_directory);
}

/* The file is there, and not readable or writable by more people than its row allows; for a server
 * that changes users see ownership_check. */
static unsigned check_mode(struct ctl *ctl, const char *path, unsigned most, struct stat *st)
{
    if (stat(path, st) != 0) {
        ctl_say(ctl, "%s: %s; `veredus table build` compiles what is there", path,
                log_errno_text(errno));
        return 1;
    }
    if (st->st_mode & 0777 & ~most && !conf_changes_users(ctl->conf)) {
        ctl_say(ctl, "%s has mode %04o; it must not be wider than %04o", path,
                (unsigned)st->st_mode & 07777, most);
        return 1;
    }
    return 0;
}

/* Any key will do: what matters is that the table answers. */
static unsigned check_answers(struct ctl *ctl, const char *path)
{
    struct span value;
    struct table *table = table_open("db", path);
    enum table_result result = TABLE_ERROR;
    if (table) {
        result = table_get(table, &ctl->arena, SPAN("postmaster"), &value);
        table_close(table);
    }
    if (result != TABLE_ERROR)
        return 0;
    ctl_say(ctl, "%s.db can not be read; `veredus table build` makes it anew", path);
    return 1;
}

/* A table whose files are not right is not opened: that would only say the same again. */
static unsigned check_table(struct ctl *ctl, enum tables_id id)
{
    struct stat text, compiled;
    const struct tables_row *row = &tables_rows[id];
    /* The compiled table has to be as closed as the text: it holds the same. */
    const char *path = tables_path(ctl, ctl->conf->table_directory, id);
    unsigned problems =
        check_mode(ctl, path, row->mode, &text) +
        check_mode(ctl, arena_printf(&ctl->arena, "%s.db", path).data, row->mode, &compiled);
    /* What was wrong was said line by line; the exit code is for scripts. */
    if (problems > 0)
        return problems;
    if (tables_is_newer(&text, &compiled)) {
        ctl_say(ctl, "%s was changed since it was compiled; `veredus table build %s`", path,
                row->name);
        problems++;
    }
    return problems + check_answers(ctl, path);
}

/* All of its sentences, with their lines; a warning is no problem. */
static unsigned check_tls(struct ctl *ctl)
{
    return conf_check_tls(ctl->conf, &(struct conf_voice){ctl_complain, ctl}) ? 0 : 1;
}

int verb_check(struct ctl *ctl)
{
    unsigned problems = check_directories(ctl) +
                        ownership_check_users(ctl->conf, ctl_complain, ctl) +
                        ownership_check(ctl->conf, ctl_complain, ctl) + check_tls(ctl);
    for (enum tables_id id = TABLE_USERS; id < TABLES; id++)
        problems += check_table(ctl, id);
    if (problems > 0)
        return EX_CONFIG;
    fprintf(ctl->streams.out, "%s: no problems were found\n", ctl->file);
    return EX_OK;
}
