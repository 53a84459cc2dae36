/*
 * ETRN (RFC 1985 §5): a client that was away asks for the mail that waits for it here.
 *
 *     etrn = "ETRN" SP [ "@" / "#" ] node-name CRLF
 *
 * The mail goes the way it always goes, over a connection that we make: who asks gets nothing that
 * is not his. What he can do is make us work, so only those for whom we relay may ask.
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/queue_run.h"
#include "util/mail/address.h"

/* In the form that addresses are kept in: the parser of addresses makes it. RFC 1985 §5: "a fully
 * qualified domain name"; and all names beneath a top level domain are nobody's own (§8). */
static bool parse_node(struct span node, struct address *address)
{
    char text[sizeof("a@") + ADDRESS_DOMAIN_MAX];
    if (node.len > ADDRESS_DOMAIN_MAX || span_find(node, '@') < node.len)
        return false;
    text[0] = 'a';
    text[1] = '@';
    memcpy(text + 2, node.data, node.len);
    if (address_parse(span_of(text, 2 + node.len), address) != ADDRESS_OK)
        return false;
    struct span domain = address_domain(address);
    return !address->domain_is_literal && span_find(domain, '.') < domain.len;
}

/* RFC 1985 §5.1: 459 names the node and the reason. Written here, since the text is not kept. */
static void refuse(struct session *session, struct span node)
{
    struct arena arena = {0};
    struct span text = arena_printf(
        &arena, "Node %.*s not allowed: log in, or come from a trusted network", SPAN_ARG(node));
    answer_write(session, node, answer_by("trusted_networks", answer(459, "4.7.1", text.data)));
    arena_free(&arena);
}

/* Queues that have names of their own (§5.3) there are none of. */
struct reply cmd_etrn(struct session *session, struct span arguments)
{
    struct address address;
    if (arguments.len == 0)
        return answer(500, "5.5.2", "Syntax: ETRN domain");
    if (arguments.data[0] == '#')
        return answer(458, "4.3.3", "Unable to queue messages: no queue has a name here");
    bool subdomains = arguments.data[0] == '@';
    if (!parse_node(span_skip(arguments, subdomains), &address))
        return answer(501, "5.5.4", "Syntax: ETRN domain, or ETRN @domain");
    if (session_may_relay(session))
        queue_run_begin(session, address_domain(&address), subdomains);
    else
        refuse(session, address_domain(&address));
    return REPLY_PENDING;
}
