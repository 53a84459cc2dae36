/* dns_list: what adds up, what never counts, and the words of a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtpd/dns_list.h"
#include "tests/unit/dns_rig.h"
#include "util/base/clock.h"

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])
#define OF(octet)   octet ".2.0.192."
#define OF_V6       "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."

/* Clients by their last octet; the lists are those of `lists`. */
static const struct rig_row rows[] = {
    ROW(OF("1") "bad.test", DNS_A, "127.0.0.2"),
    ROW(OF("1") "bad.test", DNS_TXT, "Listed \x01\x80\"so\" 100%"),
    ROW(OF("2") "worse.test", DNS_A, "127.0.0.5"),
    ROW(OF("3") "bad.test", DNS_A, "127.0.0.11"),
    ROW(OF("3") "worse.test", DNS_A, "127.0.0.5"),
    ROW(OF("4") "bad.test", DNS_A, "127.0.0.2"),
    ROW(OF("4") "good.test", DNS_A, "127.0.0.2"),
    ROW(OF("5") "bad.test", DNS_A, "127.0.0.12"),      /* out of its range */
    ROW(OF("6") "bad.test", DNS_A, "192.0.2.1"),       /* a domain that was sold */
    ROW(OF("7") "bad.test", DNS_A, "127.255.255.254"), /* "you may not ask" */
    ROW(OF("8") "any.test", DNS_A, "127.255.255.2"),
    ROW(OF("9") "bad.test", DNS_A, "192.0.2.1"),
    ROW(OF("9") "bad.test", DNS_A, "127.0.0.3"),
    FAULT(OF("10") "bad.test", RIG_SERVFAIL),
    FAULT(OF("11") "bad.test", RIG_SILENT),
    ROW(OF("11") "worse.test", DNS_A, "127.0.0.5"),
    ROW(OF("12") "any.test", DNS_A, "127.255.254.2"),
    ROW(OF_V6 "bad.test", DNS_A, "127.0.0.2"),
    END_OF_ROWS,
};

static const char lists[] = "hostname = \"h\"\ndns_list_reject = 2\n"
                            "dns_list \"bad.test\" { weight = 2 answers = \"127.0.0.2-11\" }\n"
                            "dns_list \"worse.test\" { weight = 1 }\n"
                            "dns_list \"good.test\" { weight = -3 }\n"
                            "dns_list \"any.test\" { weight = 5 answers = {\"127.255.255.0-255\", "
                            "\"127.255.254.2\"} }\n";

static void refuse(void *arg, const char *message)
{
    (void)arg;
    fail_msg("%s", message);
}

static struct conf *parse(const char *text)
{
    FILE *in = fmemopen((char *)(uintptr_t)text, strlen(text), "r");
    struct conf *conf = conf_parse(in, "/v.conf", refuse, NULL);
    fclose(in);
    return conf;
}

static union net_address address_of(const char *text)
{
    union net_address address;
    assert_true(net_parse_address(span_cstr(text), &address));
    return address;
}

/* The server with the rows above, the lists, and one client's sum under way. */
struct fixture {
    struct dns_rig rig;
    struct conf *conf;
    struct dns_list list;
    bool done;
};

static void on_done(void *arg)
{
    struct fixture *fixture = arg;
    assert_false(fixture->done);
    fixture->done = true;
}

static struct fixture *begin(void **state, struct dns_options options)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    fixture->conf = parse(lists);
    dns_rig_init_with(&fixture->rig, rows, options);
    dns_list_init(&fixture->list, fixture->rig.dns, on_done, fixture);
    *state = fixture;
    return fixture;
}

static int set_up(void **state)
{
    (void)begin(state, dns_rig_options());
    return 0;
}

/* The resolver itself gives up long behind the list. */
static int set_up_patient(void **state)
{
    struct dns_options options = dns_rig_options();
    options.timeout_ms = 60000;
    (void)begin(state, options);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    dns_list_cancel(&fixture->list);
    dns_rig_stop(&fixture->rig);
    conf_free(fixture->conf);
    mem_free(fixture);
    return 0;
}

static void start(struct fixture *fixture, const char *client)
{
    union net_address address = address_of(client);
    fixture->done = false;
    dns_list_start(&fixture->list, fixture->conf, &address);
    assert_false(fixture->done);
}

/* The result, as it is when it is told. */
static const struct dns_list *run(struct fixture *fixture, const char *client)
{
    start(fixture, client);
    dns_rig_until(&fixture->rig, &fixture->done);
    return &fixture->list;
}

static void weights_of_good_answers_add_up(void **state)
{
    static const struct {
        const char *client;
        int64_t sum;
        const char *zone; /* empty: not refused */
    } expected[] = {
        {"192.0.2.1", 2, "bad.test"},   {"192.0.2.2", 1, ""},  {"192.0.2.3", 3, "bad.test"},
        {"192.0.2.4", -1, ""},          {"192.0.2.5", 0, ""},  {"192.0.2.6", 0, ""},
        {"192.0.2.7", 0, ""},           {"192.0.2.8", 0, ""},  {"192.0.2.9", 2, "bad.test"},
        {"192.0.2.10", 0, ""},          {"192.0.2.11", 1, ""}, {"192.0.2.12", 5, "any.test"},
        {"2001:db8::1", 2, "bad.test"}, {"192.0.2.99", 0, ""},
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        const struct dns_list *list = run(*state, expected[i].client);
        if (list->sum != expected[i].sum || list->refused != (expected[i].zone[0] != '\0') ||
            !span_equal(list->zone, span_cstr(expected[i].zone)))
            fail_msg("%s: %d, %.*s", expected[i].client, (int)list->sum, SPAN_ARG(list->zone));
    }
}

static void the_words_of_the_list_can_be_printed(void **state)
{
    assert_string_equal(run(*state, "192.0.2.1")->text, "Listed ??\"so\" 100%");
    assert_string_equal(run(*state, "192.0.2.3")->text, "");
}

static void the_words_of_the_list_are_bounded(void **state)
{
    static char words[1001];
    const struct rig_row wordy[] = {ROW(OF("1") "bad.test", DNS_A, "127.0.0.2"),
                                    ROW(OF("1") "bad.test", DNS_TXT, words), END_OF_ROWS};
    struct fixture *fixture = *state;
    memset(words, 'w', sizeof words - 1);
    fixture->rig.rows = wordy;
    assert_int_equal(strlen(run(fixture, "192.0.2.1")->text), DNS_LIST_TEXT_MAX - 1);
}

static void words_are_not_asked_for_when_nobody_is_refused(void **state)
{
    struct fixture *fixture = *state;
    (void)run(fixture, "192.0.2.2");
    assert_int_equal(dns_counts(fixture->rig.dns).sent, 4);
}

static void without_lists_nobody_is_refused(void **state)
{
    struct fixture *fixture = *state;
    conf_free(fixture->conf);
    fixture->conf = parse("hostname = \"h\"\n");
    assert_false(run(fixture, "192.0.2.1")->refused);
    assert_int_equal(dns_counts(fixture->rig.dns).sent, 0);
}

static void a_list_that_is_gone_is_waited_for_so_long_and_not_longer(void **state)
{
    int64_t began = clock_ms();
    const struct dns_list *list = run(*state, "192.0.2.11");
    assert_in_range(clock_ms() - began, DNS_LIST_PATIENCE_MS, DNS_LIST_PATIENCE_MS + 2000);
    assert_int_equal(list->sum, 1);
    assert_false(list->refused);
}

static void who_cancels_hears_nothing(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, "192.0.2.1");
    dns_list_cancel(&fixture->list);
    start(fixture, "192.0.2.1");
    while (!dns_is_asked(&fixture->list.reason))
        loop_turn(fixture->rig.loop, 1000);
    dns_list_cancel(&fixture->list);
    while (dns_counts(fixture->rig.dns).under_way > 0)
        loop_turn(fixture->rig.loop, 1000);
    assert_false(fixture->done);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(weights_of_good_answers_add_up),
        TEST(the_words_of_the_list_can_be_printed),
        TEST(the_words_of_the_list_are_bounded),
        TEST(words_are_not_asked_for_when_nobody_is_refused),
        TEST(without_lists_nobody_is_refused),
        cmocka_unit_test_setup_teardown(a_list_that_is_gone_is_waited_for_so_long_and_not_longer,
                                        set_up_patient, tear_down),
        TEST(who_cancels_hears_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
