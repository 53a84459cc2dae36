/*
 * VRFY and EXPN (RFC 5321 §4.1.1.6, §4.1.1.7): who lives here, and who is on a list.
 *
 *     vrfy = "VRFY" SP String CRLF            with [SP "SMTPUTF8"] behind it, RFC 6531 §3.7.4
 *     expn = "EXPN" SP String CRLF
 *
 * Answered in earnest only where a setting says so, and to whom we relay for: to everybody else
 * VRFY says the same about every address, so that nobody learns who lives here (§3.5.3, §7.3).
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/inquiry.h"
#include "smtpd/path.h"

/* RFC 5321 §3.5.1: a name that several of our domains may have is told with all of them. Written
 * here, since the text is not kept. */
static void refuse_ambiguous(struct session *session, const struct address *address)
{
    const struct conf_spans *domains = &session->worker->conf->domains;
    struct buf text = {0};
    buf_add(&text, SPAN("User ambiguous; it may be"));
    for (size_t i = 0; i < domains->count; i++) {
        buf_add(&text, SPAN("\n<"));
        buf_add(&text, address_local(address));
        buf_add(&text, SPAN("@"));
        buf_add(&text, domains->items[i]);
        buf_add(&text, SPAN(">"));
    }
    buf_add(&text, span_of("", 1));
    answer_write(session, address_local(address), answer(553, "5.1.4", buf_span(&text).data));
    buf_free(&text);
}

/* What follows the address: nothing, or SMTPUTF8. */
static bool take_wide(struct span rest, bool *wide)
{
    struct span word = span_trim(rest);
    *wide = span_equal_nocase(word, SPAN("SMTPUTF8"));
    return word.len == 0 || *wide;
}

/* Pending: lookup is asked, or the reply is written. */
static struct reply inquire(struct session *session, struct span arguments, enum inquiry_kind kind)
{
    struct inquiry_facts facts = {.kind = kind};
    struct address whole;
    struct span rest;
    enum address_result result =
        address_parse_path(arguments, session->worker->default_domain, &facts.address, &rest);
    if (result != ADDRESS_OK || !take_wide(rest, &facts.wide))
        return result == ADDRESS_OK ? answer(501, "5.5.4", "One address, and no more")
                                    : path_refusal(result, "5.1.3");
    struct reply refusal = facts.wide ? REPLY_PENDING : path_check_ascii(arguments, rest);
    if (!reply_is_pending(refusal))
        return refusal;
    /* Without a domain of its own it was given the first of ours. */
    bool bare = address_parse_path(arguments, SPAN(""), &whole, &rest) != ADDRESS_OK;
    if (bare && session->worker->conf->domains.count > 1)
        refuse_ambiguous(session, &facts.address);
    else
        inquiry_begin(session, &facts);
    return REPLY_PENDING;
}

struct reply cmd_vrfy(struct session *session, struct span arguments)
{
    if (arguments.len == 0)
        return answer(501, "5.5.4", "Syntax: VRFY string");
    if (!session->worker->conf->vrfy || !session_may_relay(session))
        return answer(252, "2.1.5", "Send mail, and it will be tried");
    return inquire(session, arguments, INQUIRY_VERIFY);
}

/* That it is offered is asked by its row in the verb table. */
struct reply cmd_expn(struct session *session, struct span arguments)
{
    if (arguments.len == 0)
        return answer(501, "5.5.4", "Syntax: EXPN string");
    return inquire(session, arguments, INQUIRY_EXPAND);
}
