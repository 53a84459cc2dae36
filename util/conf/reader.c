/*
 * libConfuse knows the grammar and the lines, the table of settings knows everything else; this
 * file puts them together. Every value is a string to libConfuse. It is read twice: once where it
 * stands, into a scratch configuration, so that a complaint has the right line; and once at the
 * end, when it is known which values are in force ("=" replaces a default, "+=" adds to it).
 *
 * libConfuse's callbacks carry no argument. The reader therefore stands behind the first option of
 * every section, one that nobody can set.
 */
#include "util/conf/reader.h"

#include <confuse.h>
#include <ctype.h>
#include <stdarg.h>
#include <sysexits.h>

#include "util/base/panic.h"
#include "util/conf/listens.h"
#include "util/conf/settings.h"
#include "util/conf/value.h"
#include "util/sys/dns.h"

/* Put behind the text: libConfuse takes a file that ends amid a section or quotes for a whole one.
 */
#define READER_OPTION "(reader)"
#define END_LINE      "\n\"" READER_OPTION "\" = end\n"

enum { COMPLAINT_MAX = 640, SETTINGS_MAX = 128, SECTION_COUNT = SECTION_DNS_LIST + 1 };

/* One parse: from the text to the configuration. */
struct reader {
    const struct conf_complaints *to;
    struct conf *conf;
    struct span directory;
    struct arena scratch;
    const cfg_t *top;
    int end_line; /* where END_LINE stands */
    bool ended;   /* it was reached */
    bool complained;
    struct {
        const cfg_t *section;
        int line;
    } seen[SETTINGS_MAX]; /* by row: where a setting was set last */
};

void complain_about(const struct conf_complaints *to, unsigned line, const char *format, ...)
{
    char text[COMPLAINT_MAX];
    va_list values;
    int used = snprintf(text, sizeof text, "%s:%u: ", to->name, line);
    /* A name too long for a complaint is left out of it: what
     * is wrong matters more. */
    if (used < 0 || (size_t)used >= sizeof text)
        used = 0;
    va_start(values, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, values);
    va_end(values);
    for (char *at = text; *at; at++) {
        if (iscntrl((unsigned char)*at))
            *at = '?';
    }
    /* One line, whatever the file held. */
    to->complain(to->arg, text);
}

/* The way back from libConfuse: the first option of every section leads here. */
static struct reader *reader_of(const cfg_t *section)
{
    return section->opts[0].simple_value.ptr ? (void *)section->opts[0].simple_value.ptr : NULL;
}

/* ---- what libConfuse calls ---- */

/* What libConfuse itself finds wrong: the grammar, unknown names, titles that occur twice. */
__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *section, const char *format,
                                                           va_list values)
{
    struct reader *reader = reader_of(section);
    char text[256];
    /* The usual cause of what libConfuse finds is a missing quote or brace. */
    const char *hint = "write NAME = VALUE, NAME = {\"A\", \"B\"} or SECTION \"TITLE\" { ... }";
    vsnprintf(text, sizeof text, format, values);
    if (span_has_prefix(span_cstr(text), SPAN("no such option")))
        hint = "`veredus config --reference` lists what can be set";
    else if (span_has_prefix(span_cstr(text), SPAN("found duplicate title")))
        hint = "give each its own";
    complain_about(reader->to, (unsigned)section->line, "%s; %s", text, hint);
    reader->complained = true;
}

/* The option that holds the reader is nobody's to set but for the line behind the text. */
static int at_hidden(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
    struct reader *reader = reader_of(section);
    (void)value;
    (void)result;
    /* Only the line behind the text may set it, and only at the top. */
    if (section->line < reader->end_line)
        cfg_error(section, "no such option '%s'", option->name);
    else if (section != reader->top)
        cfg_error(section, "premature end of file: '%s' is still open", section->name);
    else
        reader->ended = true;
    return -1;
}

/* A setting that is set twice is a slip; the later one must not win silently. */
static bool set_before(struct reader *reader, const cfg_t *section, const struct setting *row)
{
    size_t index = (size_t)(row - settings);
    int line = reader->seen[index].line;
    bool before = !value_is_list(row) && line > 0 && reader->seen[index].section == section;
    if (before) {
        complain_about(reader->to, (unsigned)section->line,
                       "%s is set in line %d already; set it once", row->name, line);
    }
    /* Noted whether or not it was a repetition: the next complaint names the nearest line. */
    reader->seen[index].section = section;
    reader->seen[index].line = section->line;
    return before;
}

/* Room for whichever struct a setting belongs to. */
union any_struct {
    struct conf conf;
    struct conf_listen listen;
    struct conf_tls tls;
    struct conf_route route;
    struct conf_dns_list dns_list;
};

/* Checks one value where it stands. */
static int check_value(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
    struct reader *reader = reader_of(section);
    const struct setting *row = setting_find(option->name);
    struct value_place place = {&reader->scratch, reader->directory};
    union any_struct scratch = {0};
    char expected[VALUE_EXPECTED_MAX];
    if (set_before(reader, section, row)) {
        reader->complained = true;
        return -1;
    }
    if (!value_read(row, span_cstr(value), &scratch, &place)) {
        complain_about(reader->to, (unsigned)section->line, "'%.200s' is not right for %s; %s",
                       value, row->name, value_expected(row, expected));
        reader->complained = true;
        return -1;
    }
    /* libConfuse copies the string; the scratch configuration is thrown away. */
    *(const char **)result = value;
    return 0;
}

/* At its closing brace: a section must have what it can not do without. */
static int check_section(cfg_t *parent, cfg_opt_t *option)
{
    const cfg_t *section = option->values[option->nvalues - 1]->section;
    for (cfg_opt_t *inner = section->opts + 1; inner->name; inner++) {
        /* A setting with a default always has a value: only what is required can lack one. */
        if (inner->nvalues > 0 && inner->values[0]->string)
            continue;
        char expected[VALUE_EXPECTED_MAX];
        const struct setting *row = setting_find(inner->name);
        complain_about(reader_of(parent)->to, (unsigned)parent->line,
                       "%s \"%.200s\" has no %s; add %s = %s", option->name,
                       section->title ? section->title : "", row->name, row->name,
                       value_expected(row, expected));
        reader_of(parent)->complained = true;
        return -1;
    }
    return 0;
}

/* ---- the options ---- */

/* One setting as libConfuse knows it. A list has its default as text, which libConfuse parses
 * itself; a setting without a default stays without values until the file gives it one. */
static cfg_opt_t value_option(const struct setting *row)
{
    if (value_is_list(row))
        return (cfg_opt_t)CFG_STR_LIST_CB(row->name, (char *)(uintptr_t)row->fallback, CFGF_NONE,
                                          check_value);
    cfg_flag_t flags = row->fallback ? CFGF_NONE : CFGF_NODEFAULT;
    return (cfg_opt_t)CFG_STR_CB(row->name, row->fallback, flags, check_value);
}

/* `limits` and `dns` may stand there several times and adds up; titled sections are each their own,
 * and no title may come back, so that a complaint about "mx" means one of them. */
static cfg_opt_t section_option(enum setting_section section, cfg_opt_t *options)
{
    const char *name = setting_section_name(section);
    cfg_flag_t titled = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
    if (section == SECTION_LIMITS || section == SECTION_DNS)
        return (cfg_opt_t)CFG_SEC(name, options, CFGF_NONE);
    if (section == SECTION_TLS)
        titled = CFGF_MULTI; /* its name is a setting */
    cfg_opt_t option = CFG_SEC(name, options, titled);
    option.validcb = check_section;
    return option;
}

/* The options of one section; at the top also the other sections. */
static cfg_opt_t *make_options(struct reader *reader, enum setting_section section)
{
    static const cfg_opt_t end = CFG_END();
    cfg_opt_t *options =
        arena_zalloc(&reader->scratch, (SETTINGS_MAX + SECTION_COUNT + 2) * sizeof *options);
    size_t count = 0;
    options[count++] = (cfg_opt_t){.name = READER_OPTION,
                                   .type = CFGT_PTR,
                                   .parsecb = at_hidden,
                                   .simple_value = {.ptr = (void *)reader}};
    for (const struct setting *row = settings; row->name; row++) {
        if (row->section == section)
            options[count++] = value_option(row);
    }
    for (int inner = SECTION_LIMITS; section == SECTION_TOP && inner < SECTION_COUNT; inner++) {
        enum setting_section which = (enum setting_section)inner;
        options[count++] = section_option(which, make_options(reader, which));
    }
    options[count] = end;
    return options;
}

/* ---- from libConfuse into the configuration ---- */

/* Fills the fields of one section; every value was checked before. */
static void store_section(struct reader *reader, const cfg_t *section, void *base)
{
    struct value_place place = {&reader->conf->arena, reader->directory};
    for (const cfg_opt_t *option = section->opts + 1; option->name; option++) {
        /* A section within this one may be called like a setting of another. */
        const struct setting *row = option->type == CFGT_SEC ? NULL : setting_find(option->name);
        for (unsigned i = 0; row && i < option->nvalues; i++) {
            if (option->values[i]->string &&
                !value_read(row, span_cstr(option->values[i]->string), base, &place))
                /* Whatever the file said was checked; so this is a row of the table. */
                panic("the default of %s is not one of its values", row->name);
        }
    }
}

/* The certificates in the order of the file. They are read when they are wanted. */
static void store_tls(struct reader *reader, cfg_t *top)
{
    struct conf_tls_list *list = &reader->conf->tls;
    list->count = cfg_size(top, "tls");
    list->items = arena_zalloc(&reader->conf->arena, (list->count + 1) * sizeof *list->items);
    for (unsigned i = 0; i < list->count; i++) {
        const cfg_t *section = cfg_getnsec(top, "tls", i);
        list->items[i].line = (unsigned)section->line;
        store_section(reader, section, &list->items[i]);
    }
}

/* Without a certificate there is no TLS; who asked for it in so many words must hear that, since
 * he relies on it. */
static bool settle_tls(struct reader *reader, cfg_t *section, struct conf_listen *listen)
{
    if (reader->conf->tls.count > 0 || listen->tls == LISTEN_PLAIN)
        return true;
    listen->tls = LISTEN_PLAIN;
    if (cfg_getopt(section, "tls")->flags & CFGF_RESET)
        return true; /* the default */
    complain_about(reader->to, listen->line,
                   "listen \"%.100s\" wants TLS, but there is no certificate; add tls { "
                   "certificate = ... key = ... }",
                   listen->name.data);
    return false;
}

/* The listeners in the order of the file. */
static bool store_listens(struct reader *reader, cfg_t *top)
{
    struct conf_listens *listens = &reader->conf->listens;
    unsigned count = cfg_size(top, "listen");
    listens->items = arena_zalloc(&reader->conf->arena, (count + 1) * sizeof *listens->items);
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(top, "listen", i);
        struct conf_listen *listen = &listens->items[i];
        listen->name = arena_copy(&reader->conf->arena, span_cstr(section->title));
        listen->line = (unsigned)section->line;
        store_section(reader, section, listen);
        if (!settle_tls(reader, section, listen))
            return false;
    }
    listens->count = count;
    return listens_check(reader->conf, reader->to);
}

/* The routes in the order of the file; which of them wins is for util/mail/route to say. */
static void store_routes(struct reader *reader, cfg_t *top)
{
    struct conf_routes *routes = &reader->conf->routes;
    routes->count = cfg_size(top, "route");
    routes->items = arena_zalloc(&reader->conf->arena, (routes->count + 1) * sizeof *routes->items);
    for (unsigned i = 0; i < routes->count; i++) {
        const cfg_t *section = cfg_getnsec(top, "route", i);
        routes->items[i].pattern = arena_copy(&reader->conf->arena, span_cstr(section->title));
        routes->items[i].line = (unsigned)section->line;
        store_section(reader, section, &routes->items[i]);
    }
}

/* A value is checked without its neighbours, so their number is a rule of its own. */
static bool store_dns(struct reader *reader, cfg_t *top)
{
    const cfg_t *section = cfg_getsec(top, "dns");
    store_section(reader, section, reader->conf);
    if (reader->conf->dns.servers.count <= DNS_SERVERS_MAX)
        return true;
    complain_about(reader->to, (unsigned)section->line, "%zu servers; name up to %d",
                   reader->conf->dns.servers.count, (int)DNS_SERVERS_MAX);
    return false;
}

/* The title of each is the name that is asked, with the client's address before it: 64 octets of
 * nibbles at most (RFC 5782 §2.4). */
static bool store_dns_lists(struct reader *reader, cfg_t *top)
{
    struct conf_dns_lists *lists = &reader->conf->dns_lists;
    struct arena *arena = &reader->conf->arena;
    struct value_place place = {arena, reader->directory};
    lists->count = cfg_size(top, "dns_list");
    lists->items = arena_zalloc(arena, (lists->count + 1) * sizeof *lists->items);
    for (unsigned i = 0; i < lists->count; i++) {
        const cfg_t *section = cfg_getnsec(top, "dns_list", i);
        struct span title = span_cstr(section->title);
        struct conf_dns_list *list = &lists->items[i];
        struct conf named = {0};
        if (title.len > DNS_NAME_MAX - 64 ||
            !value_read(setting_find("hostname"), title, &named, &place)) {
            complain_about(reader->to, (unsigned)section->line,
                           "dns_list \"%.100s\" is not a name that can be asked; name the zone of "
                           "the list, such as \"zen.example.org\"",
                           section->title);
            return false;
        }
        list->zone = named.hostname;
        list->line = (unsigned)section->line;
        store_section(reader, section, list);
    }
    return true;
}

/* The line that sets the name; 0 where the default is in force. */
static unsigned line_of(const struct reader *reader, const char *name)
{
    return (unsigned)reader->seen[setting_find(name) - settings].line;
}

/* A letter that comes too late as soon as it may come would be put off for ever. */
static bool greylist_lets_pass(const struct reader *reader)
{
    const struct conf_limits *limits = &reader->conf->limits;
    unsigned line = line_of(reader, "greylist_window");
    if (limits->greylist_delay < limits->greylist_window)
        return true;
    complain_about(reader->to, line > 0 ? line : line_of(reader, "greylist_delay"),
                   "greylist_window is over before greylist_delay: no stranger's letter would ever "
                   "be taken; make it longer");
    return false;
}

/* Everything was checked value by value; what is left are the rules between them. */
static bool store_all(struct reader *reader, cfg_t *top)
{
    struct conf *conf = reader->conf;
    store_section(reader, top, conf);
    store_section(reader, cfg_getsec(top, "limits"), conf);
    store_routes(reader, top);
    store_tls(reader, top);
    if (!greylist_lets_pass(reader) || !store_dns(reader, top) || !store_listens(reader, top) ||
        !store_dns_lists(reader, top))
        return false;
    if (conf->listens.count == 0)
        listens_default(conf);
    if (conf->hostname.len > 0)
        return true;
    complain_about(reader->to, 1, "hostname is missing; add hostname = \"mx.example.org\"");
    return false;
}

/* Has libConfuse parse all of `text`; true when nothing was wrong. */
static bool parse_text(struct reader *reader, cfg_t *top, struct span text)
{
    /* The scratch copy is libConfuse's to read; the caller's text is not touched. */
    struct span plain =
        without_tls_titles(&reader->scratch, without_comments(&reader->scratch, text));
    struct span whole = arena_printf(&reader->scratch, "%.*s" END_LINE, SPAN_ARG(plain));
    FILE *in = fmemopen((char *)(uintptr_t)whole.data, whole.len, "r");
    if (!in)
        fatal(EX_OSERR, "no memory to read %s", reader->to->name);
    reader->end_line = 2;
    for (size_t i = 0; i < text.len; i++)
        reader->end_line += text.data[i] == '\n';
    (void)cfg_parse_fp(top, in); /* ends at END_LINE, as if that were a mistake */
    fclose(in);
    if (!reader->ended && !reader->complained)
        complain_about(reader->to, (unsigned)reader->end_line - 2,
                       "premature end of file; close the quotes or the comment");
    return reader->ended;
}

/* For whoever refuses something by a setting, and says which. */
static void keep_lines(struct reader *reader)
{
    unsigned *lines = arena_zalloc(&reader->conf->arena, SETTINGS_MAX * sizeof *lines);
    for (size_t i = 0; i < SETTINGS_MAX; i++)
        lines[i] = (unsigned)reader->seen[i].line;
    reader->conf->setting_lines = lines;
}

/* libConfuse keeps pointers into the options: they live in the scratch arena until it is freed. */
bool reader_read(struct conf *conf, struct span text, struct span directory,
                 const struct conf_complaints *to)
{
    struct reader reader = {.to = to, .conf = conf, .directory = directory};
    cfg_t *top = cfg_init(make_options(&reader, SECTION_TOP), CFGF_NONE);
    if (!top)
        fatal(EX_OSERR, "no memory to read %s", to->name);
    reader.top = top;
    cfg_set_error_function(top, on_error);
    /* Nothing is stored before all of it was checked. */
    bool good = parse_text(&reader, top, text) && store_all(&reader, top);
    keep_lines(&reader);
    /* Strings that libConfuse owns end here: all that was kept was copied. */
    cfg_free(top);
    arena_free(&reader.scratch);
    return good;
}
