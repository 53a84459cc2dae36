/*
 * Syntax errors are told apart because their causes are: a typing error (501), a client that gives
 * an address beyond ASCII and forgot SMTPUTF8 (553, RFC 6531 §3.5), a name that no mailbox has.
 */
#include "smtpd/path.h"

#include "util/mail/utf8.h"

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

/* RFC 6531 §3.5: the address may be somebody's, but this way it can not be given. */
struct reply path_check_ascii(struct span text, struct span rest)
{
    if (utf8_is_ascii(span_first(text, text.len - rest.len)))
        return REPLY_PENDING;
    return (struct reply){.code = 553,
                          .enhanced = "5.6.7",
                          .text = "Address is not ASCII, and SMTPUTF8 was not given"};
}

/* 501 unless the cause has a code of its own. */
struct reply path_refusal(enum address_result result, const char *enhanced)
{
    struct reply reply = {.code = 501, .enhanced = enhanced, .text = "Bad address syntax"};
    if (result == ADDRESS_TOO_LONG)
        reply.text = "Address is too long";
    /* The address may be right and only not for us: the code of the caller would blame its
     * syntax. */
    if (result == ADDRESS_NOT_UTF8)
        reply =
            (struct reply){.code = 553, .enhanced = "5.6.7", .text = "Address is not valid UTF-8"};
    return reply;
}
