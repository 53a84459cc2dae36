/*
 * What is printed comes from the table of settings, so it names every setting there is: the values
 * in force in the form of the file (what is printed can be read back), and the reference manual.
 */
#include "util/conf/conf.h"
#include "util/conf/settings.h"
#include "util/conf/value.h"

/* All settings of one section, one a line, as they would be written. */
static void print_section(enum setting_section section, const void *base, const char *indent,
                          FILE *out)
{
    for (const struct setting *row = settings; row->name; row++) {
        if (row->section != section)
            continue;
        /* A list prints as a whole, so one line is enough for every kind. */
        fprintf(out, "%s%s = ", indent, row->name);
        value_print(row, base, out);
        fputc('\n', out);
    }
}

/* The defaults too: what is printed is what the server does, whatever the file left out. */
void conf_print_all(const struct conf *conf, FILE *out)
{
    print_section(SECTION_TOP, conf, "", out);
    fputs("\nlimits {\n", out);
    print_section(SECTION_LIMITS, conf, "    ", out);
    fputs("}\n\ndns {\n", out);
    print_section(SECTION_DNS, conf, "    ", out);
    fputs("}\n", out);
    for (size_t i = 0; i < conf->tls.count; i++) {
        fputs("\ntls {\n", out);
        print_section(SECTION_TLS, &conf->tls.items[i], "    ", out);
        fputs("}\n", out);
    }
    for (size_t i = 0; i < conf->dns_lists.count; i++) {
        fprintf(out, "\ndns_list \"%.*s\" {\n", SPAN_ARG(conf->dns_lists.items[i].zone));
        print_section(SECTION_DNS_LIST, &conf->dns_lists.items[i], "    ", out);
        fputs("}\n", out);
    }
    for (size_t i = 0; i < conf->listens.count; i++) {
        fprintf(out, "\nlisten \"%.*s\" {\n", SPAN_ARG(conf->listens.items[i].name));
        print_section(SECTION_LISTEN, &conf->listens.items[i], "    ", out);
        fputs("}\n", out);
    }
    for (size_t i = 0; i < conf->routes.count; i++) {
        fprintf(out, "\nroute \"%.*s\" {\n", SPAN_ARG(conf->routes.items[i].pattern));
        print_section(SECTION_ROUTE, &conf->routes.items[i], "    ", out);
        fputs("}\n", out);
    }
}

/* One setting: name, help, type, range, default. */
static void print_reference_row(const struct setting *row, FILE *out)
{
    char expected[VALUE_EXPECTED_MAX];
    fprintf(out, "\n%s\n    %s\n    Type: %s, %s\n", row->name, row->help,
            value_kind_name(row->kind), value_expected(row, expected));
    /* An empty default says nothing that the absence of the line does not. */
    if (row->fallback && *row->fallback)
        fprintf(out, "    Default: %s\n", row->fallback);
}

/* Ordered as the table is: what every site sets comes first. */
void conf_print_reference(FILE *out)
{
    /* The order of the manual; a section that is missing here would be missing there. */
    static const struct {
        enum setting_section section;
        const char *heading;
    } parts[] = {
        {SECTION_TOP, "SETTINGS"},
        {SECTION_LIMITS, "limits { ... }"},
        {SECTION_TLS,
         "tls { ... }\n    One for each certificate; tls \"NAME\" { ... } sets server_name."},
        {SECTION_DNS, "dns { ... }"},
        {SECTION_DNS_LIST, "dns_list \"ZONE\" { ... }\n    A list of clients that is asked through "
                           "the DNS (RFC 5782)."},
        {SECTION_LISTEN,
         "listen \"NAME\" { ... }\n    Without any: smtp at port 25 and pop3 at port 110 of every "
         "address; with a\n    certificate also submission at port 587 and, implicit, at port "
         "465."},
        {SECTION_ROUTE,
         "route \"PATTERN\" { ... }\n    PATTERN is an address, a domain, \".domain\" "
         "for its subdomains, or \"*\"."},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fprintf(out, "%s%s\n", i > 0 ? "\n" : "", parts[i].heading);
        for (const struct setting *row = settings; row->name; row++) {
            if (row->section == parts[i].section)
                print_reference_row(row, out);
        }
    }
}
