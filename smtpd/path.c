/*
 * Syntax errors are told apart because their causes are: a typing error (501), a client that wants
 * SMTPUTF8 although it was not offered (553, RFC 6531 §3.5), a name that no mailbox has.
 */
#include "smtpd/path.h"

/* RFC 5321 §2.4: keywords have no case. Blanks behind the colon are left to the parser of paths. */
bool path_argument(struct span *arguments, struct span keyword)
{
    if (!span_has_prefix_nocase(*arguments, keyword))
        return false;
    *arguments = span_skip(*arguments, keyword.len);
    return true;
}

/* Parameters are separated by blanks, and hold none themselves (RFC 5321 §4.1.2). */
bool path_next_parameter(struct span *rest, struct span *word)
{
    struct span trimmed = span_trim(*rest);
    size_t end = 0;
    while (end < trimmed.len && trimmed.data[end] != ' ' && trimmed.data[end] != '\t')
        end++;
    /* The word is a piece of the command line: it lives as long as the input does. */
    *word = span_first(trimmed, end);
    *rest = span_skip(trimmed, end);
    return end > 0;
}

/* 501 unless the cause has a code of its own. */
struct reply path_refusal(enum address_result result, const char *enhanced)
{
    struct reply reply = {501, false, enhanced, "Bad address syntax"};
    if (result == ADDRESS_TOO_LONG)
        reply.text = "Address is too long";
    /* The address may be right and only not for us: the code of the caller would blame its
     * syntax. */
    if (result == ADDRESS_NOT_ASCII)
        reply = (struct reply){553, false, "5.6.7", "Address is not ASCII"};
    return reply;
}
