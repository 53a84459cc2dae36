/*
 * An instance is whole or it is none: the configuration, which everything else looks for, is
 * written last. So an interrupted init can be repeated, and one that succeeded can not: what people
 * changed since is never overwritten. Texts of tables that are there already are kept and added to.
 */
#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

#include "ctl/certificate.h"
#include "ctl/entries.h"
#include "ctl/files.h"
#include "ctl/password.h"
#include "ctl/tables.h"
#include "ctl/user_name.h"
#include "ctl/verbs.h"

/* Users in one call. A port is the base plus its well-known number, so the base leaves room for
 * the highest of them, 995. */
enum {
    USERS_MAX = 100,
    SMTP_OFFSET = 25,
    SUBMISSION_OFFSET = 587,  /* RFC 6409 */
    SUBMISSIONS_OFFSET = 465, /* RFC 8314 */
    POP3_OFFSET = 110,
    PORT_BASE_MAX = 65535 - 995
};

/* What goes into the tables: no password is kept, only what was made of it. */
struct new_user {
    struct user_name name;
    char entry[PASSWORD_ENTRY_MAX];
};

/* All that was asked for, checked before the first directory is made. */
struct plan {
    const char *directory;
    struct span hostname, domain;
    uint64_t port_base;
    const char *user_words[USERS_MAX]; /* ADDRESS or ADDRESS:PASSWORD */
    struct new_user *users;
    size_t user_count;
};

/* ---- the arguments ---- */

/* One domain is what a directory needs to begin with; the rest is a line in the file. */
static bool take_domain(struct ctl *ctl, const char *option, const char *value, struct span *domain)
{
    if (domain->len > 0)
        ctl_say(ctl, "%s is given twice; add further domains to veredus.conf later", option);
    else if (!domain_is_valid(span_cstr(value)))
        ctl_say(ctl, "%s: \"%s\" is no domain name", option, value);
    else
        *domain = span_cstr(value);
    /* Taken exactly when it now points to what was given. */
    return domain->data == value;
}

/* False after a message. */
static bool take_option(struct ctl *ctl, const char *option, const char *value, struct plan *plan)
{
    struct span name = span_cstr(option);
    if (span_equal(name, SPAN("--hostname")))
        return take_domain(ctl, option, value, &plan->hostname);
    if (span_equal(name, SPAN("--domain")))
        return take_domain(ctl, option, value, &plan->domain);
    if (span_equal(name, SPAN("--port-base"))) {
        if (span_to_u64(span_cstr(value), PORT_BASE_MAX, &plan->port_base))
            return true;
        ctl_say(ctl, "--port-base wants a number from 0 to %d", PORT_BASE_MAX);
        return false;
    }
    if (!span_equal(name, SPAN("--user"))) {
        ctl_say(ctl, "init knows no %s; `veredus help init` shows what it knows", option);
        return false;
    }
    if (plan->user_count == USERS_MAX) {
        ctl_say(ctl, "more than %d users; add the others with `veredus user add`", USERS_MAX);
        return false;
    }
    plan->user_words[plan->user_count++] = value;
    return true;
}

/* The directory may stand anywhere among the options. */
static bool take_arguments(struct ctl *ctl, struct plan *plan)
{
    for (size_t i = 0; i < ctl->argument_count; i++) {
        const char *word = ctl->argument[i];
        if (word[0] != '-' && !plan->directory) {
            plan->directory = word;
        } else if (word[0] != '-' || i + 1 == ctl->argument_count) {
            /* A second word without a dash, or an option at the very end. */
            ctl_say(ctl,
                    word[0] != '-' ? "\"%s\" is one argument too many for init"
                                   : "%s wants a value behind it",
                    word);
            return false;
        } else if (!take_option(ctl, word, ctl->argument[++i], plan)) {
            return false;
        }
    }
    /* An empty DIR would make an instance in the root of the file system. */
    if (plan->directory && plan->directory[0] && plan->hostname.len > 0 && plan->domain.len > 0)
        return true;
    ctl_say(ctl, "init wants at least: veredus init DIR --hostname H --domain D");
    return false;
}

/* From "ADDRESS:PASSWORD" to a name and an entry; without the colon the password is read. */
static bool take_user(struct ctl *ctl, const struct plan *plan, struct span word,
                      struct new_user *user)
{
    char password[PASSWORD_MAX + 1] = "";
    size_t colon = span_find(word, ':');
    /* The name comes first: nobody types a password for an address that is refused. */
    bool good = user_name_parse(ctl, span_first(word, colon), &user->name);
    if (good && !span_equal_nocase(user->name.domain, plan->domain)) {
        ctl_say(ctl, "%s is not in the domain %.*s", user->name.key, SPAN_ARG(plan->domain));
        return false;
    }
    if (good && colon < word.len) {
        good = password_is_usable(ctl, span_skip(word, colon + 1)) &&
               span_to_cstr(span_skip(word, colon + 1), password, sizeof password);
    } else if (good) {
        good = password_read(ctl, user->name.key, password);
    }
    /* The buffer is wiped on every way out that has filled it. */
    good = good && password_entry(ctl, password, user->entry);
    explicit_bzero(password, sizeof password);
    return good;
}

/* All of them are looked at, and hashed, before anything is made. */
static bool take_users(struct ctl *ctl, struct plan *plan)
{
    /* One octet more, for there may be no user at all. */
    plan->users = arena_zalloc(&ctl->arena, plan->user_count * sizeof *plan->users + 1);
    for (size_t i = 0; i < plan->user_count; i++) {
        if (!take_user(ctl, plan, span_cstr(plan->user_words[i]), &plan->users[i]))
            return false;
    }
    return true;
}

/* ---- the directories ---- */

/* One that exists will do: an init that was interrupted is simply repeated. */
static bool make_directory(struct ctl *ctl, const char *path)
{
    if (files_make_directory(path))
        return true;
    ctl_say(ctl, "%s can not be made: %s", path, log_errno_text(errno));
    return false;
}

/* A Maildir: tmp to write in, new for what came, cur for what was seen. */
static bool make_mailbox(struct ctl *ctl, const char *domain, struct span local)
{
    static const char *const parts[] = {"", "/tmp", "/new", "/cur"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct span path =
            arena_printf(&ctl->arena, "%s/%.*s%s", domain, SPAN_ARG(local), parts[i]);
        if (!make_directory(ctl, path.data))
            return false;
    }
    return true;
}

/* The instance before its parts, a domain before its mailboxes. A crash in between leaves
 * directories without a configuration, which nothing serves and the next init completes. */
static bool make_directories(struct ctl *ctl, const struct plan *plan)
{
    static const char *const parts[] = {"", "/spool", "/run", "/tables", "/tls", "/mail"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!make_directory(ctl, arena_printf(&ctl->arena, "%s%s", plan->directory, parts[i]).data))
            return false;
    }
    struct address postmaster; /* for the domain in lower case, as delivery writes it */
    struct span any = arena_printf(&ctl->arena, "postmaster@%.*s", SPAN_ARG(plan->domain));
    /* Not expected to fail: the domain was found valid among the arguments. */
    if (address_parse(any, &postmaster) != ADDRESS_OK)
        return false;
    const char *domain = arena_printf(&ctl->arena, "%s/mail/%.*s", plan->directory,
                                      SPAN_ARG(address_domain(&postmaster)))
                             .data;
    if (!make_directory(ctl, domain))
        return false;
    for (size_t i = 0; i < plan->user_count; i++) {
        if (!make_mailbox(ctl, domain, plan->users[i].name.local))
            return false;
    }
    return true;
}

/* ---- the tables ---- */

/* Replaces `*text` by itself with the entry set. */
static void set_entry(struct buf *text, const char *key, const char *value)
{
    struct buf changed = {0};
    entries_set(buf_span(text), span_cstr(key), span_cstr(value), &changed);
    buf_free(text);
    *text = changed;
}

/* Mail to postmaster must reach somebody (RFC 5321 §4.5.1); who has that alias keeps it. */
static void add_entries(const struct plan *plan, enum tables_id id, struct buf *text)
{
    if (id == TABLE_ALIASES) {
        if (plan->user_count > 0 && !entries_has(buf_span(text), SPAN("postmaster")))
            set_entry(text, "postmaster", plan->users[0].name.key);
        return;
    }
    /* What users may do besides is for the operator to write. */
    if (id == TABLE_SENDERS || id == TABLE_ACCESS)
        return;
    for (size_t i = 0; i < plan->user_count; i++)
        set_entry(text, plan->users[i].name.key, id == TABLE_PASSWORDS ? plan->users[i].entry : "");
}

/* Every table is written and compiled, an empty one too: `veredus check` looks for all of them.
 * Notes and entries of an interrupted init, or of the owner, are kept. */
static bool make_table(struct ctl *ctl, const struct plan *plan, enum tables_id id)
{
    struct buf text = {0};
    struct span directory = arena_printf(&ctl->arena, "%s/tables", plan->directory);
    bool good = tables_read(ctl, directory, id, &text);
    if (good) {
        add_entries(plan, id, &text);
        good = tables_write(ctl, directory, id, buf_span(&text));
    }
    buf_free(&text);
    return good;
}

/* The lock keeps out a `veredus user add` that found the directory already. */
static bool make_tables(struct ctl *ctl, const struct plan *plan)
{
    int lock = tables_lock(ctl, arena_printf(&ctl->arena, "%s/tables", plan->directory));
    bool good = lock >= 0;
    for (enum tables_id id = TABLE_USERS; good && id < TABLES; id++)
        good = make_table(ctl, plan, id);
    if (lock >= 0)
        close(lock);
    return good;
}

/* ---- certificate and configuration ---- */

static bool make_certificate(struct ctl *ctl, const struct plan *plan)
{
    struct span directory = arena_printf(&ctl->arena, "%s/tls", plan->directory);
    return certificate_make(ctl, directory, plan->hostname);
}

/* The last step, and in one piece: from the rename on the instance exists. 127.0.0.1 is what an
 * unprivileged first try can do no harm with. */
static bool write_configuration(struct ctl *ctl, const struct plan *plan, const char *file)
{
    struct span text = arena_printf(
        &ctl->arena,
        "# Veredus. `veredus config --reference` explains every setting there is.\n\n"
        "hostname = \"%.*s\"\n"
        "domains = {\"%.*s\"}   # mailboxes and aliases live here\n\n"
        "# Relative paths count from the directory of this file.\n"
        "spool_directory = \"spool\"\n"
        "mail_root = \"mail\"\n"
        "table_directory = \"tables\"\n"
        "run_directory = \"run\"\n"
        "separate_users = false # everything runs as the user who starts it\n\n"
        "tls { certificate = \"tls/cert.pem\" key = \"tls/key.pem\" } # self-signed\n\n"
        "listen \"mx\" { service = smtp address = \"127.0.0.1:%u\" }\n"
        "listen \"submission\" { service = submission address = \"127.0.0.1:%u\" }\n"
        "listen \"submissions\" { service = submission address = \"127.0.0.1:%u\" tls = implicit "
        "}\n"
        "listen \"pop3\" { service = pop3 address = \"127.0.0.1:%u\" }\n",
        SPAN_ARG(plan->hostname), SPAN_ARG(plan->domain), (unsigned)plan->port_base + SMTP_OFFSET,
        (unsigned)plan->port_base + SUBMISSION_OFFSET,
        (unsigned)plan->port_base + SUBMISSIONS_OFFSET, (unsigned)plan->port_base + POP3_OFFSET);
    if (files_replace(file, text, 0644, NULL))
        return true;
    ctl_say(ctl, "%s can not be written: %s", file, log_errno_text(errno));
    return false;
}

int verb_init(struct ctl *ctl)
{
    /* Ports 2525, 3087, 2965 and 2610 unless told otherwise: above those that only root may bind.
     */
    struct plan plan = {.port_base = 2500};
    if (!take_arguments(ctl, &plan))
        return EX_USAGE;
    const char *file = arena_printf(&ctl->arena, "%s/veredus.conf", plan.directory).data;
    /* Before anybody types a password, and before anything is touched. */
    if (access(file, F_OK) == 0) {
        ctl_say(ctl, "%s exists; init makes new instances only", file);
        return EX_CANTCREAT;
    }
    if (!take_users(ctl, &plan))
        return EX_DATAERR;
    if (!make_directories(ctl, &plan) || !make_tables(ctl, &plan) ||
        !make_certificate(ctl, &plan) || !write_configuration(ctl, &plan, file))
        return EX_CANTCREAT;
    fprintf(ctl->streams.out, "%s was made; `veredus -c %s run` serves it.\n", plan.directory,
            file);
    return EX_OK;
}
