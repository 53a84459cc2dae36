/*
 * Addresses are where relays are stolen: a server that checks one reading of "@a:b@c" and routes by
 * another is open. So there is one parser, a cursor that walks the grammar of RFC 5321 §4.1.2 once
 * and never looks back, and its result is all that anybody sees. What the grammar does not know
 * (comments, "%" routing, empty quoted strings) is either a plain octet of the local part or a
 * syntax error; nothing is guessed.
 */
#include "util/mail/address.h"

#include "util/mail/idna.h"
#include "util/mail/utf8.h"
#include "util/sys/net.h"

enum { LABEL_MAX = 63 /* RFC 1035 §2.3.4 */ };

/* Where the parser stands; it only moves forward. */
struct cursor {
    const char *at, *end;
};

/* A cursor over text that it does not own. */
static struct cursor cursor_of(struct span text)
{
    return (struct cursor){text.data, text.data + text.len};
}

/* The end matches no octet, so no caller needs to ask for it first. */
static bool cursor_at(const struct cursor *cursor, char octet)
{
    return cursor->at < cursor->end && *cursor->at == octet;
}

/* Moves on only past the octet that the grammar wants. */
static bool cursor_take(struct cursor *cursor, char octet)
{
    bool there = cursor_at(cursor, octet);
    cursor->at += there;
    return there;
}

/* What is wrong with the octet the grammar has no place for. */
static enum address_result complaint(const struct cursor *cursor)
{
    bool foreign = cursor->at < cursor->end && (unsigned char)*cursor->at >= 0x80;
    return foreign ? ADDRESS_NOT_UTF8 : ADDRESS_SYNTAX;
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5322 §3.2.3 */
static bool is_atext(char c)
{
    return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* SP to "~": what RFC 5321 §4.1.2 allows in quotes (qtextSMTP, quoted-pairSMTP) and, but for
 * brackets, in a literal. */
static bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

/* ASCII alone, whatever the locale: domains compare so (RFC 5321 §2.4). */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* What comes next: an octet of ASCII that is allowed here, or a whole character beyond it (RFC 6531
 * §3.3); empty: neither. */
static struct span cursor_character(const struct cursor *cursor, bool (*is_allowed)(char))
{
    struct span rest = span_of(cursor->at, (size_t)(cursor->end - cursor->at));
    bool plain = rest.len > 0 && is_allowed(rest.data[0]);
    return span_first(rest, plain ? 1 : utf8_character(rest));
}

/* The limit counts octets of the local part itself, not the quotes and backslashes of the wire. */
static bool local_add(struct address *address, struct span character)
{
    if (address->local_len + character.len > ADDRESS_LOCAL_MAX)
        return false;
    memcpy(address->local + address->local_len, character.data, character.len);
    address->local_len = (uint16_t)(address->local_len + character.len);
    return true;
}

/* Quoted-string: DQUOTE *QcontentSMTP DQUOTE, RFC 5321 §4.1.2; here at least one octet long, since
 * nobody has an empty name. */
static enum address_result parse_quoted(struct cursor *cursor, struct address *address)
{
    while (!cursor_at(cursor, '"')) {
        (void)cursor_take(cursor, '\\');
        struct span character = cursor_character(cursor, is_printable);
        if (character.len == 0)
            return complaint(cursor);
        if (!local_add(address, character))
            return ADDRESS_TOO_LONG;
        cursor->at += character.len;
    }
    cursor->at++;
    return address->local_len > 0 ? ADDRESS_OK : ADDRESS_SYNTAX;
}

/* Dot-string: Atom *("." Atom), RFC 5321 §4.1.2. */
static enum address_result parse_dot_string(struct cursor *cursor, struct address *address)
{
    do {
        const char *atom = cursor->at;
        struct span character;
        while ((character = cursor_character(cursor, is_atext)).len > 0) {
            if (!local_add(address, character))
                return ADDRESS_TOO_LONG;
            cursor->at += character.len;
        }
        if (cursor->at == atom)
            return complaint(cursor);
        if (!cursor_at(cursor, '.'))
            return ADDRESS_OK;
    } while (cursor_take(cursor, '.') && local_add(address, SPAN(".")));
    return ADDRESS_TOO_LONG;
}

/* Local-part = Dot-string / Quoted-string (RFC 5321 §4.1.2): the first octet says which. */
static enum address_result parse_local(struct cursor *cursor, struct address *address)
{
    address->local_len = 0;
    return cursor_take(cursor, '"') ? parse_quoted(cursor, address)
                                    : parse_dot_string(cursor, address);
}

/* Stored in lower case: from here on a domain has one spelling. */
static enum address_result set_domain(struct address *address, struct span domain)
{
    if (domain.len > ADDRESS_DOMAIN_MAX)
        return ADDRESS_TOO_LONG;
    for (size_t i = 0; i < domain.len; i++)
        address->domain[i] = lower(domain.data[i]);
    address->domain_len = (uint16_t)domain.len;
    return ADDRESS_OK;
}

/* address-literal, RFC 5321 §4.1.3: an IPv4 address, or "IPv6:" and one of those. */
static bool literal_is_valid(struct span inside)
{
    union net_address address;
    bool six = span_has_prefix_nocase(inside, SPAN("IPv6:"));
    struct span text = six ? span_skip(inside, 5) : inside;
    bool has_colon = span_find(text, ':') < text.len;
    return six == has_colon && net_parse_address(text, &address);
}

/* Read up to its bracket before it is judged, so that a colon or blank inside needs no rule of
 * its own. */
static enum address_result parse_literal(struct cursor *cursor, struct address *address)
{
    const char *start = cursor->at;
    while (cursor->at < cursor->end && *cursor->at != ']')
        if (!is_printable(*cursor->at++))
            return ADDRESS_SYNTAX;
    if (!cursor_take(cursor, ']'))
        return ADDRESS_SYNTAX;
    struct span literal = span_of(start, (size_t)(cursor->at - start));
    if (!literal_is_valid(span_first(span_skip(literal, 1), literal.len - 2)))
        return ADDRESS_SYNTAX;
    address->domain_is_literal = true;
    return set_domain(address, literal);
}

/* Of names as they are written; what is none is found afterwards. */
static bool is_of_name(char c)
{
    return is_alphanumeric(c) || c == '-' || c == '.';
}

/* A name beyond ASCII is stored as the DNS knows it (RFC 6531 §3.2). */
static enum address_result set_name(struct address *address, struct span name)
{
    char ascii[IDNA_MAX];
    size_t length;
    if (!utf8_is_ascii(name)) {
        if (!idna_to_ascii(name, ascii, &length))
            return ADDRESS_SYNTAX;
        name = span_of(ascii, length);
    }
    return domain_is_valid(name) ? set_domain(address, name) : ADDRESS_SYNTAX;
}

/* Domain, RFC 5321 §4.1.2; one trailing dot, as people write absolute names, is dropped. */
static enum address_result parse_domain(struct cursor *cursor, struct address *address)
{
    if (cursor_at(cursor, '['))
        return parse_literal(cursor, address);
    const char *start = cursor->at;
    struct span character;
    while ((character = cursor_character(cursor, is_of_name)).len > 0)
        cursor->at += character.len;
    struct span domain = span_of(start, (size_t)(cursor->at - start));
    if (span_has_suffix(domain, SPAN(".")))
        domain.len--;
    address->domain_is_literal = false;
    if (domain.len > ADDRESS_DOMAIN_MAX)
        return ADDRESS_TOO_LONG;
    enum address_result result = set_name(address, domain);
    /* The octet behind the name may be what is wrong with it. */
    return result == ADDRESS_SYNTAX ? complaint(cursor) : result;
}

/* A-d-l ":", RFC 5321 §4.1.2: read for its form, then forgotten (Appendix C). */
static enum address_result skip_source_route(struct cursor *cursor)
{
    struct address hop;
    if (!cursor_at(cursor, '@'))
        return ADDRESS_OK;
    do {
        if (!cursor_take(cursor, '@'))
            return complaint(cursor);
        enum address_result result = parse_domain(cursor, &hop);
        if (result != ADDRESS_OK)
            return result;
    } while (cursor_take(cursor, ','));
    return cursor_take(cursor, ':') ? ADDRESS_OK : complaint(cursor);
}

/* Local part and domain; the path's limit (RFC 5321 §4.5.3.1.3) counts "@" and both brackets
 * too. */
static enum address_result parse_mailbox(struct cursor *cursor, struct span default_domain,
                                         struct address *address)
{
    enum address_result result = parse_local(cursor, address);
    if (result != ADDRESS_OK)
        return result;
    if (cursor_take(cursor, '@')) {
        result = parse_domain(cursor, address);
    } else if (default_domain.len > 0) {
        address->domain_is_literal = false;
        result = set_domain(address, default_domain);
    } else {
        result = complaint(cursor);
    }
    bool fits = address->local_len + 1u + address->domain_len + 2u <= ADDRESS_PATH_MAX;
    return result == ADDRESS_OK && !fits ? ADDRESS_TOO_LONG : result;
}

/* The inside of "<...>" and the bracket that closes it. */
static enum address_result parse_bracketed(struct cursor *cursor, struct span default_domain,
                                           struct address *address)
{
    if (cursor_take(cursor, '>')) {
        *address = (struct address){0};
        return ADDRESS_EMPTY;
    }
    enum address_result result = skip_source_route(cursor);
    if (result == ADDRESS_OK)
        result = parse_mailbox(cursor, default_domain, address);
    if (result == ADDRESS_OK && !cursor_take(cursor, '>'))
        result = complaint(cursor);
    return result;
}

/* Without brackets, as some clients still send it; nothing closes it but a blank or the end. */
static enum address_result parse_bare(struct cursor *cursor, struct span default_domain,
                                      struct address *address)
{
    enum address_result result = skip_source_route(cursor);
    return result == ADDRESS_OK ? parse_mailbox(cursor, default_domain, address) : result;
}

enum address_result address_parse_path(struct span text, struct span default_domain,
                                       struct address *address, struct span *rest)
{
    struct cursor cursor = cursor_of(text);
    while (cursor_take(&cursor, ' ') || cursor_take(&cursor, '\t'))
        ;
    enum address_result result = cursor_take(&cursor, '<')
                                     ? parse_bracketed(&cursor, default_domain, address)
                                     : parse_bare(&cursor, default_domain, address);
    if (result != ADDRESS_OK && result != ADDRESS_EMPTY)
        return result;
    /* Parameters are set off by a blank (RFC 5321 §4.1.1.2); anything else belongs to no path. */
    if (cursor.at < cursor.end && *cursor.at != ' ' && *cursor.at != '\t')
        return complaint(&cursor);
    *rest = span_of(cursor.at, (size_t)(cursor.end - cursor.at));
    return result;
}

enum address_result address_parse(struct span text, struct address *address)
{
    struct cursor cursor = cursor_of(text);
    enum address_result result = parse_mailbox(&cursor, SPAN(""), address);
    return result == ADDRESS_OK && cursor.at < cursor.end ? complaint(&cursor) : result;
}

/* What may stand without quotes (RFC 5321 §4.1.2). A dot at either end, or two together, needs
 * them. */
static bool is_dot_string(struct span local)
{
    char previous = '.';
    for (size_t i = 0; i < local.len; i++) {
        char c = local.data[i];
        bool plain = is_atext(c) || (unsigned char)c >= 0x80;
        if (c == '.' ? previous == '.' : !plain)
            return false;
        previous = c;
    }
    return previous != '.';
}

/* Room was counted by ADDRESS_TEXT_MAX: every octet of the local part escaped, quotes, "@",
 * domain. */
static char *put(char *at, struct span s)
{
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

/* A quoted-pair only where there is no other way: "\\" and the quote. */
static char *put_quoted(char *at, struct span local)
{
    *at++ = '"';
    for (size_t i = 0; i < local.len; i++) {
        if (local.data[i] == '"' || local.data[i] == '\\')
            *at++ = '\\';
        *at++ = local.data[i];
    }
    *at++ = '"';
    return at;
}

/* The null reverse-path has no text; any other address has both its parts. */
struct span address_text(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    struct span local = address_local(address);
    if (local.len == 0)
        return span_of(out, 0);
    char *at = is_dot_string(local) ? put(out, local) : put_quoted(out, local);
    *at++ = '@';
    at = put(at, address_domain(address));
    return span_of(out, (size_t)(at - out));
}

struct span address_key(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    char *at = out;
    for (size_t i = 0; i < address->local_len; i++)
        *at++ = lower(address->local[i]);
    *at++ = '@';
    at = put(at, address_domain(address));
    return span_of(out, (size_t)(at - out));
}

struct span address_login(struct span given, struct span default_domain, char out[ADDRESS_TEXT_MAX])
{
    struct address address;
    struct span rest;
    if (address_parse_path(given, default_domain, &address, &rest) == ADDRESS_OK && rest.len == 0)
        return address_key(&address, out);
    struct span kept = span_first(given, ADDRESS_TEXT_MAX);
    return span_of(out, (size_t)(put(out, kept) - out));
}

/* sub-domain = Let-dig [Ldh-str], RFC 5321 §4.1.2 */
static bool label_is_valid(struct span label)
{
    if (label.len == 0 || label.len > LABEL_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alphanumeric(label.data[i]) && label.data[i] != '-')
            return false;
    return label.data[0] != '-' && label.data[label.len - 1] != '-';
}

bool domain_is_valid(struct span domain)
{
    if (domain.len == 0 || domain.len > ADDRESS_DOMAIN_MAX || span_has_suffix(domain, SPAN(".")))
        return false;
    struct span rest = domain, label;
    while (span_next(&rest, '.', &label))
        if (!label_is_valid(label))
            return false;
    return true;
}

/* Domains are in lower case anyway. */
bool address_is_same(struct span a, struct span b, bool ours)
{
    return ours ? span_equal_nocase(a, b) : span_equal(a, b);
}
