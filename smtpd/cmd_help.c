/*
 * HELP (RFC 5321 §4.1.1.8): the syntax of a command, or what an extension is for.
 *
 * The commands are those of the verb table; extensions that have no command of their own stand
 * here, under the keyword that EHLO says.
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/verbs.h"

static const struct {
    struct span keyword;
    const char *help;
} extensions[] = {
    {SPAN_INIT("PIPELINING"), "Commands may be sent without waiting for replies\nRFC 2920"},
    {SPAN_INIT("SIZE"), "MAIL FROM:<reverse-path> SIZE=octets\nRFC 1870"},
    {SPAN_INIT("ENHANCEDSTATUSCODES"), "Replies begin with a status of three numbers\nRFC 2034"},
    {SPAN_INIT("8BITMIME"), "MAIL FROM:<reverse-path> BODY=8BITMIME\nRFC 6152"},
    {SPAN_INIT("CHUNKING"), "BDAT size [LAST]\nRFC 3030 2"},
    {SPAN_INIT("BINARYMIME"), "MAIL FROM:<reverse-path> BODY=BINARYMIME, then BDAT\nRFC 3030 3"},
    {SPAN_INIT("SMTPUTF8"), "MAIL FROM:<reverse-path> SMTPUTF8\nRFC 6531"},
    {SPAN_INIT("DSN"), "MAIL with RET and ENVID, RCPT with NOTIFY and ORCPT\nRFC 3461"},
    {SPAN_INIT("LIMITS"), "RCPTMAX recipients a message, MAILMAX messages a connection\nRFC 9422"},
    {SPAN_INIT("REQUIRETLS"), "MAIL FROM:<reverse-path> REQUIRETLS, under TLS\nRFC 8689"},
};

/* NULL: there is no such topic. A command comes first: STARTTLS and AUTH are both. */
static const char *help_of(enum conf_service service, struct span topic)
{
    const struct verb *verb = verb_find(topic);
    if (verb != NULL)
        return verb_is_shown(verb, service) ? verb->help : NULL;
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        if (span_equal_nocase(topic, extensions[i].keyword))
            return extensions[i].help;
    return NULL;
}

const char *help_topics(enum conf_service service, struct arena *arena)
{
    struct span text = span_cstr(verb_topics(service, arena));
    text = arena_printf(arena, "%.*s\nExtensions:", SPAN_ARG(text));
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        text = arena_printf(arena, "%s %s", text.data, extensions[i].keyword.data);
    return arena_printf(arena, "%s\nHELP topic says more", text.data).data;
}

struct reply cmd_help(struct session *session, struct span arguments)
{
    enum conf_service service = session->listener->service;
    if (arguments.len == 0)
        return answer(214, "2.0.0", session->worker->help[service]);
    const char *help = help_of(service, arguments);
    return help != NULL ? answer(214, "2.0.0", help) : answer(504, "5.5.4", "No help for that");
}
