/*
 * settings - the one table of everything that can be set; for util/conf alone.
 *
 * A row drives all there is to a setting: how the file is parsed, what is refused, what
 * `veredus config --all` prints and what the reference says.
 */
#ifndef VEREDUS_CONF_SETTINGS_H
#define VEREDUS_CONF_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

enum setting_kind {
    SETTING_NUMBER,
    SETTING_SIZE, /* octets; K, M, G may follow */
    SETTING_TIME, /* seconds; s, m, h, d, w may follow */
    SETTING_BOOL,
    SETTING_WORD, /* one of `words`; their order is that of the enum */
    SETTING_LOG,  /* "stderr", "syslog" or a path: fills log_target and log_file */
    SETTING_TEXT,
    SETTING_PATH, /* made absolute */
    SETTING_DOMAIN,
    SETTING_DOMAINS,  /* a list */
    SETTING_NETWORKS, /* a list */
    SETTING_ENDPOINT, /* address and port, or a path: fills address or path of a listener */
    SETTING_SERVERS,  /* a list of addresses, port 53 unless one is given */
    SETTING_WEIGHT,   /* -most to most, an int64_t */
    SETTING_ANSWERS   /* a list of ranges within 127.0.0.0/8 */
};

/* Which struct `offset` counts in, and which braces the setting stands in. */
enum setting_section {
    SECTION_TOP,     /* struct conf */
    SECTION_LIMITS,  /* struct conf */
    SECTION_DNS,     /* struct conf */
    SECTION_TLS,     /* struct conf_tls */
    SECTION_LISTEN,  /* struct conf_listen */
    SECTION_ROUTE,   /* struct conf_route */
    SECTION_DNS_LIST /* struct conf_dns_list */
};

struct setting {
    const char *name;
    const char *fallback; /* the default as it would be written; NULL: none */
    const char *help;
    const char *const *words; /* ends with NULL */
    uint64_t least, most;
    size_t offset;
    enum setting_section section;
    enum setting_kind kind;
};

/* The table; ends with a row without a name. No name occurs twice, whatever its section. */
extern const struct setting settings[];

/* The row called `name`, or NULL. */
const struct setting *setting_find(const char *name);

/* "limits", "dns", "tls", "listen", "route", "dns_list"; "" for the top. */
const char *setting_section_name(enum setting_section section);

#endif
