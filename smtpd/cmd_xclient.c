/*
 * XCLIENT: a proxy that speaks SMTP itself says for whom, as Postfix defines it (XCLIENT_README).
 *
 *     xclient   = "XCLIENT" 1*( SP attribute "=" xtext ) CRLF
 *     attribute = "NAME" / "ADDR" / "PORT" / "PROTO" / "HELO" / "LOGIN" / "DESTADDR" / "DESTPORT"
 *
 * "[UNAVAILABLE]" and "[TEMPUNAVAIL]" stand for what the proxy does not know. All of a command is
 * taken or none of it. With an address another client begins: what was said of the one before is
 * forgotten; without one something is added. Either way the dialogue begins anew, with a greeting.
 *
 * Other than with Postfix the client is named once in a connection: there are proxies that only
 * pass octets on behind it, and a client of theirs would name itself, its network or its login.
 */
#include "smtpd/answer.h"
#include "smtpd/commands.h"
#include "smtpd/entry.h"
#include "smtpd/path.h"
#include "util/mail/address.h"
#include "util/mail/xtext.h"

#include <ctype.h>

enum { LOGIN_MOST = 255, PORT_MOST = 65535 };

static const struct reply bad_attribute = {
    .code = 501, .enhanced = "5.5.4", .text = "Bad XCLIENT attribute"};

/* The proxy does not know it, now or ever. */
static bool is_unavailable(struct span value)
{
    return span_equal_nocase(value, SPAN("[UNAVAILABLE]")) ||
           span_equal_nocase(value, SPAN("[TEMPUNAVAIL]"));
}

/* An address of either family, that of IPv6 with the prefix of an address literal (RFC 5321
 * §4.1.3). */
static bool parse_address(struct span value, union net_address *address)
{
    struct span prefix = SPAN("IPV6:");
    bool v6 = span_has_prefix_nocase(value, prefix);
    if (!v6)
        return net_parse_address(value, address) && span_find(value, ':') == value.len;
    return net_parse_address(span_skip(value, prefix.len), address);
}

/* ---- the attributes ---- */

static bool take_address(struct entry_claims *claims, struct span value)
{
    claims->speaks_for = is_unavailable(value) ? ENTRY_SOMEBODY : ENTRY_CLIENT;
    return claims->speaks_for == ENTRY_SOMEBODY || parse_address(value, &claims->address);
}

/* A name goes into Received and is looked for in tables: it has the form of one (RFC 5321 §2.3.5).
 */
static bool take_name(struct entry_claims *claims, struct span value)
{
    claims->has_name = true;
    if (is_unavailable(value))
        return true;
    for (size_t i = 0; i < value.len; i++)
        if (!isalnum((unsigned char)value.data[i]) && strchr("-._", value.data[i]) == NULL)
            return false;
    claims->name = value;
    return value.len > 0 && value.len <= ADDRESS_DOMAIN_MAX;
}

static bool take_helo(struct entry_claims *claims, struct span value)
{
    if (!is_unavailable(value))
        claims->helo = value;
    return value.len > 0 && value.len <= ADDRESS_DOMAIN_MAX;
}

static bool take_login(struct entry_claims *claims, struct span value)
{
    if (!is_unavailable(value))
        claims->login = value;
    return value.len > 0 && value.len <= LOGIN_MOST;
}

/* What follows is checked and of no use: no log and no table knows of ports, and the protocol shows
 * itself with the next HELO. */
static bool take_port(struct entry_claims *claims, struct span value)
{
    uint64_t port;
    (void)claims;
    return is_unavailable(value) || span_to_u64(value, PORT_MOST, &port);
}

static bool take_protocol(struct entry_claims *claims, struct span value)
{
    (void)claims;
    return is_unavailable(value) || span_equal_nocase(value, SPAN("SMTP")) ||
           span_equal_nocase(value, SPAN("ESMTP"));
}

static bool take_destination(struct entry_claims *claims, struct span value)
{
    union net_address address;
    (void)claims;
    return is_unavailable(value) || parse_address(value, &address);
}

/* One "name=value"; the value is decoded into `values`, which all of them share. */
static bool take(struct entry_claims *claims, struct span word, struct arena *values)
{
    static const struct {
        const char *name;
        bool (*take)(struct entry_claims *claims, struct span value);
    } attributes[] = {
        {"NAME", take_name},     {"ADDR", take_address},         {"PORT", take_port},
        {"HELO", take_helo},     {"LOGIN", take_login},          {"PROTO", take_protocol},
        {"DESTPORT", take_port}, {"DESTADDR", take_destination},
    };
    struct span name = span_first(word, span_find(word, '='));
    struct buf decoded = {0};
    bool good = name.len < word.len && xtext_decode(span_skip(word, name.len + 1), &decoded);
    struct span value = arena_copy(values, buf_span(&decoded));
    buf_free(&decoded);
    for (size_t i = 0; good && i < sizeof(attributes) / sizeof(attributes[0]); i++)
        if (span_equal_nocase(name, span_cstr(attributes[i].name)))
            return attributes[i].take(claims, value);
    return false;
}

/* That the client is a proxy is asked by the row in the verb table. */
struct reply cmd_xclient(struct session *session, struct span arguments)
{
    struct entry_claims claims = {0};
    struct arena values = {0};
    struct span word;
    bool good = arguments.len > 0;
    while (good && path_next_parameter(&arguments, &word))
        good = take(&claims, word, &values);
    struct reply reply = good ? entry_claim(session, &claims) : bad_attribute;
    arena_free(&values);
    return reply;
}
