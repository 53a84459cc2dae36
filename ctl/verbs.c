/*
 * One table, so that the help, the count of arguments and what a verb needs can not disagree with
 * what is done.
 */
#include "ctl/verbs.h"

const struct ctl_verb ctl_verbs[] = {
    /* What makes and runs an instance comes first, as in the life of one. init and run need no
     * configuration: the one writes it, the other leaves it to master. */
    {.name = "init",
     .arguments = "DIR --hostname H --domain D [--user ADDRESS[:PASSWORD]]... [--port-base N]",
     .help =
         "makes an instance in DIR that runs unprivileged, at ports N+25, N+587, N+465 and N+110",
     .least = 1,
     .most = CTL_ANY_NUMBER,
     .handler = verb_init},
    {.name = "run",
     .arguments = "",
     .help = "serves in the foreground, logs to standard error, prints \"ready\"",
     .handler = verb_run},
    {.name = "start",
     .arguments = "",
     .help = "serves in the background; returns when every listener answers",
     .need = NEEDS_CONF,
     .handler = verb_start},
    {.name = "stop",
     .arguments = "",
     .help = "ends the server; returns when it is gone",
     .need = NEEDS_CONF,
     .handler = verb_stop},
    {.name = "reload",
     .arguments = "",
     .help = "compiles the tables that were edited, lets the server read its configuration again",
     .need = NEEDS_CONF,
     .handler = verb_reload},
    {.name = "status",
     .arguments = "",
     .help = "prints the processes and counters of the server",
     .need = NEEDS_CONF,
     .handler = verb_status},
    {.name = "check",
     .arguments = "",
     .help = "looks for problems in configuration, directories and tables",
     .need = NEEDS_CONF,
     .handler = verb_check},
    /* What people change while it runs. A missing .least or .most is 0. */
    {.name = "user add",
     .arguments = "ADDRESS",
     .help = "adds a user; the password comes from a prompt, or from standard input",
     .least = 1,
     .most = 1,
     .need = NEEDS_CONF,
     .handler = verb_user_add},
    {.name = "user passwd",
     .arguments = "ADDRESS",
     .help = "changes a user's password",
     .least = 1,
     .most = 1,
     .need = NEEDS_CONF,
     .handler = verb_user_passwd},
    {.name = "user delete",
     .arguments = "ADDRESS",
     .help = "deletes a user, but not the mailbox",
     .least = 1,
     .most = 1,
     .need = NEEDS_CONF,
     .handler = verb_user_delete},
    {.name = "user list",
     .arguments = "",
     .help = "prints the users, one a line",
     .need = NEEDS_CONF,
     .handler = verb_user_list},
    {.name = "table build",
     .arguments = "[NAME...]",
     .help = "compiles the tables users, aliases, senders, access, passwords, or those named",
     .most = CTL_ANY_NUMBER,
     .need = NEEDS_CONF,
     .handler = verb_table_build},
    {.name = "table get",
     .arguments = "NAME KEY",
     .help = "prints what a compiled table says about KEY",
     .least = 2,
     .most = 2,
     .need = NEEDS_CONF,
     .handler = verb_table_get},
    /* No need is stated: with --reference it has to work where no configuration is. */
    {.name = "config",
     .arguments = "[--all|--reference]",
     .help = "parses the configuration; prints all values, or the manual of all settings",
     .most = 1,
     .handler = verb_config},
    {.name = "version", .arguments = "", .help = "prints the version", .handler = verb_version},
    {.name = "help",
     .arguments = "[VERB]",
     .help = "prints this list, or what is said there about VERB",
     .most = 2,
     .handler = verb_help},
    /* The end: loops run until a name is missing. */
    {0},
};

/* How many of the words make up exactly `name`; 0 when they do not. */
static size_t words_of_name(struct span name, char *const *words, size_t count)
{
    struct span word;
    size_t used = 0;
    while (span_next(&name, ' ', &word)) {
        if (used == count || !span_equal(word, span_cstr(words[used])))
            return 0;
        used++;
    }
    return used;
}

/* The first row wins. No name is the beginning of another, so the order can not hide one. */
const struct ctl_verb *ctl_find_verb(char *const *words, size_t count, size_t *used)
{
    for (const struct ctl_verb *verb = ctl_verbs; verb->name; verb++) {
        *used = words_of_name(span_cstr(verb->name), words, count);
        if (*used > 0)
            return verb;
    }
    return NULL;
}
