/* conf: the sections listen, and what must hold between their settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "util/conf/conf.h"

enum { TEXT_MAX = 1024 };
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static char complaint[1024];

static void remember(void *arg, const char *message)
{
    (void)arg;
    snprintf(complaint, sizeof complaint, "%s", message);
}

static struct conf *parse(const char *sections)
{
    char text[TEXT_MAX];
    int len = snprintf(text, sizeof text, "hostname = \"h\"\n%s\n", sections);
    assert_in_range(len, 1, sizeof text - 1);
    FILE *in = fmemopen(text, (size_t)len, "r");
    complaint[0] = '\0';
    struct conf *conf = conf_parse(in, "/etc/v/veredus.conf", remember, NULL);
    fclose(in);
    return conf;
}

static struct conf *parse_good(const char *sections)
{
    struct conf *conf = parse(sections);
    if (!conf)
        fail_msg("refused: %s", complaint);
    return conf;
}

static void no_proxy_is_trusted_and_nobody_waits_by_default(void **state)
{
    (void)state;
    struct conf *conf = parse_good("listen \"a\" { service = smtp address = \"0.0.0.0:25\" }");
    assert_int_equal(conf->trusted_proxies.count, 0);
    assert_int_equal(conf->greet_pause, 0);
    assert_false(conf->listens.items[0].proxy);
    conf_free(conf);
}

static void proxies_are_trusted_apart_from_clients(void **state)
{
    (void)state;
    union net_address client, other;
    struct conf *conf = parse_good("trusted_proxies = {\"192.0.2.0/28\", \"2001:db8::/64\"}\n"
                                   "trusted_networks = {\"198.51.100.0/24\"}\n"
                                   "greet_pause = 2000\n"
                                   "listen \"a\" { service = smtp address = \"0.0.0.0:25\" "
                                   "proxy = true }");
    assert_true(net_parse_address(SPAN("192.0.2.15"), &client));
    assert_true(net_parse_address(SPAN("198.51.100.1"), &other));
    assert_true(conf_trusts_proxy(conf, &client));
    assert_false(conf_trusts(conf, &client));
    assert_false(conf_trusts_proxy(conf, &other));
    assert_true(conf_trusts(conf, &other));
    assert_true(conf->listens.items[0].proxy);
    assert_int_equal(conf->greet_pause, 2000);
    conf_free(conf);
}

static void address_with_a_slash_is_a_path(void **state)
{
    (void)state;
    struct conf *conf = parse_good(
        "listen \"a\" { service = submission address = \"run/smtp.sock\" }\n"
        "listen \"b\" { service = lmtp address = \"/run/lmtp\" mode = 0660 owner = \"mail:\" }\n"
        "listen \"c\" { service = smtp address = \"127.0.0.1:25\" mode = 0600 }");
    const struct conf_listen *items = conf->listens.items;
    assert_string_equal(items[0].path.data, "/etc/v/run/smtp.sock");
    assert_int_equal(conf_listen_mode(&items[0]), 0666);
    assert_int_equal(items[0].owner.len, 0);
    assert_int_equal(items[0].address.any.sa_family, AF_UNSPEC);
    assert_string_equal(items[1].path.data, "/run/lmtp");
    assert_int_equal(conf_listen_mode(&items[1]), 0660);
    assert_true(span_equal(items[1].owner, SPAN("mail:")));
    assert_int_equal(items[2].path.len, 0);
    assert_int_equal(conf_listen_mode(&items[2]), 0600);
    conf_free(conf);
}

static void paths_are_printed_as_they_are_read(void **state)
{
    char *text = NULL;
    size_t size;
    (void)state;
    struct conf *conf = parse_good("listen \"a\" { service = lmtp address = \"/run/lmtp\" }");
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    conf_print_all(conf, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "address = \"/run/lmtp\""));
    assert_non_null(strstr(text, "mode = 0666"));
    free(text);
    conf_free(conf);
}

static void listeners_that_can_not_be_are_refused(void **state)
{
    static const struct {
        const char *sections, *complaint;
    } rows[] = {
        {"listen \"a\" { service = smtp address = \"0.0.0.0:25\" proxy = true }",
         "listen \"a\" wants a proxy, and none is trusted; add trusted_proxies"},
        {"trusted_proxies = {\"192.0.2.7\"}\n"
         "listen \"a\" { service = pop3 address = \"0.0.0.0:110\" proxy = true }",
         "listen \"a\" wants a proxy, which only SMTP knows"},
        {"listen \"a\" { service = smtp address = \"127.0.0.1:25\" }\n"
         "listen \"b\" { service = pop3 address = \"127.0.0.1:25\" }",
         "listen \"b\" has the address of listen \"a\""},
        {"trusted_proxies = {\"192.0.2.7\"}\n"
         "listen \"a\" { service = smtp address = \"/run/smtp\" proxy = true }",
         "listen \"a\" wants a proxy on a UNIX socket"},
        {"listen \"a\" { service = pop3 address = \"/run/pop3\" }",
         "listen \"a\" has POP3 on a UNIX socket; give it an address and a port"},
        {"listen \"a\" { service = smtp address = \"/run/smtp\" }\n"
         "listen \"b\" { service = lmtp address = \"/run/smtp\" }",
         "listen \"b\" has the address of listen \"a\""},
        {"listen \"a\" { service = smtp address = \"/run/\" }", "'/run/' is not right for address"},
        {"listen \"a\" { service = smtp address = \"/run/"
         "123456789012345678901234567890123456789012345678901234567890"
         "123456789012345678901234567890123456789012345678901234567890\" }",
         "is not right for address"},
        {"listen \"a\" { service = smtp address = \"/run/smtp\" mode = 0777 }",
         "'0777' is not right for mode; one of 0600, 0660, 0666"},
        {"listen \"a\" { service = lmtp address = \"127.0.0.1:25\" }",
         "listen \"a\" has LMTP at port 25, which is that of SMTP; give it another port"},
        {"listen \"a\" { service = smtp address = \"[::1]:25\" }\n"
         "listen \"b\" { service = smtp address = \"[0:0::1]:25\" }",
         "listen \"b\" has the address of listen \"a\""},
        {"listen \"a\" { service = smtp address = \"0.0.0.0:25\" proxy = maybe }",
         "'maybe' is not right for proxy; true or false"},
        {"trusted_proxies = {\"192.0.2.7/24\"}", "'192.0.2.7/24' is not right"},
        {"trusted_proxies = {\"proxy.example\"}", "'proxy.example' is not right"},
        {"greet_pause = -1", "a number from 0 to 60000"},
        {"greet_pause = 60001", "a number from 0 to 60000"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct conf *conf = parse(rows[i].sections);
        if (conf != NULL || strstr(complaint, rows[i].complaint) == NULL)
            fail_msg("%s\ngave: %s", rows[i].sections, complaint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_proxy_is_trusted_and_nobody_waits_by_default),
        cmocka_unit_test(proxies_are_trusted_apart_from_clients),
        cmocka_unit_test(address_with_a_slash_is_a_path),
        cmocka_unit_test(paths_are_printed_as_they_are_read),
        cmocka_unit_test(listeners_that_can_not_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
