/*
 * conf - the configuration: two lines for a normal site.
 *
 * Parsed with libConfuse from one table of settings (settings.c): name, type, default, least, most,
 * unit, help. Every error names the file, the line and what would be right. The configuration is
 * immutable once it is loaded; a reload loads a new one and keeps the old when the new is bad.
 */
#ifndef VEREDUS_CONF_CONF_H
#define VEREDUS_CONF_CONF_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "util/base/arena.h"
#include "util/base/log.h"
#include "util/sys/net.h"
#include "util/sys/tls.h"

/* Octets in the name of a UNIX socket, at most. */
enum { CONF_SOCKET_PATH_MOST = 107 };

/* Recipients of a message, at most: what an envelope in the spool has room for. */
enum { CONF_RECIPIENTS_MOST = 10000 };

/* What is spoken on a listener. */
enum conf_service { SERVICE_SMTP, SERVICE_SUBMISSION, SERVICE_POP3, SERVICE_LMTP, SERVICE_COUNT };

/* How a listener is encrypted: not, when the client asks (RFC 3207, RFC 2595), from the start (RFC
 * 8314). */
enum conf_listen_tls { LISTEN_PLAIN, LISTEN_STARTTLS, LISTEN_IMPLICIT };

/* Who may connect to a UNIX socket: its owner, its group too, everybody. */
enum conf_socket_mode { SOCKET_MODE_OWNER, SOCKET_MODE_GROUP, SOCKET_MODE_ALL };

/* From where a password is taken without encryption. */
enum conf_plaintext { PLAINTEXT_NEVER, PLAINTEXT_LOOPBACK, PLAINTEXT_ALWAYS };

/* LOG_TARGET_FILE: `log_file` says which. */
enum conf_log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG, LOG_TARGET_FILE };

/* Lists live in the arena of their configuration. */
struct conf_spans {
    struct span *items;
    size_t count;
};

struct conf_prefixes {
    struct net_prefix *items;
    size_t count;
};

struct conf_endpoints {
    union net_address *items;
    size_t count;
};

/* Answers of a list that count: IPv4 addresses in the order of the host, both included. */
struct conf_answer_range {
    uint32_t first, last;
};

struct conf_answer_ranges {
    struct conf_answer_range *items;
    size_t count;
};

/* One listener; `line` is where its braces open, for complaints. 0: a default. */
struct conf_listen {
    struct span name;
    enum conf_service service;
    union net_address address; /* its family is AF_UNSPEC where there is a path */
    struct span path;          /* of a UNIX socket, NUL-terminated; empty: there is an address */
    enum conf_socket_mode mode;
    struct span owner;        /* "user:group", either may be missing */
    enum conf_listen_tls tls; /* LISTEN_PLAIN whenever there is no certificate */
    bool proxy;               /* a proxy speaks first */
    unsigned line;
};

/* tls "NAME" { certificate = ... key = ... }: one certificate. */
struct conf_tls {
    struct span name;             /* empty: for clients that name none of the others */
    struct span certificate, key; /* absolute paths, NUL-terminated */
    unsigned line;
};

struct conf_tls_list {
    struct conf_tls *items;
    size_t count;
};

/* route "PATTERN" { transport = ... nexthop = ... }: PATTERN is a domain, ".domain" for all its
 * subdomains, an address, or "*". */
struct conf_route {
    struct span pattern;
    struct span transport; /* "local", "discard", "smtp", "error", "hold" */
    struct span nexthop;
    unsigned line;
};

/* dns_list "ZONE" { weight = ... answers = ... }: a list of clients, asked through the DNS (RFC
 * 5782). A negative weight speaks for the client. */
struct conf_dns_list {
    struct span zone; /* in lower case */
    int64_t weight;
    struct conf_answer_ranges answers;
    unsigned line;
};

struct conf_listens {
    struct conf_listen *items;
    size_t count;
};

struct conf_routes {
    struct conf_route *items;
    size_t count;
};

struct conf_dns_lists {
    struct conf_dns_list *items;
    size_t count;
};

/* dns { ... }: whom names are asked from. */
struct conf_dns {
    struct conf_endpoints servers; /* none: those of the system */
    uint64_t timeout, tries;
};

/* Sizes in octets, times in seconds unless said; defaults and ranges are in settings.c. */
struct conf_limits {
    uint64_t message_size;
    uint64_t recipients; /* a message */
    uint64_t messages_per_connection;
    uint64_t command_line; /* octets */
    uint64_t header_size;  /* octets of the header block */
    uint64_t received_hops;
    uint64_t errors_slow, errors_close; /* a session */
    uint64_t junk_commands;
    uint64_t connections_per_network, connections_per_worker, connections_per_account;
    uint64_t worker_age, watchdog;
    uint64_t idle, idle_under_stress, command_deadline;
    uint64_t minimum_data_rate; /* octets a second */
    uint64_t free_space_percent;
    uint64_t session_buffer; /* octets held before a message is streamed */
    uint64_t buffer_budget;  /* octets a worker holds for all its sessions */
    uint64_t retry_first, retry_most;
    uint64_t message_life, bounce_life;
    uint64_t alias_depth, alias_expansion;
    uint64_t pop3_idle, pop3_login, pop3_bad_commands;
    uint64_t auth_delay_first, auth_delay_most;
    uint64_t delivery_concurrency;            /* jobs a local process is given at once */
    uint64_t connections_rate, messages_rate; /* of a network, a minute */
    uint64_t recipients_rate, auth_failures;  /* of a network, an hour */
    uint64_t messages_per_account, recipients_per_account; /* an hour */
    uint64_t auth_failures_per_account;                    /* an hour */
    uint64_t greylist_delay, greylist_window, greylist_life;
    uint64_t greylist_passes;
};

/* Immutable once it is loaded, so it can be read from any thread. */
struct conf {
    struct arena arena;            /* owns everything below */
    struct span file;              /* its name, for messages */
    const unsigned *setting_lines; /* for conf_place */
    struct span hostname;
    struct conf_spans domains, relay_domains;
    struct conf_prefixes trusted_networks, trusted_proxies;
    uint64_t greet_pause; /* milliseconds */
    struct conf_listens listens;
    struct conf_tls_list tls;
    struct conf_routes routes;
    struct conf_dns dns;
    struct conf_dns_lists dns_lists;
    uint64_t dns_list_reject; /* the sum of weights from which on a client is refused */
    struct conf_limits limits;
    uint64_t workers; /* resolved: never 0 */
    enum conf_plaintext plaintext_auth;
    enum conf_log_target log_target;
    enum log_format log_format;
    enum log_level log_level;
    struct span log_file;
    bool helo_argument_required;
    bool vrfy, expn, etrn;
    bool auth_old_form;
    bool sender_domain_required;
    bool greylist;
    bool separate_users;
    uint64_t segment_size;
    /* Absolute paths, NUL-terminated behind the span. */
    struct span spool_directory, mail_root, table_directory, run_directory;
    struct span user_service, user_queue, user_mail, user_auth; /* system users when root */
};

/* Where a complaint goes: "FILE:LINE: what is wrong; what would be right". */
typedef void conf_complain(void *arg, const char *message);

/* The two in one. */
struct conf_voice {
    conf_complain *complain;
    void *arg;
};

/* Reads the open file `in` as the configuration called `name` (relative paths are relative to the
 * directory of `name`). NULL after at least one complaint. The caller frees it with conf_free. */
struct conf *conf_parse(FILE *in, const char *name, conf_complain *complain, void *arg)
    __attribute__((warn_unused_result));

/* Opens the file, refuses one that others may write (unless it is theirs to run), and parses it. */
struct conf *conf_load(const char *name, conf_complain *complain, void *arg)
    __attribute__((warn_unused_result));

/* Frees it and all that its spans point to; NULL is fine. */
void conf_free(struct conf *conf);

/* The certificates of the configuration, ready to serve (tls_server_new, tls_server_add,
 * tls_server_warm_up); called before privileges are dropped. NULL after a complaint, which names
 * the section's line; what is only a warning ("warning: ...", as of a certificate that expired) is
 * complained about too, and served. The configuration must have a `tls` section. */
struct tls_server *conf_tls_server(const struct conf *conf, struct tls_ratchet *ratchet,
                                   struct span protocol, const struct conf_voice *voice)
    __attribute__((warn_unused_result));

/* True when conf_tls_server would give one, or there is nothing to serve. The same complaints. */
bool conf_check_tls(const struct conf *conf, const struct conf_voice *voice)
    __attribute__((warn_unused_result));

/* Prints every setting with its value in force, in the form of the file. */
void conf_print_all(const struct conf *conf, FILE *out);

/* Prints the reference manual: each setting with type, default, range, unit and help. */
void conf_print_reference(FILE *out);

/* Where `setting` is set, for the log: "/etc/veredus.conf:12", or without a line when it has its
 * default. For settings at the top and of `limits`; of others it is the last section's. The text
 * lives in `arena`. */
struct span conf_place(const struct conf *conf, const char *setting, struct arena *arena);

/* True when every process is to run as its own user: started by root, and separate_users holds. */
bool conf_changes_users(const struct conf *conf);

/* True when the address lies in one of the networks. */
bool conf_trusts(const struct conf *conf, const union net_address *client);

/* True when it is that of a proxy whose word counts. */
bool conf_trusts_proxy(const struct conf *conf, const union net_address *proxy);

/* The mode of the socket of a listener with a path. */
mode_t conf_listen_mode(const struct conf_listen *listen);

/* True when `domain` is in `list`, compared without case. */
bool conf_has_domain(const struct conf_spans *list, struct span domain);

#endif
