/*
 * Why a table: a handler never asks whether it may run. State and number of arguments are decided
 * here, so that what is refused is refused alike for all of them.
 */
#include "pop3d/verbs.h"

#define IN_AUTHORIZATION (1U << SESSION_AUTHORIZATION)
#define IN_TRANSACTION   (1U << SESSION_TRANSACTION)

/* clang-format off */
static const struct verb verbs[] = {
    {SPAN_INIT("RETR"), cmd_retr, IN_TRANSACTION,   1, 1, false, "RFC 1939 §5"},
    {SPAN_INIT("DELE"), cmd_dele, IN_TRANSACTION,   1, 1, false, "RFC 1939 §5"},
    {SPAN_INIT("USER"), cmd_user, IN_AUTHORIZATION, 1, 1, false, "RFC 1939 §7"},
    {SPAN_INIT("PASS"), cmd_pass, IN_AUTHORIZATION, 1, 1, true,  "RFC 1939 §7"},
    {SPAN_INIT("UIDL"), cmd_uidl, IN_TRANSACTION,   0, 1, false, "RFC 1939 §7"},
    {SPAN_INIT("LIST"), cmd_list, IN_TRANSACTION,   0, 1, false, "RFC 1939 §5"},
    {SPAN_INIT("STAT"), cmd_stat, IN_TRANSACTION,   0, 0, false, "RFC 1939 §5"},
    {SPAN_INIT("QUIT"), cmd_quit, IN_AUTHORIZATION | IN_TRANSACTION, 0, 0, false, "RFC 1939 §6"},
    {SPAN_INIT("TOP"),  cmd_top,  IN_TRANSACTION,   1, 2, false, "RFC 1939 §7"},
    {SPAN_INIT("CAPA"), cmd_capa, IN_AUTHORIZATION | IN_TRANSACTION, 0, 0, false, "RFC 2449 §5"},
    {SPAN_INIT("NOOP"), cmd_noop, IN_TRANSACTION,   0, 0, false, "RFC 1939 §5"},
    {SPAN_INIT("RSET"), cmd_rset, IN_TRANSACTION,   0, 0, false, "RFC 1939 §5"},
    {SPAN_INIT("LAST"), cmd_last, IN_TRANSACTION,   0, 0, false, "RFC 1460 §5"},
    {SPAN_INIT("APOP"), cmd_apop, IN_AUTHORIZATION, 2, 2, false, "RFC 1939 §7"},
};
/* clang-format on */

static const size_t verb_count = sizeof(verbs) / sizeof(verbs[0]);

const struct verb *verb_table(size_t *count)
{
    *count = verb_count;
    return verbs;
}

/* The table begins with what is said most often; so few rows need no hash. */
static const struct verb *find(struct span name)
{
    for (size_t i = 0; i < verb_count; i++)
        if (span_equal_nocase(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

/* RFC 1939 §3 has a single space; some clients send more, or tabs. */
static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

/* Cuts the next word off; false when only blanks are left. */
static bool next_word(struct span *rest, struct span *word)
{
    *rest = span_trim(*rest);
    size_t len = 0;
    while (len < rest->len && !is_blank(rest->data[len]))
        len++;
    *word = span_first(*rest, len);
    *rest = span_skip(*rest, len);
    return len > 0;
}

/* The words behind the verb. False: more than any command has. */
static bool split(struct span rest, struct arguments *arguments)
{
    struct span word;
    while (next_word(&rest, &word)) {
        if (arguments->count == ARGUMENTS_MOST)
            return false;
        arguments->words[arguments->count++] = word;
    }
    return true;
}

/* A password may hold blanks, at its end too (RFC 1939 §7). */
static bool read_arguments(const struct verb *verb, struct span rest, struct arguments *arguments)
{
    if (verb->whole && rest.len > 0)
        *arguments = (struct arguments){1, {rest}};
    else if (!split(rest, arguments))
        return false;
    return arguments->count >= verb->least && arguments->count <= verb->most;
}

/* What is refused here counts as bad: a client that knows the protocol says none of it. A NUL is
 * none of the printable characters that commands are made of (RFC 1939 §3). */
struct pop3_reply verb_serve(struct session *session, struct span line)
{
    if (span_find(line, '\0') < line.len)
        return pop3_bad("a command holds no NUL");
    size_t end = 0;
    while (end < line.len && !is_blank(line.data[end]))
        end++;
    const struct verb *verb = find(span_first(line, end));
    if (verb == NULL)
        return pop3_bad("unknown command");
    if ((verb->states & 1U << session->state) == 0)
        return pop3_bad(session->state == SESSION_AUTHORIZATION ? "log in first"
                                                                : "you are logged in already");
    struct arguments arguments = {0};
    if (!read_arguments(verb, span_skip(line, end + 1), &arguments))
        return pop3_bad("wrong arguments");
    return verb->handle(session, &arguments);
}
