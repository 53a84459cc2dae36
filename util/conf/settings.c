/*
 * Everything that can be set stands here once. What is written elsewhere about a setting (the
 * parser's options, the ranges, the reference manual, the print-out) is derived from its row, so it
 * can not drift. Every number is bounded on both sides and 0 never means "unlimited": a limit that
 * can be switched off by a slip of the pen is none.
 */
#include "util/conf/settings.h"

#include "util/conf/conf.h"
#include "util/sys/rates.h"

enum { KIB = 1024, MIB = 1024 * KIB, DAY = 86400 };

/* Words are what people write, their places what the program compares: in the order of the enums of
 * conf.h and log.h. */
static const char *const service_words[] = {"smtp", "submission", "pop3", "lmtp", NULL};
static const char *const tls_words[] = {"none", "starttls", "implicit", NULL};
static const char *const mode_words[] = {"0600", "0660", "0666", NULL};
static const char *const plaintext_words[] = {"never", "loopback", "always", NULL};
static const char *const format_words[] = {"logfmt", "json", NULL};
static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const transport_words[] = {"local", "discard", "smtp", "error", "hold", NULL};

/* The columns that rows of one section share. */
#define TOP(setting, field, type)                                                                  \
    .name = (setting), .section = SECTION_TOP, .kind = (type),                                     \
    .offset = offsetof(struct conf, field)
#define LIMIT(field, type, from, to)                                                               \
    .name = #field, .section = SECTION_LIMITS, .kind = (type), .least = (from), .most = (to),      \
    .offset = offsetof(struct conf, limits.field)
#define TLS(setting, field, type)                                                                  \
    .name = (setting), .section = SECTION_TLS, .kind = (type),                                     \
    .offset = offsetof(struct conf_tls, field)
#define LISTEN(field, type)                                                                        \
    .name = #field, .section = SECTION_LISTEN, .kind = (type),                                     \
    .offset = offsetof(struct conf_listen, field)
#define ROUTE(field, type)                                                                         \
    .name = #field, .section = SECTION_ROUTE, .kind = (type),                                      \
    .offset = offsetof(struct conf_route, field)

#define DNS(field, type)                                                                           \
    .name = #field, .section = SECTION_DNS, .kind = (type),                                        \
    .offset = offsetof(struct conf, dns.field)
#define DNS_LIST(field, type)                                                                      \
    .name = #field, .section = SECTION_DNS_LIST, .kind = (type),                                   \
    .offset = offsetof(struct conf_dns_list, field)

const struct setting settings[] = {
    /* ---- who we are, and for whom: what every site sets ---- */
    {TOP("hostname", hostname, SETTING_DOMAIN),
     .help = "The name of this host, as it greets and as it signs what it writes. Required."},
    {TOP("domains", domains, SETTING_DOMAINS),
     .help = "Mailboxes and aliases live in these domains."},
    {TOP("relay_domains", relay_domains, SETTING_DOMAINS),
     .help = "Mail to these domains is taken from anybody and sent on."},
    {TOP("trusted_networks", trusted_networks, SETTING_NETWORKS),
     .fallback = "{\"127.0.0.0/8\", \"::1\"}",
     .help = "Clients that may send mail to anywhere without a password."},
    /* ---- processes, passwords, the log ---- */
    {TOP("workers", workers, SETTING_NUMBER), .fallback = "0", .least = 0, .most = 256,
     .help = "Processes of each kind that serves the network; 0: one for each processor."},
    {TOP("plaintext_auth", plaintext_auth, SETTING_WORD), .fallback = "loopback",
     .words = plaintext_words,
     .help = "From where a password is taken on a connection that is not encrypted."},
    {TOP("log", log_target, SETTING_LOG), .fallback = "stderr",
     .help = "Where the log goes: stderr, syslog, or the path of a file."},
    {TOP("log_format", log_format, SETTING_WORD), .fallback = "logfmt", .words = format_words,
     .help = "The form of a line of the log."},
    {TOP("log_level", log_level, SETTING_WORD), .fallback = "info", .words = level_words,
     .help = "The least important events that are still logged."},
    {TOP("vrfy", vrfy, SETTING_BOOL), .fallback = "false",
     .help =
         "Whether VRFY tells trusted and authenticated clients who lives here; else it says 252 "
         "to everybody."},
    {TOP("expn", expn, SETTING_BOOL), .fallback = "false",
     .help = "Whether EXPN shows them who is behind an alias; else it is refused with 502."},
    {TOP("etrn", etrn, SETTING_BOOL), .fallback = "false",
     .help = "Whether trusted and authenticated clients may have by ETRN what waits for a domain "
             "tried now; else it is refused with 502."},
    {TOP("helo_argument_required", helo_argument_required, SETTING_BOOL), .fallback = "true",
     .help = "Refuse a HELO or EHLO that names nobody."},
    {TOP("auth_old_form", auth_old_form, SETTING_BOOL), .fallback = "false",
     .help = "Announce AUTH once more as AUTH=LOGIN PLAIN, for clients that know only that."},
    {TOP("sender_domain_required", sender_domain_required, SETTING_BOOL), .fallback = "true",
     .help =
         "Refuse a stranger's sender whose domain does not exist, or says that it takes no mail."},
    {TOP("greylist", greylist, SETTING_BOOL), .fallback = "false",
     .help = "Put a stranger's letter off when it is tried for the first time: 450."},
    {TOP("dns_list_reject", dns_list_reject, SETTING_NUMBER), .fallback = "1", .least = 1,
     .most = 10000,
     .help = "A client is refused when the weights of the lists that it is on add up to this."},
    {TOP("trusted_proxies", trusted_proxies, SETTING_NETWORKS),
     .help = "Proxies that may say for whom they speak: by the PROXY protocol on a listener that "
             "wants it, and by XCLIENT."},
    {TOP("greet_pause", greet_pause, SETTING_NUMBER), .fallback = "0", .least = 0, .most = 60000,
     .help = "Milliseconds before a client of port 25 is greeted; one that talks earlier is sent "
             "away. Trusted networks do not wait."},
    /* ---- where things lie; a queue id has 20 bits for a place in a segment: 64 MiB ---- */
    {TOP("segment_size", segment_size, SETTING_SIZE), .fallback = "64M", .least = MIB,
     .most = 64 * MIB, .help = "How large a segment of the spool grows."},
    {TOP("spool_directory", spool_directory, SETTING_PATH), .fallback = "/var/spool/veredus",
     .help = "Where mail waits. Relative paths count from the directory of this file."},
    {TOP("mail_root", mail_root, SETTING_PATH), .fallback = "/var/mail/veredus",
     .help = "Mailboxes lie beneath it: DOMAIN/USER/."},
    {TOP("table_directory", table_directory, SETTING_PATH), .fallback = ".",
     .help = "Where the tables users, aliases, senders, access and passwords lie."},
    {TOP("run_directory", run_directory, SETTING_PATH), .fallback = "/run/veredus",
     .help = "The socket and the process number of the running master."},
    /* ---- system users; only for a start by root ---- */
    {TOP("separate_users", separate_users, SETTING_BOOL), .fallback = "true",
     .help =
         "Started by root: whether each kind of process runs as its own system user; if not, all "
         "run as root without its capabilities."},
    {TOP("service_user", user_service, SETTING_TEXT), .fallback = "veredus",
     .help = "Started by root: the system user of smtpd, submission, pop3d and lookup."},
    {TOP("queue_user", user_queue, SETTING_TEXT), .fallback = "veredus-q",
     .help = "Started by root: the system user of qmgr, which owns the spool."},
    {TOP("mail_user", user_mail, SETTING_TEXT), .fallback = "vmail",
     .help = "Started by root: the system user who owns the mailboxes."},
    {TOP("auth_user", user_auth, SETTING_TEXT), .fallback = "veredus-a",
     .help = "Started by root: the system user of auth, which alone reads the passwords."},

    /* ---- tls: a certificate needs its key ---- */
    {TLS("certificate", certificate, SETTING_PATH),
     .help = "A PEM file: the certificate, and behind it its chain."},
    {TLS("key", key, SETTING_PATH),
     .help = "A PEM file without a passphrase, which only its owner (and group) may read."},
    {TLS("server_name", name, SETTING_DOMAIN), .fallback = "",
     .help = "For clients that ask for this name; empty: for all others. Two sections of one name "
             "have keys of different kinds, such as ECDSA and RSA."},

    /* ---- dns ---- */
    {DNS(servers, SETTING_SERVERS),
     .help = "Resolvers, up to 8, in the order to ask them; without any: those of "
             "/etc/resolv.conf. Only "
             "those of this host are believed to have validated an answer (DNSSEC)."},
    {DNS(timeout, SETTING_TIME), .fallback = "2", .least = 1, .most = 60,
     .help = "How long the first answer is waited for; it doubles each time all were asked."},
    {DNS(tries, SETTING_NUMBER), .fallback = "3", .least = 1, .most = 10,
     .help = "How often each resolver is asked."},

    /* ---- dns_list: the weight is required ---- */
    {DNS_LIST(weight, SETTING_WEIGHT), .most = 100,
     .help = "What being on this list adds to a client's sum; negative: it speaks for the client."},
    {DNS_LIST(answers, SETTING_ANSWERS), .fallback = "{\"127.0.0.2-254\"}",
     .help = "The answers that count: addresses within 127.0.0.0/8, or ranges of the last octet."},

    /* ---- listen: what is required has no default ---- */
    {LISTEN(service, SETTING_WORD), .words = service_words, .help = "What is spoken there."},
    {LISTEN(address, SETTING_ENDPOINT),
     .help = "Where: an address and a port, or the path of a UNIX socket."},
    {LISTEN(tls, SETTING_WORD), .fallback = "starttls", .words = tls_words,
     .help = "Encryption from the start, when the client asks, or none; none without a "
             "certificate."},
    {LISTEN(mode, SETTING_WORD), .fallback = "0666", .words = mode_words,
     .help = "Who may connect to a UNIX socket: its owner, its group, too, or everybody."},
    {LISTEN(owner, SETTING_TEXT), .fallback = "",
     .help =
         "Whose a UNIX socket is: \"user:group\", either of which may be missing; empty: whoever "
         "starts the server."},
    {LISTEN(proxy, SETTING_BOOL), .fallback = "false",
     .help = "Whether every connection begins with a header of the PROXY protocol, version 1 or 2; "
             "only those of trusted_proxies are taken then."},

    /* ---- route ---- */
    {ROUTE(transport, SETTING_WORD), .words = transport_words, .help = "How mail leaves."},
    {ROUTE(nexthop, SETTING_TEXT), .fallback = "",
     .help = "Where it goes: a domain, or \"[192.0.2.7]:25\"; empty: its own domain."},

    /* ---- limits: a message ---- */
    {LIMIT(message_size, SETTING_SIZE, KIB, 2048ull * MIB), .fallback = "50M",
     .help = "A message; larger ones are refused with 552."},
    {LIMIT(recipients, SETTING_NUMBER, 1, CONF_RECIPIENTS_MOST), .fallback = "1000",
     .help = "Recipients of a message; more are put off with 452."},
    {LIMIT(messages_per_connection, SETTING_NUMBER, 1, 999999), .fallback = "100000",
     .help = "Messages of one connection; whoever begins one more is sent away with 421."},
    {LIMIT(command_line, SETTING_SIZE, 1280, 65536), .fallback = "2048",
     .help =
         "A command line with its end (RFC 5321 §4.5.3.1.4 wants 512, and what extensions add)."},
    {LIMIT(header_size, SETTING_SIZE, KIB, 16 * MIB), .fallback = "100K",
     .help = "What is looked at of the header of a message."},
    {LIMIT(received_hops, SETTING_NUMBER, 10, 1000), .fallback = "100",
     .help = "Received fields of a message; more mean a loop (RFC 5321 §6.3)."},
    /* ---- limits: a client ---- */
    {LIMIT(errors_slow, SETTING_NUMBER, 1, 10000), .fallback = "10",
     .help = "Errors of a session after which its replies come slowly."},
    {LIMIT(errors_close, SETTING_NUMBER, 1, 10000), .fallback = "20",
     .help = "Errors after which a session is closed."},
    {LIMIT(junk_commands, SETTING_NUMBER, 1, 10000), .fallback = "20",
     .help = "NOOP, RSET, VRFY and HELP without a message between, before they count as errors."},
    {LIMIT(connections_per_network, SETTING_NUMBER, 1, 1000000), .fallback = "20",
     .help = "Connections at once from an IPv4 address or an IPv6 /64; trusted ones are free."},
    {LIMIT(connections_per_account, SETTING_NUMBER, 1, 1000000), .fallback = "50",
     .help = "Sessions at once in which one login submits mail, from wherever they come."},
    {LIMIT(connections_per_worker, SETTING_NUMBER, 1, 1000000), .fallback = "10000",
     .help = "Connections at once to one worker."},
    {LIMIT(worker_age, SETTING_TIME, 1, 365 * DAY), .fallback = "6h",
     .help = "How long a worker serves before a fresh one takes its place."},
    {LIMIT(watchdog, SETTING_TIME, 5, DAY), .fallback = "60",
     .help = "How long a process may show no sign of life before it is killed and started anew."},
    {LIMIT(idle, SETTING_TIME, 1, DAY), .fallback = "300",
     .help = "How long a client may be silent (RFC 5321 §4.5.3.2.7 wants 5 minutes)."},
    {LIMIT(idle_under_stress, SETTING_TIME, 1, DAY), .fallback = "10",
     .help = "The longest such silence while a worker has nearly as many connections as it may; no "
             "command may take longer then."},
    {LIMIT(command_deadline, SETTING_TIME, 1, DAY), .fallback = "300",
     .help = "How long one command may take to arrive, however busy the client is."},
    {LIMIT(minimum_data_rate, SETTING_SIZE, 1, MIB), .fallback = "500",
     .help = "Octets a second that a message must arrive with."},
    /* ---- limits: rates, over all workers together ---- */
    {LIMIT(connections_rate, SETTING_NUMBER, 1, RATES_LIMIT), .fallback = "300",
     .help =
         "Connections a minute from an IPv4 address or an IPv6 /64, POP3 included; trusted ones "
         "are free."},
    {LIMIT(messages_rate, SETTING_NUMBER, 1, RATES_LIMIT), .fallback = "600",
     .help = "Messages a minute from such a network without a login; more are put off with 450."},
    {LIMIT(recipients_rate, SETTING_NUMBER, 1, RATES_LIMIT), .fallback = "10000",
     .help = "Recipients an hour from such a network without a login."},
    {LIMIT(messages_per_account, SETTING_NUMBER, 1, RATES_LIMIT), .fallback = "500",
     .help = "Messages an hour of a login; one that begins more is stopped with 450, since its "
             "password may be stolen."},
    {LIMIT(recipients_per_account, SETTING_NUMBER, 1, RATES_LIMIT), .fallback = "500",
     .help = "Recipients an hour of a login; one that has more is stopped in the same way."},
    {LIMIT(auth_failures, SETTING_NUMBER, 1, RATES_LIMIT), .fallback = "100",
     .help = "Failed logins an hour from a network, POP3 included, before all of its logins are "
             "put off."},
    {LIMIT(auth_failures_per_account, SETTING_NUMBER, 1, RATES_LIMIT), .fallback = "300",
     .help = "Failed logins an hour to an account, before untrusted clients are put off."},
    /* ---- limits: greylisting ---- */
    {LIMIT(greylist_delay, SETTING_TIME, 1, DAY), .fallback = "1m",
     .help = "How long after its first try a letter is taken at the earliest."},
    {LIMIT(greylist_window, SETTING_TIME, 60, 30 * DAY), .fallback = "1d",
     .help = "And how long after it at the latest; then it counts as a first try again."},
    {LIMIT(greylist_life, SETTING_TIME, 3600, 365 * DAY), .fallback = "35d",
     .help = "How long a letter or a network that came again is remembered after its last mail."},
    {LIMIT(greylist_passes, SETTING_NUMBER, 1, 10000), .fallback = "5",
     .help =
         "Letters that came again before all of an IPv4 /24 or an IPv6 /64 is put off no more."},
    /* ---- limits: space and memory ---- */
    {LIMIT(free_space_percent, SETTING_NUMBER, 1, 90), .fallback = "5",
     .help = "Percent of space or inodes below which no mail is taken: 452."},
    {LIMIT(session_buffer, SETTING_SIZE, 4 * KIB, 16 * MIB), .fallback = "256K",
     .help = "What a session holds of a message before it is streamed to the spool."},
    {LIMIT(buffer_budget, SETTING_SIZE, MIB, 65536ull * MIB), .fallback = "256M",
     .help = "What all sessions of a worker hold together."},
    /* ---- limits: the queue (RFC 5321 §4.5.4.1 wants 4 to 5 days) ---- */
    {LIMIT(retry_first, SETTING_TIME, 1, 7 * DAY), .fallback = "5m",
     .help = "When a delivery that was put off is tried again; the time doubles then."},
    {LIMIT(retry_most, SETTING_TIME, 1, 7 * DAY), .fallback = "4h",
     .help = "The longest time between two tries."},
    {LIMIT(message_life, SETTING_TIME, 1, 365 * DAY), .fallback = "5d",
     .help = "How long delivery is tried before the sender is told that it failed."},
    {LIMIT(bounce_life, SETTING_TIME, 1, 365 * DAY), .fallback = "2d",
     .help = "The same for messages that report a failure."},
    /* ---- limits: aliases ---- */
    {LIMIT(alias_depth, SETTING_NUMBER, 1, 100), .fallback = "30",
     .help = "How often an alias may lead to an alias."},
    {LIMIT(alias_expansion, SETTING_NUMBER, 1, CONF_RECIPIENTS_MOST), .fallback = "1000",
     .help = "Final recipients that one address may lead to."},
    /* ---- limits: POP3 and logins ---- */
    {LIMIT(pop3_idle, SETTING_TIME, 1, DAY), .fallback = "10m",
     .help = "How long a POP3 client may be silent (RFC 1939 §3 wants 10 minutes)."},
    {LIMIT(pop3_login, SETTING_TIME, 1, DAY), .fallback = "3m",
     .help = "How long a POP3 client may take to log in."},
    {LIMIT(pop3_bad_commands, SETTING_NUMBER, 1, 10000), .fallback = "20",
     .help = "Bad commands after which a POP3 session is closed."},
    {LIMIT(auth_delay_first, SETTING_TIME, 1, 3600), .fallback = "2",
     .help = "How long the first failed login is made to wait for its answer."},
    {LIMIT(auth_delay_most, SETTING_TIME, 1, 3600), .fallback = "15",
     .help = "The longest such wait."},
    {LIMIT(delivery_concurrency, SETTING_NUMBER, 1, 4096), .fallback = "64",
     .help = "Deliveries given to a local process at once."},
    {.name = NULL},
};

/* A walk through sixty rows, a few times at start. */
const struct setting *setting_find(const char *name)
{
    for (const struct setting *row = settings; row->name; row++) {
        if (strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

/* As written before the braces. */
const char *setting_section_name(enum setting_section section)
{
    static const char *const names[] = {
        [SECTION_TOP] = "",
        [SECTION_LIMITS] = "limits",
        [SECTION_DNS] = "dns",
        [SECTION_TLS] = "tls",
        [SECTION_LISTEN] = "listen",
        [SECTION_ROUTE] = "route",
        [SECTION_DNS_LIST] = "dns_list",
    };
    return names[section];
}
