/* conf: the sections dns and dns_list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "util/base/buf.h"
#include "util/conf/conf.h"

enum { TEXT_MAX = 512 };
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static char complaint[1024];

static void remember(void *arg, const char *message)
{
    (void)arg;
    snprintf(complaint, sizeof complaint, "%s", message);
}

static struct conf *parse_text(struct span text)
{
    FILE *in = fmemopen((char *)(uintptr_t)text.data, text.len, "r");
    complaint[0] = '\0';
    struct conf *conf = conf_parse(in, "/etc/v/veredus.conf", remember, NULL);
    fclose(in);
    return conf;
}

static struct conf *parse(const char *sections)
{
    char text[TEXT_MAX];
    int len = snprintf(text, sizeof text, "hostname = \"h\"\n%s\n", sections);
    assert_in_range(len, 1, sizeof text - 1);
    return parse_text(span_cstr(text));
}

static struct conf *parse_good(const char *sections)
{
    struct conf *conf = parse(sections);
    if (!conf)
        fail_msg("refused: %s", complaint);
    return conf;
}

static void without_a_section_the_system_is_asked(void **state)
{
    (void)state;
    struct conf *conf = parse_good("");
    assert_int_equal(conf->dns.servers.count, 0);
    assert_int_equal(conf->dns.timeout, 2);
    assert_int_equal(conf->dns.tries, 3);
    assert_int_equal(conf->dns_lists.count, 0);
    assert_int_equal(conf->dns_list_reject, 1);
    conf_free(conf);
}

static void servers_have_port_53_unless_they_say_another(void **state)
{
    static const struct {
        const char *text, *address;
        uint16_t port;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", 53},
        {"127.0.0.1:5353", "127.0.0.1", 5353},
        {"2001:db8::1", "2001:db8::1", 53},
        {"[2001:db8::1]:5353", "2001:db8::1", 5353},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[TEXT_MAX], address[NET_TEXT_MAX];
        snprintf(text, sizeof text, "dns { servers = {\"%s\"} }", rows[i].text);
        struct conf *conf = parse_good(text);
        assert_int_equal(conf->dns.servers.count, 1);
        struct span got = net_text(&conf->dns.servers.items[0], address);
        assert_true(span_equal(got, span_cstr(rows[i].address)));
        assert_int_equal(net_port(&conf->dns.servers.items[0]), rows[i].port);
        conf_free(conf);
    }
}

static void weights_have_signs(void **state)
{
    static const int64_t weights[] = {-100, -3, 0, 1, 100};
    (void)state;
    for (size_t i = 0; i < COUNT(weights); i++) {
        char text[TEXT_MAX];
        snprintf(text, sizeof text, "dns_list \"l.test\" { weight = %d }", (int)weights[i]);
        struct conf *conf = parse_good(text);
        assert_true(conf->dns_lists.items[0].weight == weights[i]);
        conf_free(conf);
    }
}

static void answers_are_addresses_or_ranges_of_the_last_octet(void **state)
{
    static const struct {
        const char *text;
        uint32_t first, last;
    } rows[] = {
        {"\"127.0.0.2\"", 0x7f000002, 0x7f000002},
        {"\"127.0.0.2-11\"", 0x7f000002, 0x7f00000b},
        {"{\"127.1.2.0-255\"}", 0x7f010200, 0x7f0102ff},
        {"\"127.0.0.9-9\"", 0x7f000009, 0x7f000009},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[TEXT_MAX];
        snprintf(text, sizeof text, "dns_list \"l.test\" { weight = 1 answers = %s }",
                 rows[i].text);
        struct conf *conf = parse_good(text);
        const struct conf_answer_ranges *answers = &conf->dns_lists.items[0].answers;
        assert_int_equal(answers->count, 1);
        assert_int_equal(answers->items[0].first, rows[i].first);
        assert_int_equal(answers->items[0].last, rows[i].last);
        conf_free(conf);
    }
}

static void lists_keep_their_order_and_their_zones_in_lower_case(void **state)
{
    (void)state;
    struct conf *conf = parse_good("dns_list \"Zen.Test\" { weight = 1 }\n"
                                   "dns_list \"b.test\" { weight = 2 }");
    assert_int_equal(conf->dns_lists.count, 2);
    assert_true(span_equal(conf->dns_lists.items[0].zone, SPAN("zen.test")));
    assert_int_equal(conf->dns_lists.items[0].line, 2);
    assert_true(span_equal(conf->dns_lists.items[1].zone, SPAN("b.test")));
    conf_free(conf);
}

static void mistakes_are_named_with_what_would_be_right(void **state)
{
    static const struct {
        const char *text, *complaint;
    } rows[] = {
        {"dns { servers = {\"ns.test\"} }", "addresses, with a port or without"},
        {"dns { servers = {\"127.0.0.1:0\"} }", "addresses, with a port or without"},
        {"dns { servers = {\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\",\"1.1.1.5\",\"1.1.1.6\","
         "\"1.1.1.7\",\"1.1.1.8\",\"1.1.1.9\"} }",
         "9 servers; name up to 8"},
        {"dns { timeout = 0 }", "from 1 to 60"},
        {"dns { tries = 0 }", "from 1 to 10"},
        {"dns_list \"l.test\" { }", "has no weight"},
        {"dns_list \"l.test\" { weight = 101 }", "from -100 to 100"},
        {"dns_list \"l.test\" { weight = \"--1\" }", "from -100 to 100"},
        {"dns_list \"l.test\" { weight = \"-\" }", "from -100 to 100"},
        {"dns_list \"l.test\" { weight = 1 answers = \"192.0.2.1\" }", "within 127.0.0.0/8"},
        {"dns_list \"l.test\" { weight = 1 answers = \"127.0.0.11-2\" }", "within 127.0.0.0/8"},
        {"dns_list \"l.test\" { weight = 1 answers = \"127.0.0.2-256\" }", "within 127.0.0.0/8"},
        {"dns_list \"l.test\" { weight = 1 answers = \"::1\" }", "within 127.0.0.0/8"},
        {"dns_list \"not a name\" { weight = 1 }", "not a name that can be asked"},
        {"dns_list_reject = 0", "from 1 to 10000"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (parse(rows[i].text) != NULL)
            fail_msg("taken: %s", rows[i].text);
        if (strstr(complaint, rows[i].complaint) == NULL)
            fail_msg("%s: %s", rows[i].text, complaint);
    }
}

static void a_zone_must_leave_room_for_an_address(void **state)
{
    char label[61];
    char text[TEXT_MAX];
    (void)state;
    memset(label, 'a', sizeof label - 1);
    label[60] = '\0';
    snprintf(text, sizeof text, "dns_list \"%s.%s.%s.%s\" { weight = 1 }", label, label, label,
             label);
    assert_null(parse(text));
    snprintf(text, sizeof text, "dns_list \"%s.%s.%s\" { weight = 1 }", label, label, label);
    conf_free(parse_good(text));
}

static void what_is_printed_reads_back_the_same(void **state)
{
    char *texts[2] = {NULL, NULL};
    size_t sizes[2];
    (void)state;
    struct conf *conf = parse_good(
        "dns { servers = {\"127.0.0.1:5353\", \"::1\"} timeout = 5 }\n"
        "dns_list \"l.test\" { weight = -7 answers = {\"127.0.0.2-11\", \"127.3.0.1\"} }");
    for (size_t i = 0; i < 2; i++) {
        FILE *out = open_memstream(&texts[i], &sizes[i]);
        conf_print_all(conf, out);
        fclose(out);
        conf_free(conf);
        conf = parse_text(span_of(texts[i], sizes[i]));
        assert_non_null(conf);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_non_null(strstr(texts[0], "servers = {\"127.0.0.1:5353\", \"[::1]:53\"}"));
    assert_non_null(strstr(texts[0], "answers = {\"127.0.0.2-11\", \"127.3.0.1\"}"));
    assert_non_null(strstr(texts[0], "weight = -7"));
    conf_free(conf);
    free(texts[0]);
    free(texts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_section_the_system_is_asked),
        cmocka_unit_test(servers_have_port_53_unless_they_say_another),
        cmocka_unit_test(weights_have_signs),
        cmocka_unit_test(answers_are_addresses_or_ranges_of_the_last_octet),
        cmocka_unit_test(lists_keep_their_order_and_their_zones_in_lower_case),
        cmocka_unit_test(mistakes_are_named_with_what_would_be_right),
        cmocka_unit_test(a_zone_must_leave_room_for_an_address),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
