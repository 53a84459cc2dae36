/* conf: what is accepted, what it means, and how each mistake is reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/conf/conf.h"

static char complaint[1024];
static int complaints;

static void remember(void *arg, const char *message)
{
    (void)arg;
    snprintf(complaint, sizeof complaint, "%s", message);
    complaints++;
}

static struct conf *parse_octets(const void *text, size_t size)
{
    int fd = memfd_create("conf", MFD_CLOEXEC);
    complaints = 0;
    complaint[0] = '\0';
    assert_int_equal(write(fd, text, size), size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    FILE *in = fdopen(fd, "r");
    struct conf *conf = conf_parse(in, "/etc/v/veredus.conf", remember, NULL);
    fclose(in);
    assert_true((conf == NULL) == (complaints > 0));
    return conf;
}

static struct conf *parse(const char *text)
{
    return parse_octets(text, strlen(text));
}

static struct conf *parse_good(const char *text)
{
    struct conf *conf = parse(text);
    if (!conf)
        fail_msg("refused: %s", complaint);
    return conf;
}

static void assert_span(struct span span, const char *text)
{
    assert_string_equal(span.data, text);
    assert_int_equal(span.len, strlen(text));
}

static void two_lines_are_a_configuration(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = \"MX.example.org\"\ndomains = {\"Example.org\"}\n");
    assert_span(conf->hostname, "mx.example.org");
    assert_int_equal(conf->domains.count, 1);
    assert_span(conf->domains.items[0], "example.org");
    assert_int_equal(conf->limits.message_size, 50 * 1024 * 1024);
    assert_int_equal(conf->limits.recipients, 1000);
    assert_int_equal(conf->limits.message_life, 5 * 86400);
    assert_int_equal(conf->limits.retry_first, 300);
    assert_int_equal(conf->limits.retry_most, 14400);
    assert_int_equal(conf->segment_size, 64 * 1024 * 1024);
    assert_true(conf->workers > 0);
    assert_true(conf->helo_argument_required);
    assert_false(conf->auth_old_form);
    assert_int_equal(conf->plaintext_auth, PLAINTEXT_LOOPBACK);
    assert_int_equal(conf->log_target, LOG_TARGET_STDERR);
    assert_int_equal(conf->log_level, LOG_INFO);
    assert_span(conf->spool_directory, "/var/spool/veredus");
    assert_span(conf->table_directory, "/etc/v");
    assert_span(conf->user_queue, "veredus-q");
    conf_free(conf);
}

static void without_listen_the_usual_ports_are_served(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = \"h\"\n");
    assert_int_equal(conf->listens.count, 4);
    assert_int_equal(net_port(&conf->listens.items[0].address), 25);
    assert_int_equal(conf->listens.items[1].address.any.sa_family, AF_INET6);
    assert_int_equal(conf->listens.items[2].service, SERVICE_POP3);
    assert_int_equal(net_port(&conf->listens.items[3].address), 110);
    conf_free(conf);
}

static void submission_is_served_by_itself_once_there_is_a_certificate(void **state)
{
    (void)state;
    static const struct {
        unsigned port;
        enum conf_service service;
        enum conf_listen_tls tls;
    } rows[] = {
        {25, SERVICE_SMTP, LISTEN_STARTTLS},
        {110, SERVICE_POP3, LISTEN_STARTTLS},
        {587, SERVICE_SUBMISSION, LISTEN_STARTTLS},
        {465, SERVICE_SUBMISSION, LISTEN_IMPLICIT},
    };
    struct conf *conf = parse_good("hostname = h\ntls { certificate = c key = k }\n");
    assert_int_equal(conf->listens.count, 8);
    for (size_t i = 0; i < 8; i++) {
        const struct conf_listen *listen = &conf->listens.items[i];
        assert_int_equal(net_port(&listen->address), rows[i / 2].port);
        assert_int_equal(listen->address.any.sa_family, i % 2 == 0 ? AF_INET : AF_INET6);
        assert_int_equal(listen->service, rows[i / 2].service);
        assert_int_equal(listen->tls, rows[i / 2].tls);
    }
    conf_free(conf);
}

static void sections_are_read(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = h\n"
                                   "limits { recipients = 7 message_size = 2M idle = 2m }\n"
                                   "listen \"a\" { service = smtp address = \"127.0.0.1:2525\" }\n"
                                   "listen \"b\" { address = \"[::1]:2110\" service = pop3 }\n"
                                   "listen \"c\" { address = \"[::1]:587\" service = submission }\n"
                                   "route \"p.example\" {\n transport = smtp\n"
                                   " nexthop = \"[192.0.2.7]:25\"\n}\n"
                                   "route \"*\" { transport = discard }\n");
    assert_int_equal(conf->limits.recipients, 7);
    assert_int_equal(conf->limits.message_size, 2 * 1024 * 1024);
    assert_int_equal(conf->limits.idle, 120);
    assert_int_equal(conf->limits.errors_close, 20);
    assert_int_equal(conf->listens.count, 3);
    assert_int_equal(conf->listens.items[2].service, SERVICE_SUBMISSION);
    assert_span(conf->listens.items[1].name, "b");
    assert_int_equal(conf->listens.items[1].service, SERVICE_POP3);
    assert_int_equal(net_port(&conf->listens.items[1].address), 2110);
    assert_int_equal(conf->routes.count, 2);
    assert_span(conf->routes.items[0].pattern, "p.example");
    assert_span(conf->routes.items[0].transport, "smtp");
    assert_span(conf->routes.items[0].nexthop, "[192.0.2.7]:25");
    assert_span(conf->routes.items[1].transport, "discard");
    assert_span(conf->routes.items[1].nexthop, "");
    conf_free(conf);
}

static void tls_sections_are_read_with_and_without_a_name(void **state)
{
    (void)state;
    static const char *const names[] = {"", "mx.example.org", "mx.example.org", "b.test", "c.test"};
    struct conf *conf = parse_good("hostname = h\n"
                                   "tls { certificate = \"tls/c.pem\" key = \"/k.pem\" }\n"
                                   "tls \"MX.example.org\" { certificate = a key = b }\n"
                                   "tls mx.example.org{certificate = c key = d}\n"
                                   "tls # a comment\n 'b.test'\n{ certificate = c key = d }\n"
                                   "tls { server_name = c.test certificate = c key = d }\n"
                                   "route \"tls\" { transport = discard }\n");
    assert_int_equal(conf->tls.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_span(conf->tls.items[i].name, names[i]);
    assert_span(conf->tls.items[0].certificate, "/etc/v/tls/c.pem");
    assert_span(conf->tls.items[0].key, "/k.pem");
    assert_int_equal(conf->tls.items[0].line, 2);
    assert_int_equal(conf->tls.items[4].line, 8);
    assert_span(conf->routes.items[0].pattern, "tls");
    assert_int_equal(conf->listens.items[0].tls, LISTEN_STARTTLS);
    conf_free(conf);
}

static void a_listener_is_encrypted_when_asked_once_there_is_a_certificate(void **state)
{
    (void)state;
    static const char listens[] =
        "listen \"a\" { service = smtp address = \"1.2.3.4:25\" }\n"
        "listen \"b\" { service = smtp address = \"1.2.3.4:26\" tls = none }\n";
    char text[512];
    snprintf(text, sizeof text, "hostname = h\n%s", listens);
    struct conf *conf = parse_good(text);
    assert_int_equal(conf->listens.items[0].tls, LISTEN_PLAIN);
    assert_int_equal(conf->listens.items[1].tls, LISTEN_PLAIN);
    conf_free(conf);
    /* Whichever comes first in the file. */
    snprintf(text, sizeof text,
             "hostname = h\n%slisten \"c\" { service = pop3 address = \"1.2.3.4:995\" "
             "tls = implicit }\ntls { certificate = c key = k }\n",
             listens);
    conf = parse_good(text);
    assert_int_equal(conf->listens.items[0].tls, LISTEN_STARTTLS);
    assert_int_equal(conf->listens.items[1].tls, LISTEN_PLAIN);
    assert_int_equal(conf->listens.items[2].tls, LISTEN_IMPLICIT);
    conf_free(conf);
}

static void quotes_that_hold_a_tls_section_are_left_alone(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = h\nmail_root = \"/a tls \\\"x\\\" { b\"\n");
    assert_span(conf->mail_root, "/a tls \"x\" { b");
    conf_free(conf);
}

static void relative_paths_begin_at_the_file(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = h\nspool_directory = \"spool\"\nlog = \"a/log\"\n"
                                   "mail_root = \"/m\"\n");
    assert_span(conf->spool_directory, "/etc/v/spool");
    assert_span(conf->mail_root, "/m");
    assert_int_equal(conf->log_target, LOG_TARGET_FILE);
    assert_span(conf->log_file, "/etc/v/a/log");
    conf_free(conf);
}

static bool trusts(const struct conf *conf, const char *client)
{
    union net_address address;
    assert_true(net_parse_address(span_cstr(client), &address));
    return conf_trusts(conf, &address);
}

static void only_loopback_is_trusted_by_default(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = h\n");
    assert_true(trusts(conf, "127.9.9.9"));
    assert_true(trusts(conf, "::1"));
    assert_false(trusts(conf, "192.0.2.1"));
    assert_false(trusts(conf, "2001:db8::1"));
    conf_free(conf);
}

static void empty_lists_open_nothing(void **state)
{
    (void)state;
    struct conf *conf =
        parse_good("hostname = h\ndomains = {}\nrelay_domains = {}\ntrusted_networks = {}\n");
    assert_int_equal(conf->trusted_networks.count, 0);
    assert_false(trusts(conf, "127.0.0.1"));
    assert_false(conf_has_domain(&conf->relay_domains, SPAN("example.org")));
    assert_false(conf_has_domain(&conf->relay_domains, SPAN("")));
    conf_free(conf);
}

static void equals_replaces_and_plus_equals_adds(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = h\ntrusted_networks = {\"192.0.2.0/24\"}\n");
    assert_false(trusts(conf, "127.0.0.1"));
    assert_true(trusts(conf, "192.0.2.200"));
    conf_free(conf);
    conf = parse_good("hostname = h\ntrusted_networks += {\"192.0.2.0/24\"}\n");
    assert_true(trusts(conf, "127.0.0.1"));
    assert_true(trusts(conf, "192.0.2.200"));
    conf_free(conf);
}

static void domains_are_found_without_case(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = h\ndomains = {\"a.example\", \"b.example\"}\n");
    assert_true(conf_has_domain(&conf->domains, SPAN("B.EXAMPLE")));
    assert_false(conf_has_domain(&conf->domains, SPAN("c.example")));
    assert_false(conf_has_domain(&conf->domains, SPAN("a.exampl")));
    conf_free(conf);
}

static void many_domains_are_kept_in_order(void **state)
{
    (void)state;
    char text[64 * 1024] = "hostname = h\ndomains = {";
    size_t used = strlen(text);
    for (int i = 0; i < 1000; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"d%d.example\"",
                                 i ? ", " : "", i);
    snprintf(text + used, sizeof text - used, "}\n");
    struct conf *conf = parse_good(text);
    assert_int_equal(conf->domains.count, 1000);
    assert_span(conf->domains.items[999], "d999.example");
    conf_free(conf);
}

/* Each mistake: the file, and what the complaint must hold. */
static const struct mistake {
    const char *text;
    const char *line;
    const char *says;
} mistakes[] = {
    {"", ":1:", "hostname is missing"},
    {"domains = {\"a.example\"}\n", ":1:", "hostname is missing"},
    {"hostname = h\ncolour = red\n", ":2:", "no such option 'colour'"},
    {"hostname = h\n\nlimits {\n  colour = 1\n}\n", ":4:", "no such option 'colour'"},
    {"hostname = h\nlimits {\n greylist_delay = 2h\n greylist_window = 2h\n}\n",
     ":4:", "greylist_window is over before"},
    {"hostname = h\nlimits { greylist_delay = 1d }\n", ":2:", "greylist_window is over before"},
    {"hostname = h\ntls { certificate = x }\n", ":2:", "tls \"\" has no key"},
    {"hostname = h\ntls\n\"a.test\"\n{ key = x }\n", ":4:", "has no certificate"},
    {"hostname = h\ntls \"*.test\" { certificate = x key = x }\n", ":2:", "a domain"},
    {"hostname = h\ntls \"a.test\" {\n server_name = b.test\n}\n", ":3:", "set it once"},
    {"hostname = h\ntls \"a.test\" \"b.test\" { certificate = x key = x }\n", ":2:", "; "},
    {"hostname = h\ntls = starttls\n", ":2:", "missing opening brace"},
    {"hostname = h\nlisten \"a\" { service = pop3 address = \"1.2.3.4:995\" tls = implicit }\n",
     ":2:", "there is no certificate"},
    {"hostname = h\nlisten \"a\" { service = smtp address = \"1.2.3.4:25\" tls = starttls }\n",
     ":2:", "there is no certificate"},
    {"hostname = h\nlisten \"a\" { service = smtp address = \"1.2.3.4:25\" tls = maybe }\n",
     ":2:", "one of none, starttls, implicit"},
    {"hostname = h\nlisten \"s\" { service = imap address = \"1.2.3.4:143\" }\n",
     ":2:", "one of smtp, submission, pop3"},
    {"hostname = h\nlisten \"s\" { service = smtp address = \"host:25\" }\n", ":2:", "\"[::]:25\""},
    {"hostname = h\nlisten \"s\" { service = smtp address = \"1.2.3.4:0\" }\n", ":2:", "address"},
    {"hostname = h\nlisten \"s\" { service = smtp }\n", ":2:", "has no address"},
    {"hostname = h\nlisten \"s\" { address = \"1.2.3.4:25\" }\n", ":2:", "has no service"},
    {"hostname = h\nlisten \"a\" { service = smtp address = \"1.2.3.4:25\" }\n"
     "listen \"b\" { service = pop3 address = \"1.2.3.4:25\" }\n",
     ":3:", "give each its own"},
    {"hostname = h\nlisten \"a\" { service = smtp address = \"1.2.3.4:25\" }\n"
     "listen \"a\" { service = pop3 address = \"1.2.3.4:26\" }\n",
     ":3:", "duplicate title"},
    {"hostname = h\nroute \"*\" { transport = pigeon }\n", ":2:", "one of local, discard"},
    {"hostname = h\nroute \"*\" { nexthop = x }\n", ":2:", "has no transport"},
    {"hostname = h\nlimits { recipients = 0 }\n", ":2:", "a number from 1 to 10000"},
    {"hostname = h\nlimits { recipients = 10001 }\n", ":2:", "a number from 1 to 10000"},
    {"hostname = h\nlimits { alias_expansion = 10001 }\n", ":2:", "a number from 1 to 10000"},
    {"hostname = h\nlimits { recipients = -1 }\n", ":2:", "a number from 1"},
    {"hostname = h\nlimits { recipients = 9223372036854775808 }\n", ":2:", "a number from 1"},
    {"hostname = h\nlimits { recipients = 18446744073709551617 }\n", ":2:", "a number from 1"},
    {"hostname = h\nlimits { recipients = many }\n", ":2:", "'many' is not right for recipients"},
    {"hostname = h\nlimits { recipients = 5k }\n", ":2:", "a number from 1"},
    {"hostname = h\nlimits { message_size = 0 }\n", ":2:", "octets from 1024"},
    {"hostname = h\nlimits { message_size = 99999999G }\n", ":2:", "octets from 1024"},
    {"hostname = h\nlimits { message_size = K }\n", ":2:", "octets from 1024"},
    {"hostname = h\nlimits { idle = 0 }\n", ":2:", "seconds from 1"},
    {"hostname = h\nlimits { idle = \"5 m\" }\n", ":2:", "seconds from 1"},
    {"hostname = h\nsegment_size = 1\n", ":2:", "octets from 1048576"},
    {"hostname = h\nworkers = 100000\n", ":2:", "a number from 0 to 256"},
    {"hostname = h\ntrusted_networks = {\"10.0.0.0/33\"}\n", ":2:", "addresses or networks"},
    {"hostname = h\ntrusted_networks = {\"10.0.0.1/8\"}\n", ":2:", "addresses or networks"},
    {"hostname = h\ntrusted_networks = {\n\"10.0.0.0/8\",\n\"everybody\"}\n", ":4:", "everybody"},
    {"hostname = h\nplaintext_auth = sometimes\n", ":2:", "one of never, loopback, always"},
    {"hostname = h\nhelo_argument_required = perhaps\n", ":2:", "true or false"},
    {"hostname = h\nlog_level = loud\n", ":2:", "one of error, warn, info, debug"},
    {"hostname = \"a b\"\n", ":1:", "a domain"},
    {"hostname = \"\"\n", ":1:", "a domain"},
    {"hostname = \"-a.example\"\n", ":1:", "a domain"},
    {"hostname = \"a..example\"\n", ":1:", "a domain"},
    {"hostname = \"a.example.\"\n", ":1:", "a domain"},
    {"hostname = \"a\\nb\"\n", ":1:", "'a?b'"},
    {"hostname = h\ndomains = {\"*\"}\n", ":2:", "domains such as"},
    {"hostname = h\nspool_directory = \"\"\n", ":2:", "a path"},
    {"hostname = h\nmail_user = \"\"\n", ":2:", "a text"},
    {"hostname = h\nhostname = i\n", ":2:", "set in line 1 already"},
    {"hostname = h\n\"(reader)\" = 1\n", ":2:", "no such option"},
    {"hostname = h\nlimits { recipients = 1\n", ":", "premature end"},
    {"hostname = h\nlisten \"x\" {", ":", "premature end"},
    {"hostname = \"h\"\"\nlimits { recipients = 1 }\n", ":", "no sub-section"},
    {"hostname = h\n/* all that follows\n", ":", "premature end"},
    {"hostname = 'h\n", ":", "unterminated"},
    {"/* a\n b */\n# c\nhostname = h\n/* d */\ncolour = 1\n", ":6:", "colour"},
    {"hostname =", ":", "is not right for hostname"},
    {"hostname h\n", ":1:", "missing equal sign"},
    {"hostname = h\n}\n", ":2:", "closing brace"},
    {"\xef\xbb\xbfhostname = h\n", ":1:", "byte order mark"},
};

static void every_mistake_names_its_line_and_the_remedy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const struct mistake *m = &mistakes[i];
        if (parse(m->text))
            fail_msg("accepted: %s", m->text);
        assert_int_equal(complaints, 1);
        if (strncmp(complaint, "/etc/v/veredus.conf:", 20) != 0 ||
            strncmp(complaint + 19, m->line, strlen(m->line)) != 0 || !strstr(complaint, m->says) ||
            !strstr(complaint, "; "))
            fail_msg("for %s: %s", m->text, complaint);
    }
}

static void a_nul_is_refused_with_its_line(void **state)
{
    (void)state;
    assert_null(parse_octets("hostname = h\n\0\n", 15));
    assert_non_null(strstr(complaint, ":2: holds a NUL"));
}

static void an_endless_file_is_refused(void **state)
{
    (void)state;
    size_t size = 3 << 20;
    char *text = malloc(size);
    memset(text, '\n', size);
    assert_null(parse_octets(text, size));
    assert_non_null(strstr(complaint, "more than"));
    free(text);
}

static void a_parser_that_failed_parses_the_next_file(void **state)
{
    (void)state;
    assert_null(parse("hostname = \"unfinished"));
    conf_free(parse_good("hostname = h\n"));
}

static char *printed(const struct conf *conf)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (conf)
        conf_print_all(conf, out);
    else
        conf_print_reference(out);
    fclose(out);
    return text;
}

static void what_is_printed_reads_back_the_same(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = h\ndomains = {\"a.example\", \"b.example\"}\n"
                                   "log = \"/var/log/\\\"odd\\\\name\"\nworkers = 3\n"
                                   "limits { idle = 5m }\ntrusted_networks = {\"::1\"}\n"
                                   "listen \"x\" { service = pop3 address = \"[::1]:1110\" }\n"
                                   "tls \"a.example\" { certificate = c key = \"k k\" }\n"
                                   "tls { certificate = \"/c\" key = \"/k\" }\n"
                                   "route \".example\" { transport = hold }\n");
    char *first = printed(conf);
    struct conf *again = parse_good(first);
    char *second = printed(again);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "idle = 300\n"));
    assert_non_null(strstr(first, "server_name = \"a.example\"\n"));
    assert_non_null(strstr(first, "trusted_networks = {\"::1/128\"}\n"));
    free(first);
    free(second);
    conf_free(conf);
    conf_free(again);
}

static void the_reference_names_every_setting_that_is_printed(void **state)
{
    (void)state;
    struct conf *conf = parse_good("hostname = h\n");
    char *all = printed(conf), *reference = printed(NULL), *rest = all;
    int count = 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char name[64] = "\n";
        if (sscanf(line, " %60[a-z0-9_] =", name + 1) != 1 || !strchr(line, '='))
            continue;
        if (!strstr(reference, name))
            fail_msg("the reference lacks %s", name + 1);
        count++;
    }
    assert_true(count > 45);
    free(all);
    free(reference);
    conf_free(conf);
}

/* ---- files ---- */

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *out = fopen(name, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(chmod(name, mode), 0);
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    (void)state;
    static const mode_t bad[] = {0666, 0664, 0602};
    char directory[] = "/tmp/test_conf.XXXXXX", name[64];
    assert_non_null(mkdtemp(directory));
    snprintf(name, sizeof name, "%s/veredus.conf", directory);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(name, "hostname = h\n", bad[i]);
        complaints = 0;
        assert_null(conf_load(name, remember, NULL));
        assert_non_null(strstr(complaint, "others may write"));
        assert_int_equal(complaints, 1);
    }
    write_file(name, "hostname = h\n", 0644);
    struct conf *conf = conf_load(name, remember, NULL);
    assert_non_null(conf);
    assert_span(conf->table_directory, directory);
    conf_free(conf);
    unlink(name);
    rmdir(directory);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    complaints = 0;
    assert_null(conf_load("/tmp", remember, NULL));
    assert_null(conf_load("/nonexistent/veredus.conf", remember, NULL));
    assert_non_null(strstr(complaint, "/nonexistent/veredus.conf:1:"));
    assert_int_equal(complaints, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_lines_are_a_configuration),
        cmocka_unit_test(without_listen_the_usual_ports_are_served),
        cmocka_unit_test(submission_is_served_by_itself_once_there_is_a_certificate),
        cmocka_unit_test(sections_are_read),
        cmocka_unit_test(tls_sections_are_read_with_and_without_a_name),
        cmocka_unit_test(a_listener_is_encrypted_when_asked_once_there_is_a_certificate),
        cmocka_unit_test(quotes_that_hold_a_tls_section_are_left_alone),
        cmocka_unit_test(relative_paths_begin_at_the_file),
        cmocka_unit_test(only_loopback_is_trusted_by_default),
        cmocka_unit_test(empty_lists_open_nothing),
        cmocka_unit_test(equals_replaces_and_plus_equals_adds),
        cmocka_unit_test(domains_are_found_without_case),
        cmocka_unit_test(many_domains_are_kept_in_order),
        cmocka_unit_test(every_mistake_names_its_line_and_the_remedy),
        cmocka_unit_test(a_nul_is_refused_with_its_line),
        cmocka_unit_test(an_endless_file_is_refused),
        cmocka_unit_test(a_parser_that_failed_parses_the_next_file),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(the_reference_names_every_setting_that_is_printed),
        cmocka_unit_test(a_file_that_others_may_write_is_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
