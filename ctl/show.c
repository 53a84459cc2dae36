/*
 * Tables and configuration as the server sees them: compiled, looked up and parsed by the same
 * code.
 */
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "ctl/tables.h"
#include "ctl/verbs.h"
#include "util/table/table.h"

/* A wrong name is a wrong call: the tables are these, and nobody adds another. */
static int say_no_table(struct ctl *ctl, const char *name)
{
    return ctl_misused(
        ctl, "there is no table \"%s\"; there are users, aliases, senders, access and passwords",
        name);
}

/* ---- tables ---- */

/* Without names all of them are. */
static bool is_wanted(const struct ctl *ctl, enum tables_id id)
{
    /* All names before the first table: a mistyped one compiles nothing. */
    for (size_t i = 0; i < ctl->argument_count; i++) {
        if (tables_named(ctl->argument[i]) == id)
            return true;
    }
    return ctl->argument_count == 0;
}

/* One that fails does not keep the others from being compiled. */
int verb_table_build(struct ctl *ctl)
{
    for (size_t i = 0; i < ctl->argument_count; i++) {
        if (tables_named(ctl->argument[i]) == TABLES)
            return say_no_table(ctl, ctl->argument[i]);
    }
    /* Writers take turns: a table must come from the text that lies beside it. */
    int lock = tables_lock(ctl, ctl->conf->table_directory);
    if (lock < 0)
        return EX_CANTCREAT;
    bool good = tables_make_missing(ctl, ctl->conf->table_directory);
    for (enum tables_id id = TABLE_USERS; id < TABLES; id++) {
        if (is_wanted(ctl, id) && !tables_compile(ctl, ctl->conf->table_directory, id))
            good = false;
    }
    close(lock);
    return good ? EX_OK : EX_DATAERR;
}

/* A key that is not there is an answer, for scripts by its exit code; a broken table is an error.
 */
int verb_table_get(struct ctl *ctl)
{
    struct span value = SPAN("");
    enum tables_id id = tables_named(ctl->argument[0]);
    if (id == TABLES)
        return say_no_table(ctl, ctl->argument[0]);
    const char *path = tables_path(ctl, ctl->conf->table_directory, id);
    struct table *table = table_open("db", path);
    enum table_result result = TABLE_ERROR;
    if (table) {
        result = table_get(table, &ctl->arena, span_cstr(ctl->argument[1]), &value);
        table_close(table);
    }
    if (result == TABLE_FOUND)
        fprintf(ctl->streams.out, "%.*s\n", SPAN_ARG(value));
    else if (result == TABLE_NOT_FOUND)
        ctl_say(ctl, "%s has no entry for %s", path, ctl->argument[1]);
    else
        ctl_say(ctl, "%s.db can not be read; `veredus table build` makes it anew", path);
    if (result == TABLE_ERROR)
        return EX_IOERR;
    return result == TABLE_FOUND ? EX_OK : EXIT_FAILURE;
}

/* ---- the configuration ---- */

/* Reads the configuration itself, as one of its ways needs none. */
int verb_config(struct ctl *ctl)
{
    struct span how = ctl->argument_count > 0 ? span_cstr(ctl->argument[0]) : SPAN("");
    bool all = span_equal(how, SPAN("--all"));
    if (span_equal(how, SPAN("--reference"))) { /* needs no configuration */
        conf_print_reference(ctl->streams.out);
        return EX_OK;
    }
    if (how.len > 0 && !all)
        return ctl_misused(ctl, "config takes --all or --reference, not \"%s\"", how.data);
    ctl->conf = conf_load(ctl->file, ctl_complain, ctl);
    if (!ctl->conf)
        return EX_CONFIG;
    if (all)
        conf_print_all(ctl->conf, ctl->streams.out);
    else
        fprintf(ctl->streams.out, "%s is fine\n", ctl->conf->file.data);
    return EX_OK;
}
