/*
 * The resolver against a server in the same loop: answers, the cache, what servers do wrong, and
 * all of it behind the sandbox of smtpd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/dns_rig.h"
#include "util/base/clock.h"
#include "util/sys/sandbox.h"

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static const struct rig_row rows[] = {
    ROW("h.test", DNS_A, "192.0.2.1"),
    ROW("h.test", DNS_AAAA, "2001:db8::1"),
    ROW("h.test", DNS_MX, "10 mx.test"),
    {.name = "short.test", .type = DNS_A, .data = "192.0.2.2", .ttl = UINT32_MAX},
    ROW("cut.test", DNS_A, "192.0.2.3"),
    FAULT("cut.test", RIG_TRUNCATED),
    ROW("forged.test", DNS_A, "192.0.2.4"),
    FAULT("forged.test", RIG_WRONG_ID),
    ROW("other.test", DNS_A, "192.0.2.5"),
    FAULT("other.test", RIG_WRONG_NAME),
    ROW("empty.test", DNS_A, "192.0.2.6"),
    FAULT("empty.test", RIG_EMPTY),
    FAULT("servfail.test", RIG_SERVFAIL),
    FAULT("refused.test", RIG_REFUSED),
    FAULT("silent.test", RIG_SILENT),
    FAULT("garbage.test", RIG_GARBAGE),
    END_OF_ROWS,
};

/* One question and what became of it. */
struct asked {
    struct dns_query query;
    struct dns_rig *rig;
    bool done;
    unsigned times;
    enum dns_result result;
    bool authentic;
    size_t count;
    char first[NET_TEXT_MAX]; /* the first address or name */
};

static void on_answer(void *arg, const struct dns_answer *answer)
{
    struct asked *asked = arg;
    assert_false(dns_is_asked(&asked->query));
    asked->done = true;
    asked->times++;
    asked->result = answer->result;
    asked->authentic = answer->authentic;
    asked->count = answer->count;
    asked->first[0] = '\0';
    if (answer->count > 0 && answer->records[0].text.len > 0)
        snprintf(asked->first, sizeof asked->first, "%.*s", SPAN_ARG(answer->records[0].text));
    else if (answer->count > 0)
        (void)net_text(&answer->records[0].address, asked->first);
}

static void ask(struct dns_rig *rig, struct asked *asked, enum dns_type type, const char *name)
{
    *asked = (struct asked){.rig = rig};
    dns_query_init(&asked->query, on_answer, asked);
    dns_ask(rig->dns, &asked->query, type, span_cstr(name));
    assert_false(asked->done);
    assert_true(dns_is_asked(&asked->query));
}

static struct asked result_of(struct dns_rig *rig, enum dns_type type, const char *name)
{
    struct asked asked;
    ask(rig, &asked, type, name);
    dns_rig_until(rig, &asked.done);
    assert_int_equal(asked.times, 1);
    return asked;
}

static void answers_of_each_kind_come(void **state)
{
    static const struct {
        const char *name;
        enum dns_type type;
        enum dns_result result;
        const char *first;
    } expected[] = {
        {"h.test", DNS_A, DNS_FOUND, "192.0.2.1"},
        {"H.Test", DNS_AAAA, DNS_FOUND, "2001:db8::1"},
        {"h.test", DNS_MX, DNS_FOUND, "mx.test"},
        {"h.test", DNS_TXT, DNS_NO_DATA, ""},
        {"none.test", DNS_A, DNS_NO_NAME, ""},
        {"not a name", DNS_A, DNS_NO_NAME, ""},
        {"cut.test", DNS_A, DNS_FOUND, "192.0.2.3"},
        {"forged.test", DNS_A, DNS_FOUND, "192.0.2.4"},
        {"other.test", DNS_A, DNS_FOUND, "192.0.2.5"},
        {"empty.test", DNS_A, DNS_FOUND, "192.0.2.6"},
        {"servfail.test", DNS_A, DNS_TEMPORARY, ""},
        {"refused.test", DNS_A, DNS_TEMPORARY, ""},
        {"silent.test", DNS_A, DNS_TEMPORARY, ""},
        {"garbage.test", DNS_A, DNS_TEMPORARY, ""},
    };
    struct dns_rig rig;
    (void)state;
    dns_rig_init(&rig, rows);
    for (size_t i = 0; i < COUNT(expected); i++) {
        struct asked asked = result_of(&rig, expected[i].type, expected[i].name);
        if (asked.result != expected[i].result || strcmp(asked.first, expected[i].first) != 0)
            fail_msg("%s: %d, %s", expected[i].name, (int)asked.result, asked.first);
    }
    dns_rig_stop(&rig);
}

static void what_is_cut_is_asked_again_over_tcp(void **state)
{
    struct dns_rig rig;
    (void)state;
    dns_rig_init(&rig, rows);
    assert_int_equal(result_of(&rig, DNS_A, "cut.test").count, 1);
    assert_int_equal(rig.udp_questions, 1);
    assert_int_equal(rig.tcp_questions, 1);
    dns_rig_stop(&rig);
}

static void a_silent_server_is_given_up_after_its_tries(void **state)
{
    struct dns_rig rig;
    struct dns_options options = dns_rig_options();
    (void)state;
    options.timeout_ms = 50;
    options.tries = 3;
    dns_rig_init_with(&rig, rows, options);
    int64_t began = clock_ms();
    assert_int_equal(result_of(&rig, DNS_A, "silent.test").result, DNS_TEMPORARY);
    assert_int_equal(rig.udp_questions, 3);
    assert_in_range(clock_ms() - began, 50, 3000);
    dns_rig_stop(&rig);
}

static void answers_are_kept(void **state)
{
    static const char *const names[] = {"h.test", "none.test"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct dns_rig rig;
        dns_rig_init(&rig, rows);
        struct asked first = result_of(&rig, DNS_A, names[i]);
        struct asked second = result_of(&rig, DNS_A, names[i]);
        assert_int_equal(first.result, second.result);
        assert_string_equal(first.first, second.first);
        assert_int_equal(rig.udp_questions, 1);
        assert_int_equal(dns_counts(rig.dns).asked, 2);
        assert_int_equal(dns_counts(rig.dns).sent, 1);
        dns_rig_stop(&rig);
    }
}

static void trouble_and_what_has_no_ttl_are_not_kept(void **state)
{
    static const char *const names[] = {"servfail.test", "short.test"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct dns_rig rig;
        dns_rig_init(&rig, rows);
        (void)result_of(&rig, DNS_A, names[i]);
        unsigned before = rig.udp_questions;
        assert_int_equal(dns_counts(rig.dns).kept, 0);
        (void)result_of(&rig, DNS_A, names[i]);
        assert_true(rig.udp_questions > before);
        dns_rig_stop(&rig);
    }
}

static void an_answer_that_is_too_old_is_asked_for_again(void **state)
{
    static const struct rig_row brief[] = {
        {.name = "b.test", .type = DNS_A, .data = "192.0.2.1", .ttl = 1}, END_OF_ROWS};
    struct dns_rig rig;
    (void)state;
    dns_rig_init(&rig, brief);
    (void)result_of(&rig, DNS_A, "b.test");
    int64_t end = clock_ms() + 1001;
    while (clock_ms() < end)
        loop_turn(rig.loop, (int)(end - clock_ms()) + 1);
    (void)result_of(&rig, DNS_A, "b.test");
    assert_int_equal(rig.udp_questions, 2);
    dns_rig_stop(&rig);
}

static void the_cache_has_an_end_and_the_oldest_goes_first(void **state)
{
    struct dns_rig rig;
    struct dns_options options = dns_rig_options();
    (void)state;
    options.entries = 2;
    dns_rig_init_with(&rig, rows, options);
    (void)result_of(&rig, DNS_A, "a.test");
    (void)result_of(&rig, DNS_A, "b.test");
    (void)result_of(&rig, DNS_A, "a.test"); /* used: b is the oldest now */
    (void)result_of(&rig, DNS_A, "c.test");
    assert_int_equal(dns_counts(rig.dns).kept, 2);
    assert_int_equal(rig.udp_questions, 3);
    (void)result_of(&rig, DNS_A, "a.test");
    assert_int_equal(rig.udp_questions, 3);
    (void)result_of(&rig, DNS_A, "b.test");
    assert_int_equal(rig.udp_questions, 4);
    dns_rig_stop(&rig);
}

static void who_asks_for_the_same_shares_the_question(void **state)
{
    struct dns_rig rig;
    struct asked asked[5];
    (void)state;
    dns_rig_init(&rig, rows);
    for (size_t i = 0; i < COUNT(asked); i++)
        ask(&rig, &asked[i], DNS_A, "h.test");
    for (size_t i = 0; i < COUNT(asked); i++) {
        dns_rig_until(&rig, &asked[i].done);
        assert_string_equal(asked[i].first, "192.0.2.1");
    }
    assert_int_equal(rig.udp_questions, 1);
    dns_rig_stop(&rig);
}

static void too_many_questions_at_once_are_temporary(void **state)
{
    struct dns_rig rig;
    struct asked one, other, same;
    struct dns_options options = dns_rig_options();
    (void)state;
    options.questions = 1;
    dns_rig_init_with(&rig, rows, options);
    ask(&rig, &one, DNS_A, "h.test");
    ask(&rig, &other, DNS_AAAA, "h.test");
    ask(&rig, &same, DNS_A, "h.test");
    dns_rig_until(&rig, &other.done);
    assert_int_equal(other.result, DNS_TEMPORARY);
    dns_rig_until(&rig, &one.done);
    assert_int_equal(one.result, DNS_FOUND);
    assert_int_equal(same.result, DNS_FOUND);
    assert_int_equal(result_of(&rig, DNS_AAAA, "h.test").result, DNS_FOUND);
    dns_rig_stop(&rig);
}

static void who_cancels_hears_nothing(void **state)
{
    struct dns_rig rig;
    struct asked cancelled, other;
    (void)state;
    dns_rig_init(&rig, rows);
    ask(&rig, &cancelled, DNS_A, "h.test");
    ask(&rig, &other, DNS_A, "h.test");
    dns_cancel(&cancelled.query);
    assert_false(dns_is_asked(&cancelled.query));
    dns_rig_until(&rig, &other.done);
    assert_false(cancelled.done);
    dns_cancel(&cancelled.query);
    dns_rig_stop(&rig);
}

static struct asked *to_cancel;

static void on_answer_cancel(void *arg, const struct dns_answer *answer)
{
    on_answer(arg, answer);
    dns_cancel(&to_cancel->query);
}

static void an_answer_may_cancel_its_neighbour(void **state)
{
    struct dns_rig rig;
    struct asked first, second;
    (void)state;
    dns_rig_init(&rig, rows);
    ask(&rig, &first, DNS_A, "h.test");
    first.query.answered = on_answer_cancel;
    ask(&rig, &second, DNS_A, "h.test");
    to_cancel = &second;
    dns_rig_until(&rig, &first.done);
    assert_false(second.done);
    dns_rig_stop(&rig);
}

static void on_answer_again(void *arg, const struct dns_answer *answer)
{
    struct asked *asked = arg;
    on_answer(arg, answer);
    asked->done = asked->times == 3;
    if (!asked->done)
        dns_ask(asked->rig->dns, &asked->query, DNS_A,
                asked->times == 1 ? SPAN("silent.test") : SPAN("h.test"));
}

static void an_answer_may_ask_anew(void **state)
{
    struct dns_rig rig;
    struct asked asked;
    (void)state;
    dns_rig_init(&rig, rows);
    ask(&rig, &asked, DNS_A, "servfail.test");
    asked.query.answered = on_answer_again;
    dns_rig_until(&rig, &asked.done);
    assert_int_equal(asked.result, DNS_FOUND);
    dns_rig_stop(&rig);
}

static void ending_drops_what_is_under_way(void **state)
{
    struct dns_rig rig;
    struct asked sent, invalid, kept;
    (void)state;
    dns_rig_init(&rig, rows);
    (void)result_of(&rig, DNS_A, "h.test");
    ask(&rig, &sent, DNS_A, "silent.test");
    ask(&rig, &invalid, DNS_A, "not a name");
    ask(&rig, &kept, DNS_A, "h.test");
    dns_rig_stop(&rig);
    assert_false(sent.done || invalid.done || kept.done);
    assert_false(dns_is_asked(&sent.query) || dns_is_asked(&invalid.query));
}

static void authentic_is_believed_of_servers_on_this_host(void **state)
{
    struct dns_rig rig;
    (void)state;
    dns_rig_init(&rig, rows);
    assert_false(result_of(&rig, DNS_A, "h.test").authentic);
    rig.authentic = true;
    assert_true(result_of(&rig, DNS_AAAA, "h.test").authentic);
    dns_rig_stop(&rig);
}

static void the_ports_of_the_servers_are_known(void **state)
{
    struct dns_rig rig;
    uint16_t ports[DNS_SERVERS_MAX];
    (void)state;
    dns_rig_init(&rig, rows);
    dns_ports(rig.dns, ports);
    assert_int_equal(ports[0], net_port(&rig.address));
    assert_int_equal(ports[1], 0);
    dns_rig_stop(&rig);
}

static void many_questions_at_once_are_answered(void **state)
{
    enum { MANY = 900 };
    static struct asked asked[MANY];
    struct dns_rig rig;
    (void)state;
    dns_rig_init(&rig, rows);
    for (size_t i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%zu.test", i);
        ask(&rig, &asked[i], DNS_A, name);
        if (i % 50 == 0)
            loop_turn(rig.loop, 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        dns_rig_until(&rig, &asked[i].done);
        assert_int_equal(asked[i].result, DNS_NO_NAME);
    }
    assert_int_equal(dns_counts(rig.dns).kept, 100);
    dns_rig_stop(&rig);
}

/* ---- the sandbox ---- */

/* The child: a resolver made before the sandbox, used behind it. 0: all went well. */
static int ask_in_sandbox(const union net_address *server)
{
    struct dns_options options = dns_rig_options();
    struct sandbox sandbox = {.role = ROLE_SMTPD};
    struct dns_rig rig = {.loop = loop_new(), .rows = rows};
    struct asked asked[3];
    options.servers = server;
    options.server_count = 1;
    rig.dns = dns_new(rig.loop, &options);
    dns_ports(rig.dns, sandbox.ports);
    sandbox_enter(&sandbox);
    ask(&rig, &asked[0], DNS_A, "h.test");
    ask(&rig, &asked[1], DNS_A, "cut.test");
    ask(&rig, &asked[2], DNS_A, "silent.test");
    for (size_t i = 0; i < COUNT(asked); i++)
        while (!asked[i].done)
            loop_turn(rig.loop, 1000);
    dns_free(rig.dns);
    return asked[0].result == DNS_FOUND && strcmp(asked[1].first, "192.0.2.3") == 0 &&
                   asked[2].result == DNS_TEMPORARY
               ? 0
               : 1;
}

static void it_works_behind_the_sandbox_over_udp_and_tcp(void **state)
{
    struct dns_rig rig;
    int status = -1;
    (void)state;
    dns_rig_init(&rig, rows);
    pid_t pid = fork();
    if (pid == 0)
        _exit(ask_in_sandbox(&rig.address));
    assert_true(pid > 0);
    int64_t end = clock_ms() + 20000;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        assert_true(clock_ms() < end);
        loop_turn(rig.loop, 20);
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(rig.tcp_questions, 1);
    dns_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_each_kind_come),
        cmocka_unit_test(what_is_cut_is_asked_again_over_tcp),
        cmocka_unit_test(a_silent_server_is_given_up_after_its_tries),
        cmocka_unit_test(answers_are_kept),
        cmocka_unit_test(trouble_and_what_has_no_ttl_are_not_kept),
        cmocka_unit_test(an_answer_that_is_too_old_is_asked_for_again),
        cmocka_unit_test(the_cache_has_an_end_and_the_oldest_goes_first),
        cmocka_unit_test(who_asks_for_the_same_shares_the_question),
        cmocka_unit_test(too_many_questions_at_once_are_temporary),
        cmocka_unit_test(who_cancels_hears_nothing),
        cmocka_unit_test(an_answer_may_cancel_its_neighbour),
        cmocka_unit_test(an_answer_may_ask_anew),
        cmocka_unit_test(ending_drops_what_is_under_way),
        cmocka_unit_test(authentic_is_believed_of_servers_on_this_host),
        cmocka_unit_test(the_ports_of_the_servers_are_known),
        cmocka_unit_test(many_questions_at_once_are_answered),
        cmocka_unit_test(it_works_behind_the_sandbox_over_udp_and_tcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
