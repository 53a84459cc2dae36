/*
 * From the command line to a handler. Every refusal is one line that says what would be right: who
 * mistypes a verb at three in the morning does not want to read a page.
 */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <sysexits.h>
#include <unistd.h>

#include "ctl/verbs.h"

/* ---- speaking ---- */

/* Always on the stream of errors, with the name in front: output is left to answers. */
__attribute__((format(printf, 2, 0))) static void say(struct ctl *ctl, const char *format,
                                                      va_list arguments)
{
    fputs("veredus: ", ctl->streams.err);
    vfprintf(ctl->streams.err, format, arguments);
    fputc('\n', ctl->streams.err);
}

void ctl_say(struct ctl *ctl, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(ctl, format, arguments);
    va_end(arguments);
}

int ctl_misused(struct ctl *ctl, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(ctl, format, arguments);
    va_end(arguments);
    return EX_USAGE;
}

void ctl_complain(void *ctl, const char *message)
{
    ctl_say(ctl, "%s", message);
}

/* ---- the command line ---- */

/* A file in the working directory comes first: an instance is used from where it lies. */
static const char *default_file(void)
{
    return access("veredus.conf", F_OK) == 0 ? "veredus.conf" : "/etc/veredus/veredus.conf";
}

/* Takes the options before the verb. "--help" and "--version" are verbs that everybody tries. */
static int take_options(struct ctl *ctl)
{
    while (ctl->argument_count > 0 && ctl->argument[0][0] == '-') {
        struct span option = span_cstr(ctl->argument[0]);
        if (span_equal(option, SPAN("--help")) || span_equal(option, SPAN("--version")))
            return EX_OK;
        if (!span_equal(option, SPAN("-c")))
            /* Options of a verb stand behind it and never come by here. */
            return ctl_misused(ctl, "there is no option %s; `veredus help` shows what there is",
                               ctl->argument[0]);
        if (ctl->argument_count < 2)
            return ctl_misused(ctl, "-c wants the configuration's name: veredus -c FILE VERB");
        ctl->file = ctl->argument[1];
        ctl->argument += 2;
        ctl->argument_count -= 2;
    }
    if (ctl->argument_count == 0)
        return ctl_misused(ctl, "a verb is missing: veredus [-c FILE] VERB; `veredus help` lists "
                                "them");
    return EX_OK;
}

/* No verb has this name; when it is the first word of some ("user"), that is the better hint. */
static int say_unknown(struct ctl *ctl)
{
    struct span word = arena_printf(&ctl->arena, "%s ", ctl->argument[0]);
    for (const struct ctl_verb *verb = ctl_verbs; verb->name; verb++) {
        if (span_has_prefix(span_cstr(verb->name), word))
            return ctl_misused(ctl, "%s wants to know what; `veredus help %s` shows it",
                               ctl->argument[0], ctl->argument[0]);
    }
    return ctl_misused(ctl, "there is no verb \"%s\"; `veredus help` lists them", ctl->argument[0]);
}

/* What the verb needs is seen to here, so that no handler has to ask. */
static int call(struct ctl *ctl, const struct ctl_verb *verb)
{
    if (ctl->argument_count < verb->least || ctl->argument_count > verb->most)
        return ctl_misused(ctl, "the arguments do not fit: veredus %s%s%s", verb->name,
                           *verb->arguments ? " " : "", verb->arguments);
    if (verb->need == NEEDS_CONF) {
        ctl->conf = conf_load(ctl->file, ctl_complain, ctl);
        if (!ctl->conf)
            return EX_CONFIG;
    }
    return verb->handler(ctl);
}

/* Options, the verb, its arguments, in this order. */
static int dispatch(struct ctl *ctl)
{
    size_t used;
    int code = take_options(ctl);
    if (code != EX_OK)
        return code;
    if (ctl->argument[0][0] == '-') /* one of the two that take_options lets pass */
        return ctl->argument[0][2] == 'h' ? verb_help(&(struct ctl){.streams = ctl->streams})
                                          : verb_version(ctl);
    /* The longest that fits is not looked for: no name is the beginning of another. */
    const struct ctl_verb *verb = ctl_find_verb(ctl->argument, ctl->argument_count, &used);
    if (!verb)
        return say_unknown(ctl);
    ctl->argument += used;
    ctl->argument_count -= used;
    return call(ctl, verb);
}

int ctl_main(int argc, char *const *argv, const struct ctl_streams *streams)
{
    struct ctl ctl = {
        .streams = *streams,
        .file = default_file(),
        /* A caller may leave out even the name of the program. */
        .argument = argv + (argc > 0),
        .argument_count = argc > 1 ? (size_t)argc - 1 : 0,
    };
    int code = dispatch(&ctl);
    /* NULL for a verb that needed none, or when it could not be loaded. */
    conf_free(ctl.conf);
    arena_free(&ctl.arena);
    return code;
}
