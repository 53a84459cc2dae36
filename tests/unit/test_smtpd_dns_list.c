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

static void on_done(void *arg)
{
    bool *done = arg;
    assert_false(*done);
    *done = true;
}

static void run(struct dns_rig *rig, struct dns_list *list, const struct conf *conf,
                const char *client)
{
    union net_address address = address_of(client);
    bool done = false;
    list->arg = &done;
    dns_list_start(list, conf, &address);
    assert_false(done);
    dns_rig_until(rig, &done);
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
    struct dns_rig rig;
    struct dns_list list;
    struct conf *conf = parse(lists);
    (void)state;
    dns_rig_init(&rig, rows);
    dns_list_init(&list, rig.dns, on_done, NULL);
    for (size_t i = 0; i < COUNT(expected); i++) {
        run(&rig, &list, conf, expected[i].client);
        if (list.sum != expected[i].sum || list.refused != (expected[i].zone[0] != '\0') ||
            !span_equal(list.zone, span_cstr(expected[i].zone)))
            fail_msg("%s: %d, %.*s", expected[i].client, (int)list.sum, SPAN_ARG(list.zone));
    }
    dns_list_cancel(&list);
    dns_rig_stop(&rig);
    conf_free(conf);
}

static void the_words_of_the_list_can_be_printed(void **state)
{
    struct dns_rig rig;
    struct dns_list list;
    struct conf *conf = parse(lists);
    (void)state;
    dns_rig_init(&rig, rows);
    dns_list_init(&list, rig.dns, on_done, NULL);
    run(&rig, &list, conf, "192.0.2.1");
    assert_string_equal(list.text, "Listed ??\"so\" 100%");
    run(&rig, &list, conf, "192.0.2.3");
    assert_string_equal(list.text, "");
    dns_list_cancel(&list);
    dns_rig_stop(&rig);
    conf_free(conf);
}

static void the_words_of_the_list_are_bounded(void **state)
{
    static char words[1001];
    const struct rig_row wordy[] = {ROW(OF("1") "bad.test", DNS_A, "127.0.0.2"),
                                    ROW(OF("1") "bad.test", DNS_TXT, words), END_OF_ROWS};
    struct dns_rig rig;
    struct dns_list list;
    struct conf *conf = parse(lists);
    (void)state;
    memset(words, 'w', sizeof words - 1);
    dns_rig_init(&rig, wordy);
    dns_list_init(&list, rig.dns, on_done, NULL);
    run(&rig, &list, conf, "192.0.2.1");
    assert_int_equal(strlen(list.text), DNS_LIST_TEXT_MAX - 1);
    dns_list_cancel(&list);
    dns_rig_stop(&rig);
    conf_free(conf);
}

static void words_are_not_asked_for_when_nobody_is_refused(void **state)
{
    struct dns_rig rig;
    struct dns_list list;
    struct conf *conf = parse(lists);
    (void)state;
    dns_rig_init(&rig, rows);
    dns_list_init(&list, rig.dns, on_done, NULL);
    run(&rig, &list, conf, "192.0.2.2");
    assert_int_equal(dns_counts(rig.dns).sent, 4);
    dns_list_cancel(&list);
    dns_rig_stop(&rig);
    conf_free(conf);
}

static void without_lists_nobody_is_refused(void **state)
{
    struct dns_rig rig;
    struct dns_list list;
    struct conf *conf = parse("hostname = \"h\"\n");
    (void)state;
    dns_rig_init(&rig, rows);
    dns_list_init(&list, rig.dns, on_done, NULL);
    run(&rig, &list, conf, "192.0.2.1");
    assert_false(list.refused);
    assert_int_equal(dns_counts(rig.dns).sent, 0);
    dns_list_cancel(&list);
    dns_rig_stop(&rig);
    conf_free(conf);
}

static void a_list_that_is_gone_is_waited_for_so_long_and_not_longer(void **state)
{
    struct dns_rig rig;
    struct dns_list list;
    struct conf *conf = parse(lists);
    struct dns_options options = dns_rig_options();
    (void)state;
    options.timeout_ms = 60000;
    dns_rig_init_with(&rig, rows, options);
    dns_list_init(&list, rig.dns, on_done, NULL);
    int64_t began = clock_ms();
    run(&rig, &list, conf, "192.0.2.11");
    assert_in_range(clock_ms() - began, DNS_LIST_PATIENCE_MS, DNS_LIST_PATIENCE_MS + 2000);
    assert_int_equal(list.sum, 1);
    assert_false(list.refused);
    dns_list_cancel(&list);
    dns_rig_stop(&rig);
    conf_free(conf);
}

static void who_cancels_hears_nothing(void **state)
{
    struct dns_rig rig;
    struct dns_list list;
    struct conf *conf = parse(lists);
    union net_address client = address_of("192.0.2.1");
    bool done = false;
    (void)state;
    dns_rig_init(&rig, rows);
    dns_list_init(&list, rig.dns, on_done, &done);
    dns_list_start(&list, conf, &client);
    dns_list_cancel(&list);
    dns_list_start(&list, conf, &client);
    while (!dns_is_asked(&list.reason))
        loop_turn(rig.loop, 1000);
    dns_list_cancel(&list);
    while (dns_counts(rig.dns).under_way > 0)
        loop_turn(rig.loop, 1000);
    assert_false(done);
    dns_rig_stop(&rig);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_good_answers_add_up),
        cmocka_unit_test(the_words_of_the_list_can_be_printed),
        cmocka_unit_test(the_words_of_the_list_are_bounded),
        cmocka_unit_test(words_are_not_asked_for_when_nobody_is_refused),
        cmocka_unit_test(without_lists_nobody_is_refused),
        cmocka_unit_test(a_list_that_is_gone_is_waited_for_so_long_and_not_longer),
        cmocka_unit_test(who_cancels_hears_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
