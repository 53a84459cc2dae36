/*
 * The list is of the login and not of the address, as people think of it when somebody joins or
 * leaves. It is checked and brought into one form when it is compiled: "LINE item item...", so that
 * a look-up compares octets.
 */
#include "util/mail/senders_table.h"

#include <ctype.h>

/* The next item of a list that commas or blanks separate; false at its end. */
static bool next_item(struct span *rest, struct span *item)
{
    size_t length = 0;
    while (rest->len > 0 && strchr(", \t", rest->data[0]) != NULL)
        *rest = span_skip(*rest, 1);
    while (length < rest->len && strchr(", \t", rest->data[length]) == NULL)
        length++;
    *item = span_first(*rest, length);
    *rest = span_skip(*rest, length);
    return length > 0;
}

/* "@Domain", in lower case; empty for what is no domain. */
static struct span domain_item(struct arena *arena, struct span item)
{
    if (!domain_is_valid(span_skip(item, 1)))
        return SPAN("");
    char *text = arena_alloc(arena, item.len);
    for (size_t i = 0; i < item.len; i++)
        text[i] = (char)tolower((unsigned char)item.data[i]);
    return span_of(text, item.len);
}

/* The item in the form in which it is compared; empty for what is none. */
static struct span canonical(struct arena *arena, struct span item)
{
    char text[ADDRESS_TEXT_MAX];
    struct address address;
    if (span_equal(item, SPAN("*")))
        return item;
    if (span_has_prefix(item, SPAN("@")))
        return domain_item(arena, item);
    /* A quoted local part may hold a blank, which would end the item here. */
    if (address_parse(item, &address) != ADDRESS_OK ||
        span_find(address_local(&address), ' ') != address.local_len)
        return SPAN("");
    return arena_copy(arena, address_key(&address, text));
}

/* The key is a login: auth knows users by their whole address. */
static bool check_login(struct table_draft *draft)
{
    char text[ADDRESS_TEXT_MAX];
    struct address login;
    draft->wrong = "an entry is LOGIN ITEM, ITEM...; the login is a whole address";
    if (address_parse(draft->key, &login) != ADDRESS_OK)
        return false;
    draft->key = arena_copy(draft->arena, address_key(&login, text));
    return true;
}

static bool check(void *state, struct table_draft *draft)
{
    struct span rest = draft->value, item;
    struct span value = arena_printf(draft->arena, "%u", draft->line);
    (void)state;
    if (!check_login(draft))
        return false;
    draft->wrong = "name what the login may use: addresses, @domain for all of a domain, or *";
    if (rest.len == 0)
        return false;
    while (next_item(&rest, &item)) {
        item = canonical(draft->arena, item);
        if (item.len == 0)
            return false;
        value = arena_printf(draft->arena, "%.*s %.*s", SPAN_ARG(value), SPAN_ARG(item));
    }
    draft->value = value;
    return true;
}

const struct table_rules senders_rules = {.check = check};

/* A walk along the list; `key` is "local@domain" in lower case. */
static bool is_listed(struct span list, struct span key)
{
    struct span item, domain = span_skip(key, span_find_last(key, '@'));
    while (span_next(&list, ' ', &item))
        if (span_equal(item, SPAN("*")) || span_equal(item, key) || span_equal(item, domain))
            return true;
    return false;
}

/* The login was made by auth, out of its own table: it is an address in lower case. */
enum senders_verdict senders_find(struct table *table, struct arena *arena, struct span login,
                                  const struct address *address, unsigned *line)
{
    char text[ADDRESS_TEXT_MAX];
    struct span key = address_key(address, text), value, number;
    uint64_t read = 0;
    *line = 0;
    if (span_equal_nocase(login, key))
        return SENDERS_OWN;
    switch (table_get(table, arena, login, &value)) {
    case TABLE_NOT_FOUND:
        return SENDERS_REFUSED;
    case TABLE_ERROR:
        return SENDERS_ERROR;
    case TABLE_FOUND:
        break;
    }
    if (!span_next(&value, ' ', &number) || !span_to_u64(number, UINT32_MAX, &read))
        return SENDERS_ERROR;
    *line = (unsigned)read;
    return is_listed(value, key) ? SENDERS_LISTED : SENDERS_REFUSED;
}
