/*
 * Networks are looked up as networks: an address is masked and asked for at each length, the
 * longest first. So that this does not cost 129 lookups for an IPv6 client, the compiled table
 * holds a list of the lengths that occur in it, which are few.
 *
 * All that can be wrong with an entry is found when the table is compiled, where a person reads
 * what is said: "192.0.2" is a network to some servers and would be a name here that nobody has.
 */
#include "util/mail/access_table.h"

#include <ctype.h>
#include <stdio.h>

/* Of the list of lengths: no key of a person looks like it, because it has no prefix. */
#define LENGTHS_KEY SPAN("networks")

enum { V4_BITS = 32, V6_BITS = 128, PREFIX_MAX = 16, NAME_MAX_OCTETS = 255 };
enum { KEY_MAX = PREFIX_MAX + ADDRESS_TEXT_MAX };

static const char *const prefixes[ACCESS_KINDS] = {"client", "helo", "sender", "recipient"};

const char *access_kind_name(enum access_kind kind)
{
    return prefixes[kind];
}

/* ---- networks ---- */

static bool is_v4(const union net_address *address)
{
    return address->any.sa_family == AF_INET;
}

/* Zeros behind the first `bits` bits. */
static union net_address masked(const union net_address *address, unsigned bits)
{
    union net_address network = *address;
    uint8_t *octets =
        is_v4(address) ? (uint8_t *)&network.v4.sin_addr : (uint8_t *)&network.v6.sin6_addr;
    unsigned count = is_v4(address) ? 4 : 16;
    for (unsigned i = 0; i < count; i++) {
        unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        if (kept < 8)
            octets[i] = (uint8_t)(octets[i] & (0xff00U >> kept));
    }
    return network;
}

/* "client:192.0.2.0/24" */
static struct span network_key(struct arena *arena, const union net_address *network, unsigned bits)
{
    char text[NET_TEXT_MAX];
    return arena_printf(arena, "client:%.*s/%u", SPAN_ARG(net_text(network, text)), bits);
}

/* ---- compiling: keys ---- */

/* What one build has seen: which lengths occur. */
struct lengths {
    bool v4[V4_BITS + 1], v6[V6_BITS + 1];
};

/* A name that ends in a digit is an address that somebody got wrong. */
static bool is_name(struct span name)
{
    if (span_has_prefix(name, SPAN(".")))
        name = span_skip(name, 1);
    return domain_is_valid(name) && !isdigit((unsigned char)name.data[name.len - 1]);
}

static bool check_client(struct lengths *lengths, struct table_draft *draft, struct span rest)
{
    struct net_prefix prefix;
    if (net_parse_prefix(rest, &prefix)) {
        bool *seen = is_v4(&prefix.address) ? lengths->v4 : lengths->v6;
        seen[prefix.bits] = true;
        draft->key = network_key(draft->arena, &prefix.address, prefix.bits);
        return true;
    }
    draft->wrong = "write client: and an address, a network such as 192.0.2.0/24 without bits "
                   "behind its mask, a name or .name";
    return is_name(rest);
}

/* Clients say anything in HELO; a blank can not be in it, as it ends the key. */
static bool check_helo(struct table_draft *draft, struct span rest)
{
    draft->wrong = "write helo: and a name, .name or [address]";
    return rest.len > 0 && rest.len <= NAME_MAX_OCTETS;
}

/* "<>", "user@", "user@domain", "domain", ".domain" */
static bool check_address(struct table_draft *draft, struct span prefix, struct span rest)
{
    char text[ADDRESS_TEXT_MAX];
    struct address address;
    size_t at = span_find_last(rest, '@');
    draft->wrong = "write user@domain, user@, domain or .domain behind the colon";
    if (span_equal(rest, SPAN("<>")))
        return span_equal(prefix, SPAN("sender"));
    if (at == rest.len)
        return is_name(rest);
    if (at + 1 == rest.len)
        return at > 0 && at <= ADDRESS_LOCAL_MAX && span_find(rest, '@') == at;
    if (address_parse(rest, &address) != ADDRESS_OK)
        return false;
    draft->key = arena_printf(draft->arena, "%.*s:%.*s", SPAN_ARG(prefix),
                              SPAN_ARG(address_key(&address, text)));
    return true;
}

static bool check_key(struct lengths *lengths, struct table_draft *draft)
{
    struct span prefix = span_first(draft->key, span_find(draft->key, ':'));
    struct span rest = span_skip(draft->key, prefix.len + 1);
    if (span_equal(prefix, SPAN("client")))
        return check_client(lengths, draft, rest);
    if (span_equal(prefix, SPAN("helo")))
        return check_helo(draft, rest);
    if (span_equal(prefix, SPAN("sender")) || span_equal(prefix, SPAN("recipient")))
        return check_address(draft, prefix, rest);
    draft->wrong = "a key begins with client:, helo:, sender: or recipient:";
    return false;
}

/* ---- compiling: values ---- */

/* A refusal in the making. */
struct refusal {
    struct span code, enhanced, text;
};

/* RFC 5321 §4.2.1: the first digit is the severity, the second one of 0 to 5. */
static bool is_code(struct span word)
{
    return word.len == 3 && (word.data[0] == '4' || word.data[0] == '5') && word.data[1] >= '0' &&
           word.data[1] <= '5' && isdigit((unsigned char)word.data[2]);
}

/* One to three digits, cut off *rest. */
static bool cut_number(struct span *rest)
{
    size_t digits = 0;
    while (digits < rest->len && isdigit((unsigned char)rest->data[digits]))
        digits++;
    *rest = span_skip(*rest, digits);
    return digits >= 1 && digits <= 3;
}

/* RFC 3463 §2: class "." subject "." detail. */
static bool is_enhanced(struct span word)
{
    if (word.len < 5 || word.data[1] != '.')
        return false;
    struct span rest = span_skip(word, 2);
    if (!cut_number(&rest) || !span_has_prefix(rest, SPAN(".")))
        return false;
    rest = span_skip(rest, 1);
    return cut_number(&rest) && rest.len == 0;
}

/* Every reply is ASCII (RFC 5321 §4.2). */
static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    return text.len <= ACCESS_TEXT_MAX;
}

/* Up to a blank of either kind. */
static struct span first_word(struct span text)
{
    struct span word = span_first(text, span_find(text, ' '));
    return span_first(word, span_find(word, '\t'));
}

/* What stands behind the action: an enhanced status, if it looks like one, and a text. */
static bool read_words(struct span rest, struct refusal *refusal)
{
    struct span word = first_word(rest);
    bool lasting = refusal->code.data[0] == '5';
    refusal->enhanced = lasting ? SPAN("5.7.1") : SPAN("4.7.1");
    if (is_enhanced(word)) {
        if (word.data[0] != refusal->code.data[0])
            return false;
        refusal->enhanced = word;
        rest = span_trim(span_skip(rest, word.len));
    }
    refusal->text = rest;
    if (rest.len == 0)
        refusal->text = lasting ? SPAN("Access denied") : SPAN("Try again later");
    return is_printable(refusal->text);
}

/* RFC 5321 §3.5.3, §4.2.3: 554 for a refusal by policy, 450 for one that may end. */
static bool read_refusal(struct span action, struct span rest, struct refusal *refusal)
{
    if (span_equal_nocase(action, SPAN("REJECT")))
        refusal->code = SPAN("554");
    else if (span_equal_nocase(action, SPAN("DEFER")))
        refusal->code = SPAN("450");
    else if (is_code(action))
        refusal->code = action;
    else
        return false;
    return read_words(rest, refusal);
}

static bool check_value(struct table_draft *draft)
{
    struct span action = first_word(draft->value);
    struct span rest = span_trim(span_skip(draft->value, action.len));
    struct refusal refusal;
    draft->wrong = "write OK, HOLD, REJECT [text], DEFER [text], or 4NN or 5NN with a status of "
                   "the same class and a text in ASCII";
    if (rest.len == 0 && span_equal_nocase(action, SPAN("OK")))
        draft->value = arena_printf(draft->arena, "%u ok", draft->line);
    else if (rest.len == 0 && span_equal_nocase(action, SPAN("HOLD")))
        draft->value = arena_printf(draft->arena, "%u hold", draft->line);
    else if (read_refusal(action, rest, &refusal))
        draft->value = arena_printf(draft->arena, "%u refuse %.*s %.*s %.*s", draft->line,
                                    SPAN_ARG(refusal.code), SPAN_ARG(refusal.enhanced),
                                    SPAN_ARG(refusal.text));
    else
        return false;
    return true;
}

static bool check(void *state, struct table_draft *draft)
{
    return check_key(state, draft) && check_value(draft);
}

/* "4/32 4/24 6/64": the longest first. */
static bool summary(void *state, struct table_draft *draft)
{
    const struct lengths *lengths = state;
    struct span list = SPAN("");
    for (int bits = V4_BITS; bits >= 0; bits--)
        if (lengths->v4[bits])
            list = arena_printf(draft->arena, "%.*s4/%d ", SPAN_ARG(list), bits);
    for (int bits = V6_BITS; bits >= 0; bits--)
        if (lengths->v6[bits])
            list = arena_printf(draft->arena, "%.*s6/%d ", SPAN_ARG(list), bits);
    draft->key = LENGTHS_KEY;
    draft->value = span_trim(list);
    return list.len > 0;
}

const struct table_rules access_rules = {
    .state_size = sizeof(struct lengths), .check = check, .summary = summary};

/* ---- looking up ---- */

bool access_entry_read(struct span value, struct access_entry *entry)
{
    struct span line, action, code;
    uint64_t number;
    *entry = (struct access_entry){0};
    if (!span_next(&value, ' ', &line) || !span_next(&value, ' ', &action) ||
        !span_to_u64(line, UINT32_MAX, &number))
        return false;
    entry->line = (unsigned)number;
    if (span_equal(action, SPAN("ok")))
        entry->action = ACCESS_OK;
    else if (span_equal(action, SPAN("hold")))
        entry->action = ACCESS_HOLD;
    if (entry->action != ACCESS_NONE)
        return value.len == 0;
    if (!span_equal(action, SPAN("refuse")) || !span_next(&value, ' ', &code) ||
        !span_next(&value, ' ', &entry->enhanced) || !span_to_u64(code, 599, &number))
        return false;
    entry->action = ACCESS_REFUSE;
    entry->code = (uint16_t)number;
    entry->text = value;
    return number >= 400 && value.len > 0;
}

/* A value that can not be read is an error like a table that can not be. */
static enum table_result find(struct table *table, struct arena *arena, struct span key,
                              struct access_entry *entry)
{
    struct span value;
    enum table_result result = table_get(table, arena, key, &value);
    if (result == TABLE_FOUND && !access_entry_read(value, entry))
        return TABLE_ERROR;
    return result;
}

/* One key of a kind: "sender:" and what is asked for, without case. */
static enum table_result find_of_kind(struct table *table, struct arena *arena,
                                      enum access_kind kind, struct span what,
                                      struct access_entry *entry)
{
    char key[KEY_MAX];
    size_t used = strlen(prefixes[kind]);
    if (used + 1 + what.len > sizeof(key))
        return TABLE_NOT_FOUND;
    memcpy(key, prefixes[kind], used);
    key[used++] = ':';
    for (size_t i = 0; i < what.len; i++)
        key[used++] = (char)tolower((unsigned char)what.data[i]);
    return find(table, arena, span_of(key, used), entry);
}

/* The name, then ".parent" for each parent; from its dot on, the name is the key. */
static enum table_result find_name(struct table *table, struct arena *arena, enum access_kind kind,
                                   struct span name, struct access_entry *entry)
{
    enum table_result result = find_of_kind(table, arena, kind, name, entry);
    bool is_literal = span_has_prefix(name, SPAN("["));
    while (result == TABLE_NOT_FOUND && !is_literal) {
        size_t dot = span_find(span_skip(name, 1), '.') + 1;
        if (dot >= name.len)
            break;
        name = span_skip(name, dot);
        result = find_of_kind(table, arena, kind, name, entry);
    }
    return result;
}

/* Down the list of lengths that the table has for the client's family. */
static enum table_result find_network(struct table *table, struct arena *arena,
                                      const union net_address *client, struct access_entry *entry)
{
    struct span list, word, family = is_v4(client) ? SPAN("4/") : SPAN("6/");
    uint64_t bits;
    enum table_result result = table_get(table, arena, LENGTHS_KEY, &list);
    if (result != TABLE_FOUND)
        return result;
    result = TABLE_NOT_FOUND;
    while (result == TABLE_NOT_FOUND && span_next(&list, ' ', &word)) {
        if (!span_has_prefix(word, family))
            continue;
        if (!span_to_u64(span_skip(word, family.len), is_v4(client) ? V4_BITS : V6_BITS, &bits))
            return TABLE_ERROR;
        union net_address network = masked(client, (unsigned)bits);
        result = find(table, arena, network_key(arena, &network, (unsigned)bits), entry);
    }
    return result;
}

enum table_result access_find_client(struct table *table, struct arena *arena,
                                     const union net_address *client, struct span name,
                                     struct access_entry *entry)
{
    *entry = (struct access_entry){0};
    enum table_result result = find_network(table, arena, client, entry);
    if (result == TABLE_NOT_FOUND && name.len > 0)
        result = find_name(table, arena, ACCESS_CLIENT, name, entry);
    return result;
}

enum table_result access_find_helo(struct table *table, struct arena *arena, struct span name,
                                   struct access_entry *entry)
{
    *entry = (struct access_entry){0};
    return name.len > 0 ? find_name(table, arena, ACCESS_HELO, name, entry) : TABLE_NOT_FOUND;
}

enum table_result access_find_address(struct table *table, struct arena *arena,
                                      enum access_kind kind, const struct address *address,
                                      struct access_entry *entry)
{
    char text[ADDRESS_TEXT_MAX];
    *entry = (struct access_entry){0};
    if (address == NULL)
        return find_of_kind(table, arena, kind, SPAN("<>"), entry);
    struct span key = address_key(address, text);
    enum table_result result = find_of_kind(table, arena, kind, key, entry);
    if (result == TABLE_NOT_FOUND)
        result = find_name(table, arena, kind, address_domain(address), entry);
    /* "user@": the key up to its last '@', which the domain can not hold. */
    if (result == TABLE_NOT_FOUND)
        result =
            find_of_kind(table, arena, kind, span_first(key, span_find_last(key, '@') + 1), entry);
    return result;
}
