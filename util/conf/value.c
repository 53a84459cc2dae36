/*
 * Each kind of value is one row of functions: read, print. Defaults take the same way in as what
 * stands in the file, so a default that is out of its own range can not exist unnoticed.
 */
#include "util/conf/value.h"

#include <ctype.h>

#include "util/conf/conf.h"
#include "util/conf/value_dns.h"

/* A kind of value: everything that differs between "a size" and "a list of domains". */
struct value_kind {
    const char *name;
    const char *expected; /* NULL: made from the range or the words */
    bool list;
    bool (*read)(const struct setting *row, struct span text, void *field,
                 const struct value_place *place);
    void (*print)(const struct setting *row, const void *field, FILE *out);
};

/* ---- numbers ---- */

/* What one unit is worth that is named behind a number; 0: there is no such unit. Sizes count in
 * powers of 1024, because that is what disks, buffers and RFC 1870 users mean by them. */
static uint64_t suffix_factor(enum setting_kind kind, char suffix)
{
    static const struct {
        enum setting_kind kind;
        char suffix;
        uint64_t factor;
    } factors[] = {
        {SETTING_SIZE, 'k', 1024},  {SETTING_SIZE, 'm', 1024 * 1024}, {SETTING_SIZE, 'g', 1 << 30},
        {SETTING_TIME, 's', 1},     {SETTING_TIME, 'm', 60},          {SETTING_TIME, 'h', 3600},
        {SETTING_TIME, 'd', 86400}, {SETTING_TIME, 'w', 604800},
    };
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        if (factors[i].kind == kind && factors[i].suffix == tolower((unsigned char)suffix))
            return factors[i].factor;
    }
    return 0;
}

/* Digits and at most one suffix. The range is checked before the multiplication, so nothing can
 * wrap: 2^63, or a number of 20 digits with a G behind it, is simply too large. A sign is no digit.
 */
static bool read_number(const struct setting *row, struct span text, void *field,
                        const struct value_place *place)
{
    uint64_t number = 0, factor = 1;
    (void)place;
    if (text.len > 1 && !isdigit((unsigned char)text.data[text.len - 1])) {
        /* A lone letter has no digits: it is left for span_to_u64 to refuse. */
        factor = suffix_factor(row->kind, text.data[text.len - 1]);
        text.len--;
    }
    if (factor == 0 || !span_to_u64(text, row->most / factor, &number) ||
        number * factor < row->least)
        return false;
    *(uint64_t *)field = number * factor;
    return true;
}

/* Without a unit: octets and seconds read back as what they are. */
static void print_number(const struct setting *row, const void *field, FILE *out)
{
    (void)row;
    fprintf(out, "%llu", (unsigned long long)*(const uint64_t *)field);
}

/* ---- words ---- */

/* The number of `text` among `words`, or -1. */
static int word_index(const char *const *words, struct span text)
{
    for (int i = 0; words[i]; i++) {
        if (span_equal_nocase(text, span_cstr(words[i])))
            return i;
    }
    return -1;
}

/* Every odd word is true. */
static bool read_bool(const struct setting *row, struct span text, void *field,
                      const struct value_place *place)
{
    /* What other servers' files say is understood here as well. */
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", NULL};
    int index = word_index(words, text);
    (void)row;
    (void)place;
    if (index < 0)
        return false;
    *(bool *)field = index % 2 == 1;
    return true;
}

/* One spelling of the six that are read. */
static void print_bool(const struct setting *row, const void *field, FILE *out)
{
    (void)row;
    fputs(*(const bool *)field ? "true" : "false", out);
}

/* A transport is kept as a word, the enums as numbers: the two differ by their section. */
static bool keeps_text(const struct setting *row)
{
    return row->section == SECTION_ROUTE;
}

/* Without regard to case; kept as the table spells it. */
static bool read_word(const struct setting *row, struct span text, void *field,
                      const struct value_place *place)
{
    int index = word_index(row->words, text);
    (void)place;
    if (index < 0)
        return false;
    if (keeps_text(row))
        *(struct span *)field = span_cstr(row->words[index]);
    else
        memcpy(field, &index, sizeof index); /* every enum of ours is as wide as int */
    return true;
}

/* The word itself, which is what is read back. */
static void print_word(const struct setting *row, const void *field, FILE *out)
{
    int index = 0;
    if (keeps_text(row)) {
        fprintf(out, "%.*s", SPAN_ARG(*(const struct span *)field));
        return;
    }
    memcpy(&index, field, sizeof index);
    fputs(row->words[index], out);
}

/* ---- texts ---- */

/* Control octets in a setting are a mistake at best, a forged log line at worst. */
static bool printable(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    }
    return true;
}

/* A default that is empty says that nothing there means something. */
static bool may_be_empty(const struct setting *row)
{
    return row->fallback && !*row->fallback;
}

/* Empty texts are for settings whose default is empty; for all others they are a slip. */
static bool read_text(const struct setting *row, struct span text, void *field,
                      const struct value_place *place)
{
    /* Such as nexthop: nothing there means the domain itself. */
    if (!printable(text) || (text.len == 0 && !may_be_empty(row)))
        return false;
    *(struct span *)field = arena_copy(place->arena, text);
    return true;
}

/* Quotes a text so that the parser gives it back. */
static void print_quoted(struct span text, FILE *out)
{
    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        /* The dollar too: libConfuse puts variables of the environment in its place. */
        if (strchr("\"\\$", text.data[i]))
            fputc('\\', out);
        fputc(text.data[i], out);
    }
    fputc('"', out);
}

/* Always in quotes, needed or not: what needs none today may tomorrow. */
static void print_text(const struct setting *row, const void *field, FILE *out)
{
    (void)row;
    print_quoted(*(const struct span *)field, out);
}

/* Everybody below gets absolute paths: processes change their directory, and master passes the text
 * on to children that never stood where it was written. */
static bool read_path(const struct setting *row, struct span text, void *field,
                      const struct value_place *place)
{
    (void)row;
    if (!printable(text) || text.len == 0)
        return false;
    struct span path;
    /* The directory itself, without a slash and a dot behind it. */
    if (span_equal(text, SPAN(".")))
        path = arena_copy(place->arena, place->directory);
    else if (text.data[0] != '/')
        path = arena_printf(place->arena, "%.*s/%.*s", SPAN_ARG(place->directory), SPAN_ARG(text));
    else
        path = arena_copy(place->arena, text);
    *(struct span *)field = path;
    return true;
}

/* One setting fills two fields; which is why it looks at the whole struct. */
static bool read_log(const struct setting *row, struct span text, void *field,
                     const struct value_place *place)
{
    static const char *const words[] = {"stderr", "syslog", NULL};
    /* The offset is that of the field within the struct, so this is its start. */
    struct conf *conf = (struct conf *)(void *)((char *)field - row->offset);
    int index = word_index(words, text);
    conf->log_target = index < 0 ? LOG_TARGET_FILE : (enum conf_log_target)index;
    return index >= 0 || read_path(row, text, &conf->log_file, place);
}

/* The inverse of read_log, from both fields. */
static void print_log(const struct setting *row, const void *field, FILE *out)
{
    const struct conf *conf = (const void *)((const char *)field - row->offset);
    if (conf->log_target == LOG_TARGET_FILE)
        print_quoted(conf->log_file, out);
    else
        fputs(conf->log_target == LOG_TARGET_SYSLOG ? "syslog" : "stderr", out);
}

/* ---- domains, networks, endpoints ---- */

/* RFC 1035 §2.3.1, with digits allowed at the front (RFC 1123 §2.1): 1 to 63 letters, digits and
 * hyphens, no hyphen at the ends. */
static bool label_is_valid(struct span label)
{
    if (label.len == 0 || label.len > 63 || label.data[0] == '-' ||
        label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        if (!isalnum((unsigned char)label.data[i]) && label.data[i] != '-')
            return false;
    }
    return true;
}

/* RFC 5321 §2.3.5: letters, digits and hyphens; kept in lower case. */
static bool read_domain(const struct setting *row, struct span text, void *field,
                        const struct value_place *place)
{
    struct span rest = text, label;
    /* RFC 1035 §2.3.4: 255 octets. A dot at the end is refused, so that names
     * compare. */
    if (text.len == 0 && may_be_empty(row)) {
        *(struct span *)field = SPAN("");
        return true;
    }
    if (text.len == 0 || text.len > 255 || text.data[text.len - 1] == '.')
        return false;
    while (span_next(&rest, '.', &label)) {
        if (!label_is_valid(label))
            return false;
    }
    char *copy = arena_alloc(place->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)tolower((unsigned char)text.data[i]);
    copy[text.len] = '\0';
    *(struct span *)field = span_of(copy, text.len);
    return true;
}

/* It doubles at each power of two, so the count alone tells how much room there is. */
void *value_grown(struct arena *arena, void *items, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return items;
    void *larger = arena_alloc(arena, (count ? 2 * count : 1) * size);
    if (count > 0)
        memcpy(larger, items, count * size);
    return larger;
}

/* An entry such as "*" or an empty name is refused here: no list can be made to match everything.
 */
static bool read_domains(const struct setting *row, struct span text, void *field,
                         const struct value_place *place)
{
    struct conf_spans *list = field;
    struct span domain;
    if (!read_domain(row, text, &domain, place))
        return false;
    list->items = value_grown(place->arena, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = domain;
    return true;
}

/* In the braces of a list, which is how it is read. */
static void print_domains(const struct setting *row, const void *field, FILE *out)
{
    const struct conf_spans *list = field;
    (void)row;
    fputc('{', out);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_quoted(list->items[i], out);
    }
    fputc('}', out);
}

/* Bits behind the mask are refused (net_parse_prefix): "10.0.0.1/8" is one of two things, and only
 * its author knows which. */
static bool read_networks(const struct setting *row, struct span text, void *field,
                          const struct value_place *place)
{
    struct conf_prefixes *list = field;
    struct net_prefix prefix;
    (void)row;
    if (!net_parse_prefix(text, &prefix))
        return false;
    list->items = value_grown(place->arena, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = prefix;
    return true;
}

/* With the number of bits always: a lone address is a network of its full length. */
static void print_networks(const struct setting *row, const void *field, FILE *out)
{
    const struct conf_prefixes *list = field;
    (void)row;
    fputc('{', out);
    for (size_t i = 0; i < list->count; i++) {
        char text[NET_TEXT_MAX];
        struct span address = net_text(&list->items[i].address, text);
        fprintf(out, "%s\"%.*s/%u\"", i > 0 ? ", " : "", SPAN_ARG(address), list->items[i].bits);
    }
    fputc('}', out);
}

/* One setting fills two fields. A slash is in every path and in no endpoint. */
static bool read_endpoint(const struct setting *row, struct span text, void *field,
                          const struct value_place *place)
{
    struct conf_listen *listen = (void *)((char *)field - row->offset);
    if (span_find(text, '/') < text.len)
        return read_path(row, text, &listen->path, place) &&
               listen->path.len <= CONF_SOCKET_PATH_MOST && !span_has_suffix(text, SPAN("/"));
    /* Port 0 would be another port at each start. */
    return net_parse_endpoint(text, &listen->address) && net_port(&listen->address) != 0;
}

/* An IPv6 address in brackets (RFC 3986 §3.2.2), so that its port can be told from it. */
static void print_endpoint(const struct setting *row, const void *field, FILE *out)
{
    const struct conf_listen *listen = (const void *)((const char *)field - row->offset);
    char text[NET_TEXT_MAX];
    struct span host = net_text(&listen->address, text);
    bool v6 = listen->address.any.sa_family == AF_INET6;
    if (listen->path.len > 0)
        print_quoted(listen->path, out);
    else
        fprintf(out, v6 ? "\"[%.*s]:%u\"" : "\"%.*s:%u\"", SPAN_ARG(host),
                net_port(&listen->address));
}

/* ---- the table ---- */

/* One row a kind; a new kind is a row here and two functions. */
static const struct value_kind kinds[] = {
    [SETTING_NUMBER] = {"number", NULL, false, read_number, print_number},
    [SETTING_SIZE] = {"size", NULL, false, read_number, print_number},
    [SETTING_TIME] = {"time", NULL, false, read_number, print_number},
    [SETTING_BOOL] = {"truth value", "true or false", false, read_bool, print_bool},
    [SETTING_WORD] = {"word", NULL, false, read_word, print_word},
    [SETTING_LOG] = {"stderr, syslog or path", "stderr, syslog or the path of a file", false,
                     read_log, print_log},
    [SETTING_TEXT] = {"text", "a text without control characters", false, read_text, print_text},
    [SETTING_PATH] = {"path", "a path", false, read_path, print_text},
    [SETTING_DOMAIN] = {"domain", "a domain such as \"mx.example.org\"", false, read_domain,
                        print_text},
    [SETTING_DOMAINS] = {"list of domains", "domains such as {\"example.org\"}", true, read_domains,
                         print_domains},
    [SETTING_NETWORKS] = {"list of networks",
                          "addresses or networks such as \"192.0.2.0/24\" or \"2001:db8::/32\"",
                          true, read_networks, print_networks},
    [SETTING_ENDPOINT] = {"address and port, or path",
                          "an address with a port such as \"192.0.2.1:25\" or \"[::]:25\", or the "
                          "path of a socket such as \"/run/veredus/smtp.sock\"",
                          false, read_endpoint, print_endpoint},
    [SETTING_SERVERS] = {"list of servers",
                         "addresses, with a port or without, such as \"127.0.0.1\"", true,
                         value_read_servers, value_print_servers},
    [SETTING_WEIGHT] = {"weight", NULL, false, value_read_weight, value_print_weight},
    [SETTING_ANSWERS] = {"list of answers",
                         "addresses within 127.0.0.0/8 or ranges such as \"127.0.0.2-11\"", true,
                         value_read_answers, value_print_answers},
};

/* The one way in, for the file and for the defaults. */
bool value_read(const struct setting *row, struct span text, void *base,
                const struct value_place *place)
{
    return kinds[row->kind].read(row, text, (char *)base + row->offset, place);
}

/* What value_read would take back. */
void value_print(const struct setting *row, const void *base, FILE *out)
{
    kinds[row->kind].print(row, (const char *)base + row->offset, out);
}

const char *value_kind_name(enum setting_kind kind)
{
    return kinds[kind].name;
}

bool value_is_list(const struct setting *row)
{
    return kinds[row->kind].list;
}

/* "one of a, b, c"; the words are ours and few, so they fit. */
static const char *expected_words(const struct setting *row, char out[VALUE_EXPECTED_MAX])
{
    size_t used = 0;
    for (const char *const *word = row->words; *word && used < VALUE_EXPECTED_MAX; word++) {
        /* The first word is led by what the list is. */
        const char *between = word == row->words ? "one of " : ", ";
        int written = snprintf(out + used, VALUE_EXPECTED_MAX - used, "%s%s", between, *word);
        used += (size_t)written;
    }
    return out;
}

/* For people: what the complaint suggests and the reference says. */
const char *value_expected(const struct setting *row, char out[VALUE_EXPECTED_MAX])
{
    static const struct {
        const char *before, *after;
    } hints[] = {
        [SETTING_NUMBER] = {"a number", ""},
        [SETTING_SIZE] = {"octets", " (K, M or G may follow)"},
        [SETTING_TIME] = {"seconds", " (or m, h, d, w may follow)"},
    };
    if (kinds[row->kind].expected)
        return kinds[row->kind].expected;
    if (row->kind == SETTING_WORD)
        return expected_words(row, out);
    if (row->kind == SETTING_WEIGHT) {
        snprintf(out, VALUE_EXPECTED_MAX, "a number from -%llu to %llu",
                 (unsigned long long)row->most, (unsigned long long)row->most);
        return out;
    }
    snprintf(out, VALUE_EXPECTED_MAX, "%s from %llu to %llu%s", hints[row->kind].before,
             (unsigned long long)row->least, (unsigned long long)row->most, hints[row->kind].after);
    return out;
}
