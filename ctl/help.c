/*
 * What is printed here is the table of verbs and nothing else.
 */
#include "ctl/verbs.h"

#include <sysexits.h>

/* The way to call it, and beneath it what for. */
static void print_verb(const struct ctl_verb *verb, FILE *out)
{
    const char *gap = *verb->arguments ? " " : "";
    fprintf(out, "  %s%s%s\n        %s\n", verb->name, gap, verb->arguments, verb->help);
}

/* The words of `help user add` as they stand in the table: "user add". */
static struct span wanted_name(struct ctl *ctl)
{
    if (ctl->argument_count == 0)
        return SPAN("");
    if (ctl->argument_count == 1)
        return span_cstr(ctl->argument[0]);
    return arena_printf(&ctl->arena, "%s %s", ctl->argument[0], ctl->argument[1]);
}

/* A word that no name begins with is a mistake, too: silence would look like an answer. */
int verb_help(struct ctl *ctl)
{
    struct span wanted = wanted_name(ctl);
    size_t shown = 0;
    if (wanted.len == 0)
        /* Only above the whole list: who asks about one verb knows how to call the command. */
        fputs("veredus [-c FILE] VERB ARGUMENT...\n\n", ctl->streams.out);
    for (const struct ctl_verb *verb = ctl_verbs; verb->name; verb++) {
        if (!span_has_prefix(span_cstr(verb->name), wanted))
            continue;
        print_verb(verb, ctl->streams.out);
        shown++;
    }
    if (shown == 0)
        return ctl_misused(ctl, "there is no verb \"%.*s\"; `veredus help` lists them",
                           SPAN_ARG(wanted));
    /* Beneath the list, where the eye is when it has scrolled by. */
    if (wanted.len == 0)
        fputs("\nFILE is ./veredus.conf when there is one, else /etc/veredus/veredus.conf.\n",
              ctl->streams.out);
    return EX_OK;
}

int verb_version(struct ctl *ctl)
{
    fprintf(ctl->streams.out, "veredus %s\n", VEREDUS_VERSION);
    return EX_OK;
}
