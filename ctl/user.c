/*
 * A user is an entry in two tables: users, which lookup reads, and passwords, which auth alone
 * reads. They are changed under one lock, in the order that leaves nobody with half an account that
 * hurts: a password without a user opens nothing, so it is written first and removed last.
 */
#include <sysexits.h>
#include <unistd.h>

#include "ctl/entries.h"
#include "ctl/password.h"
#include "ctl/tables.h"
#include "ctl/user_name.h"
#include "ctl/verbs.h"
#include "util/table/table.h"

/* ---- one entry of one table ---- */

/* The lock is held, or the answer is but a hint. False after a message. */
static bool user_exists(struct ctl *ctl, const struct user_name *name, bool *exists)
{
    struct buf text = {0};
    /* Read anew for every change: the text of a moment ago may have been edited since. */
    bool good = tables_read(ctl, ctl->conf->table_directory, TABLE_USERS, &text);
    *exists = good && entries_has(buf_span(&text), span_cstr(name->key));
    buf_free(&text);
    return good;
}

/* Sets the user's entry to *value; NULL removes it. */
static bool change_entry(struct ctl *ctl, enum tables_id id, const struct user_name *name,
                         const struct span *value)
{
    struct buf before = {0}, after = {0};
    struct span key = span_cstr(name->key), directory = ctl->conf->table_directory;
    bool good = tables_read(ctl, directory, id, &before);
    if (good && value)
        entries_set(buf_span(&before), key, *value, &after);
    else if (good)
        entries_remove(buf_span(&before), key, &after);
    good = good && tables_write(ctl, directory, id, buf_span(&after));
    buf_free(&before);
    buf_free(&after);
    return good;
}

/* ---- the changes, under the lock ---- */

/* The password first: a user whose password is not there yet could only be refused. */
static int add(struct ctl *ctl, const struct user_name *name, const char *entry)
{
    struct span value = span_cstr(entry);
    bool good = change_entry(ctl, TABLE_PASSWORDS, name, &value) &&
                change_entry(ctl, TABLE_USERS, name, &SPAN(""));
    return good ? EX_OK : EX_IOERR;
}

/* One entry of one table, replaced by rename: there is no moment without a password. */
static int set_password(struct ctl *ctl, const struct user_name *name, const char *entry)
{
    struct span value = span_cstr(entry);
    return change_entry(ctl, TABLE_PASSWORDS, name, &value) ? EX_OK : EX_IOERR;
}

/* The user first: no mail is taken for who is about to lose the password. */
static int forget(struct ctl *ctl, const struct user_name *name, const char *entry)
{
    (void)entry;
    bool good = change_entry(ctl, TABLE_USERS, name, NULL) &&
                change_entry(ctl, TABLE_PASSWORDS, name, NULL);
    return good ? EX_OK : EX_IOERR;
}

/* What the verbs that change a user have in common. */
struct change {
    bool of_existing; /* else of one who must not exist yet */
    bool with_password;
    int (*make)(struct ctl *ctl, const struct user_name *name, const char *entry);
    const char *done;
};

/* Says so unless the user exists just when he should. */
static int check_existence(struct ctl *ctl, const struct change *change,
                           const struct user_name *name)
{
    bool exists;
    if (!user_exists(ctl, name, &exists))
        return EX_IOERR;
    if (exists && !change->of_existing)
        ctl_say(ctl, "%s exists already; `veredus user passwd` changes a password", name->key);
    if (!exists && change->of_existing)
        ctl_say(ctl, "there is no user %s; `veredus user list` shows who there is", name->key);
    return exists == change->of_existing ? EX_OK : EX_DATAERR;
}

/* The password does not outlive this call. */
static bool ask_entry(struct ctl *ctl, const struct user_name *name, char entry[PASSWORD_ENTRY_MAX])
{
    char password[PASSWORD_MAX + 1];
    bool good = password_read(ctl, name->key, password) && password_entry(ctl, password, entry);
    explicit_bzero(password, sizeof password);
    return good;
}

/* The user is looked for twice: before a person types a password for nothing, and under the lock,
 * which must not be held while somebody thinks. */
static int apply(struct ctl *ctl, const struct change *change, const struct user_name *name)
{
    char entry[PASSWORD_ENTRY_MAX] = "";
    int code = check_existence(ctl, change, name);
    if (code != EX_OK)
        return code;
    if (change->with_password && !ask_entry(ctl, name, entry))
        return EX_DATAERR;
    int lock = tables_lock(ctl, ctl->conf->table_directory);
    if (lock < 0)
        return EX_IOERR;
    /* From here to the closing nobody else changes a table, so this answer holds. The first user
     * of an installation finds no tables, and the server wants all of them. */
    code = check_existence(ctl, change, name);
    if (code == EX_OK && !tables_make_missing(ctl, ctl->conf->table_directory))
        code = EX_IOERR;
    if (code == EX_OK)
        code = change->make(ctl, name, entry);
    close(lock);
    if (code == EX_OK)
        fprintf(ctl->streams.out, "%s: %s\n", name->key, change->done);
    return code;
}

/* ---- the verbs ---- */

int verb_user_add(struct ctl *ctl)
{
    static const struct change change = {.with_password = true, .make = add, .done = "added"};
    struct user_name name;
    if (!user_name_parse(ctl, span_cstr(ctl->argument[0]), &name))
        return EX_DATAERR;
    /* Mail to any other domain would never come to the mailbox. */
    if (!conf_has_domain(&ctl->conf->domains, name.domain)) {
        ctl_say(ctl, "%.*s is not in `domains` of %s; mailboxes live in those alone",
                SPAN_ARG(name.domain), ctl->file);
        return EX_DATAERR;
    }
    return apply(ctl, &change, &name);
}

int verb_user_passwd(struct ctl *ctl)
{
    static const struct change change = {.of_existing = true,
                                         .with_password = true,
                                         .make = set_password,
                                         .done = "the password was changed"};
    struct user_name name;
    if (!user_name_parse(ctl, span_cstr(ctl->argument[0]), &name))
        return EX_DATAERR;
    return apply(ctl, &change, &name);
}

/* Mail is never removed by a verb: deleting by mistake costs a password, not the letters. */
int verb_user_delete(struct ctl *ctl)
{
    static const struct change change = {
        .of_existing = true, .make = forget, .done = "deleted; the mailbox was kept"};
    struct user_name name;
    if (!user_name_parse(ctl, span_cstr(ctl->argument[0]), &name))
        return EX_DATAERR;
    return apply(ctl, &change, &name);
}

/* A table_entry; the mailbox, which the value may name, is not shown. */
static bool print_user(void *out, struct span key, struct span value, unsigned line)
{
    (void)value;
    (void)line;
    fprintf(out, "%.*s\n", SPAN_ARG(key));
    return true;
}

/* From the text, which is right even when nobody has compiled it yet. */
int verb_user_list(struct ctl *ctl)
{
    unsigned line = 0;
    const char *path = tables_path(ctl, ctl->conf->table_directory, TABLE_USERS);
    if (table_read_text(path, print_user, ctl->streams.out, &line))
        return EX_OK;
    if (line > 0)
        ctl_say(ctl, "%s:%u: the line makes no sense; an entry is ADDRESS [MAILBOX]", path, line);
    else
        ctl_say(ctl, "%s can not be read; `veredus check` says more", path);
    return EX_IOERR;
}
