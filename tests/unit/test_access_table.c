/*
 * The tables `access` and `senders`: what a person may write, what is refused with a word that
 * helps, and which of several keys wins.
 */
#include "table_rig.h"

#include <stdio.h>
#include <string.h>

#include "util/mail/access_table.h"
#include "util/mail/senders_table.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct fixture {
    struct table_rig tables;
    struct arena arena;
    struct table *table;
    struct access_entry entry;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    table_rig_begin(&fixture->tables, "");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    table_close(fixture->table);
    table_rig_end(&fixture->tables);
    arena_free(&fixture->arena);
    mem_free(fixture);
    return 0;
}

/* Compiles the text and opens what comes of it. */
static void use(struct fixture *fixture, const char *name, const struct table_rules *rules,
                const char *text)
{
    table_rig_write_with(&fixture->tables, name, text, rules);
    fixture->table = table_open("db", table_rig_path(&fixture->tables, name));
}

/* What is wrong with the text; "" when nothing is. */
static const char *problem_of(struct fixture *fixture, const struct table_rules *rules,
                              const char *text, unsigned *line)
{
    static struct table_problem problem;
    const char *path = table_rig_path(&fixture->tables, "draft");
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    problem = (struct table_problem){0};
    if (table_build_with(path, 0600, rules, &problem))
        return "";
    *line = problem.line;
    return problem.text;
}

static unsigned client_line(struct fixture *fixture, const char *address, const char *name)
{
    union net_address client;
    assert_true(net_parse_address(span_cstr(address), &client));
    enum table_result result = access_find_client(fixture->table, &fixture->arena, &client,
                                                  span_cstr(name), &fixture->entry);
    assert_int_equal(result, fixture->entry.action == ACCESS_NONE ? TABLE_NOT_FOUND : TABLE_FOUND);
    return fixture->entry.line;
}

static unsigned helo_line(struct fixture *fixture, const char *name)
{
    assert_int_not_equal(
        access_find_helo(fixture->table, &fixture->arena, span_cstr(name), &fixture->entry),
        TABLE_ERROR);
    return fixture->entry.line;
}

static unsigned address_line(struct fixture *fixture, enum access_kind kind, const char *text)
{
    struct address address;
    if (*text)
        assert_int_equal(address_parse(span_cstr(text), &address), ADDRESS_OK);
    assert_int_not_equal(access_find_address(fixture->table, &fixture->arena, kind,
                                             *text ? &address : NULL, &fixture->entry),
                         TABLE_ERROR);
    return fixture->entry.line;
}

/* ---- access: which key wins ---- */

static void the_longest_network_wins_and_a_name_comes_after_networks(void **state)
{
    static const struct {
        const char *address, *name;
        unsigned line;
    } rows[] = {
        {"192.0.2.7", "", 1},
        {"192.0.2.7", "mail.example.net", 1},
        {"192.0.2.8", "", 2},
        {"192.0.3.1", "", 3},
        {"192.1.0.1", "", 0},
        {"2001:db8::1", "", 4},
        {"2001:db8:1::1", "", 5},
        {"2001:db9::1", "", 0},
        {"::ffff:192.0.2.7", "", 1},
        {"198.51.100.1", "mail.example.net", 6},
        {"198.51.100.1", "MAIL.example.NET", 6},
        {"198.51.100.1", "other.example.net", 7},
        {"198.51.100.1", "a.b.example.net", 7},
        {"198.51.100.1", "example.net", 0},
        {"198.51.100.1", "badexample.net", 0},
        {"198.51.100.1", "", 0},
    };
    struct fixture *fixture = *state;
    use(fixture, "access", &access_rules,
        "client:192.0.2.7 OK\nclient:192.0.2.0/24 REJECT\nclient:192.0.0.0/16 REJECT\n"
        "client:2001:db8::/64 OK\nclient:2001:db8::/32 REJECT\n"
        "client:mail.example.net OK\nclient:.example.net REJECT\n");
    for (size_t i = 0; i < COUNT(rows); i++)
        if (client_line(fixture, rows[i].address, rows[i].name) != rows[i].line)
            fail_msg("%s %s: line %u", rows[i].address, rows[i].name, fixture->entry.line);
}

static void every_length_of_a_network_is_found(void **state)
{
    static char text[16384];
    struct fixture *fixture = *state;
    size_t used = 0;
    for (int bits = 0; bits <= 32; bits++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "client:0.0.0.0/%d OK\n", bits);
    for (int bits = 0; bits <= 127; bits++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "client:::/%d OK\n", bits);
    use(fixture, "access", &access_rules, text);
    assert_int_equal(client_line(fixture, "0.0.0.0", ""), 33);
    assert_int_equal(client_line(fixture, "0.0.0.1", ""), 32);
    assert_int_equal(client_line(fixture, "0.0.1.0", ""), 24);
    assert_int_equal(client_line(fixture, "128.0.0.0", ""), 1);
    assert_int_equal(client_line(fixture, "::1", ""), 33 + 128);
    assert_int_equal(client_line(fixture, "8000::", ""), 34);
}

static void a_table_without_networks_knows_no_address(void **state)
{
    struct fixture *fixture = *state;
    use(fixture, "access", &access_rules, "client:mail.example.net OK\n");
    assert_int_equal(client_line(fixture, "192.0.2.1", ""), 0);
    assert_int_equal(client_line(fixture, "192.0.2.1", "mail.example.net"), 1);
}

static void helo_is_found_by_name_parent_or_literal(void **state)
{
    struct fixture *fixture = *state;
    use(fixture, "access", &access_rules,
        "helo:friend REJECT\nhelo:.dsl.example REJECT\nhelo:[192.0.2.1] REJECT\n"
        "client:other.example REJECT\n");
    assert_int_equal(helo_line(fixture, "friend"), 1);
    assert_int_equal(helo_line(fixture, "FRIEND"), 1);
    assert_int_equal(helo_line(fixture, "a.b.dsl.example"), 2);
    assert_int_equal(helo_line(fixture, "dsl.example"), 0);
    assert_int_equal(helo_line(fixture, "[192.0.2.1]"), 3);
    assert_int_equal(helo_line(fixture, "[192.0.2.2]"), 0);
    assert_int_equal(helo_line(fixture, "other.example"), 0);
    assert_int_equal(helo_line(fixture, ""), 0);
    assert_int_equal(helo_line(fixture, "..."), 0);
}

static void an_address_goes_before_its_domain_and_that_before_the_local_part(void **state)
{
    struct fixture *fixture = *state;
    use(fixture, "access", &access_rules,
        "sender:joe@example.biz OK\nsender:example.biz REJECT\nsender:.example.biz DEFER\n"
        "sender:bulk@ HOLD\nsender:<> DEFER\nrecipient:joe@example.biz REJECT\n");
    assert_int_equal(address_line(fixture, ACCESS_SENDER, "Joe@Example.biz"), 1);
    assert_int_equal(address_line(fixture, ACCESS_SENDER, "bulk@example.biz"), 2);
    assert_int_equal(address_line(fixture, ACCESS_SENDER, "x@sub.example.biz"), 3);
    assert_int_equal(address_line(fixture, ACCESS_SENDER, "Bulk@far.test"), 4);
    assert_int_equal(address_line(fixture, ACCESS_SENDER, ""), 5);
    assert_int_equal(address_line(fixture, ACCESS_SENDER, "joe@far.test"), 0);
    assert_int_equal(address_line(fixture, ACCESS_RECIPIENT, "joe@example.biz"), 6);
    assert_int_equal(address_line(fixture, ACCESS_RECIPIENT, "x@example.biz"), 0);
}

/* ---- access: what is done ---- */

static void each_action_is_read_with_its_code_status_and_text(void **state)
{
    static const struct {
        const char *value;
        enum access_action action;
        unsigned code;
        const char *enhanced, *text;
    } rows[] = {
        {"OK", ACCESS_OK, 0, "", ""},
        {"ok", ACCESS_OK, 0, "", ""},
        {"Hold", ACCESS_HOLD, 0, "", ""},
        {"REJECT", ACCESS_REFUSE, 554, "5.7.1", "Access denied"},
        {"REJECT We know you", ACCESS_REFUSE, 554, "5.7.1", "We know you"},
        {"REJECT\tWe know you", ACCESS_REFUSE, 554, "5.7.1", "We know you"},
        {"REJECT 5.1.6 Moved", ACCESS_REFUSE, 554, "5.1.6", "Moved"},
        {"DEFER", ACCESS_REFUSE, 450, "4.7.1", "Try again later"},
        {"DEFER 4.2.1 On holiday", ACCESS_REFUSE, 450, "4.2.1", "On holiday"},
        {"421 Go away", ACCESS_REFUSE, 421, "4.7.1", "Go away"},
        {"550 5.7.25", ACCESS_REFUSE, 550, "5.7.25", "Access denied"},
        {"550 5.7 is no status", ACCESS_REFUSE, 550, "5.7.1", "5.7 is no status"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[128];
        (void)snprintf(text, sizeof(text), "helo:x %s\n", rows[i].value);
        use(fixture, "access", &access_rules, text);
        assert_int_equal(helo_line(fixture, "x"), 1);
        assert_int_equal(fixture->entry.action, rows[i].action);
        assert_int_equal(fixture->entry.code, rows[i].code);
        assert_true(span_equal(fixture->entry.enhanced, span_cstr(rows[i].enhanced)));
        assert_true(span_equal(fixture->entry.text, span_cstr(rows[i].text)));
        table_close(fixture->table);
        fixture->table = NULL;
    }
}

static void what_makes_no_sense_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *entry, *said;
    } rows[] = {
        {"192.0.2.1 OK", "client:, helo:"},
        {"networks OK", "client:, helo:"},
        {"clients:192.0.2.1 OK", "client:, helo:"},
        {"client:192.0.2.1/24 OK", "behind its mask"},
        {"client:192.0.2 OK", "a network such as"},
        {"client:2001:db8::/129 OK", "a network such as"},
        {"client: OK", "a network such as"},
        {"client:bad_name OK", "a network such as"},
        {"helo OK", "write helo:"},
        {"sender:joe@ex ample OK", "write OK"},
        {"sender:@example.biz OK", "user@domain"},
        {"sender:a@b@ OK", "user@domain"},
        {"recipient:<> OK", "user@domain"},
        {"sender:joe@-bad- OK", "user@domain"},
        {"helo:x", "write OK"},
        {"helo:x OK but", "write OK"},
        {"helo:x HOLD it", "write OK"},
        {"helo:x REJEKT", "write OK"},
        {"helo:x 250 Fine", "write OK"},
        {"helo:x 650 What", "write OK"},
        {"helo:x 560 What", "write OK"},
        {"helo:x 5500 What", "write OK"},
        {"helo:x 550 4.7.1 What", "write OK"},
        {"helo:x REJECT 4.7.1 What", "write OK"},
        {"helo:x REJECT caf\xc3\xa9", "write OK"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[256];
        unsigned line = 0;
        (void)snprintf(text, sizeof(text), "# first\n\n%s\n", rows[i].entry);
        const char *problem = problem_of(fixture, &access_rules, text, &line);
        if (strstr(problem, rows[i].said) == NULL || line != 3)
            fail_msg("%s: line %u: '%s'", rows[i].entry, line, problem);
    }
}

static void two_spellings_of_one_key_are_a_duplicate(void **state)
{
    static const char *const rows[] = {
        "client:192.0.2.1 OK\nclient:192.0.2.1/32 OK\n",
        "client:2001:db8::1 OK\nclient:2001:DB8:0:0::1 OK\n",
        "sender:Joe@Example.biz OK\nsender:joe@example.biz OK\n",
        "helo:x OK\nHELO:X: REJECT\n",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned line = 0;
        assert_non_null(strstr(problem_of(fixture, &access_rules, rows[i], &line), "second time"));
        assert_int_equal(line, 2);
    }
}

static void a_text_that_fits_no_reply_is_refused(void **state)
{
    char text[ACCESS_TEXT_MAX + 32];
    struct fixture *fixture = *state;
    unsigned line = 0;
    (void)snprintf(text, sizeof(text), "helo:x REJECT %0*d\n", ACCESS_TEXT_MAX, 1);
    assert_string_equal(problem_of(fixture, &access_rules, text, &line), "");
    (void)snprintf(text, sizeof(text), "helo:x REJECT %0*d\n", ACCESS_TEXT_MAX + 1, 1);
    assert_string_not_equal(problem_of(fixture, &access_rules, text, &line), "");
}

static void a_value_that_the_rules_did_not_make_is_no_entry(void **state)
{
    static const char *const rows[] = {"",
                                       "ok",
                                       "x ok",
                                       "1",
                                       "1 what",
                                       "1 ok more",
                                       "1 refuse",
                                       "1 refuse 550",
                                       "1 refuse x",
                                       "1 refuse 250 2.0.0 Fine",
                                       "1 refuse 999 9 x",
                                       "1 refuse 550 5.7.1"};
    struct access_entry entry;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (access_entry_read(span_cstr(rows[i]), &entry))
            fail_msg("'%s' was read", rows[i]);
}

static void a_damaged_table_is_an_error_and_not_silence(void **state)
{
    struct fixture *fixture = *state;
    union net_address client;
    struct address address;
    assert_true(net_parse_address(SPAN("192.0.2.1"), &client));
    assert_int_equal(address_parse(SPAN("a@b.test"), &address), ADDRESS_OK);
    use(fixture, "access", &access_rules, "helo:x OK\n");
    table_rig_damage(&fixture->tables, "access", DAMAGE_CORRUPT);
    assert_int_equal(access_find_client(fixture->table, &fixture->arena, &client, SPAN("x.test"),
                                        &fixture->entry),
                     TABLE_ERROR);
    assert_int_equal(access_find_helo(fixture->table, &fixture->arena, SPAN("x"), &fixture->entry),
                     TABLE_ERROR);
    assert_int_equal(access_find_address(fixture->table, &fixture->arena, ACCESS_SENDER, &address,
                                         &fixture->entry),
                     TABLE_ERROR);
}

/* ---- senders ---- */

static enum senders_verdict verdict_of(struct fixture *fixture, const char *login, const char *text,
                                       unsigned *line)
{
    struct address address;
    assert_int_equal(address_parse(span_cstr(text), &address), ADDRESS_OK);
    return senders_find(fixture->table, &fixture->arena, span_cstr(login), &address, line);
}

static void a_login_may_use_its_own_address_and_what_is_listed(void **state)
{
    static const struct {
        const char *login, *sender;
        enum senders_verdict verdict;
        unsigned line;
    } rows[] = {
        {"alice@example.test", "alice@example.test", SENDERS_OWN, 0},
        {"alice@example.test", "ALICE@Example.Test", SENDERS_OWN, 0},
        {"alice@example.test", "sales@example.test", SENDERS_LISTED, 1},
        {"alice@example.test", "Any@lists.EXAMPLE.test", SENDERS_LISTED, 1},
        {"alice@example.test", "any@sub.lists.example.test", SENDERS_REFUSED, 1},
        {"alice@example.test", "any@badlists.example.test", SENDERS_REFUSED, 1},
        {"alice@example.test", "bob@example.test", SENDERS_REFUSED, 1},
        {"alice@example.test", "alice+shop@example.test", SENDERS_REFUSED, 1},
        {"alice@example.test", "sales@example.tes", SENDERS_REFUSED, 1},
        {"gateway@example.test", "anybody@far.test", SENDERS_LISTED, 3},
        {"bob@example.test", "bob@example.test", SENDERS_OWN, 0},
        {"bob@example.test", "sales@example.test", SENDERS_REFUSED, 0},
    };
    struct fixture *fixture = *state;
    use(fixture, "senders", &senders_rules,
        "Alice@example.test: Sales@Example.test,\n  @Lists.example.test\n"
        "gateway@example.test *\n");
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned line = 99;
        assert_int_equal(verdict_of(fixture, rows[i].login, rows[i].sender, &line),
                         rows[i].verdict);
        assert_int_equal(line, rows[i].line);
    }
}

static void items_that_are_no_senders_are_refused_with_their_line(void **state)
{
    static const char *const rows[] = {
        "alice sales@example.test",      "alice@example.test",
        "alice@example.test sales",      "alice@example.test @",
        "alice@example.test @bad_name",  "alice@example.test a@b@c",
        "alice@example.test **",         "@example.test sales@example.test",
        "alice@example.test @.sub.test", "alice@example.test \"a b\"@example.test",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[256];
        unsigned line = 0;
        (void)snprintf(text, sizeof(text), "\n%s\n", rows[i]);
        if (*problem_of(fixture, &senders_rules, text, &line) == '\0' || line != 2)
            fail_msg("'%s' was taken, or line %u", rows[i], line);
    }
}

static void senders_that_can_not_be_read_refuse_nobody(void **state)
{
    struct fixture *fixture = *state;
    unsigned line;
    use(fixture, "senders", &senders_rules, "alice@example.test *\n");
    table_rig_damage(&fixture->tables, "senders", DAMAGE_EMPTY);
    assert_int_equal(verdict_of(fixture, "alice@example.test", "x@far.test", &line), SENDERS_ERROR);
    assert_int_equal(verdict_of(fixture, "alice@example.test", "alice@example.test", &line),
                     SENDERS_OWN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_longest_network_wins_and_a_name_comes_after_networks),
        TEST(every_length_of_a_network_is_found),
        TEST(a_table_without_networks_knows_no_address),
        TEST(helo_is_found_by_name_parent_or_literal),
        TEST(an_address_goes_before_its_domain_and_that_before_the_local_part),
        TEST(each_action_is_read_with_its_code_status_and_text),
        TEST(what_makes_no_sense_is_refused_with_its_line),
        TEST(two_spellings_of_one_key_are_a_duplicate),
        TEST(a_text_that_fits_no_reply_is_refused),
        TEST(a_value_that_the_rules_did_not_make_is_no_entry),
        TEST(a_damaged_table_is_an_error_and_not_silence),
        TEST(a_login_may_use_its_own_address_and_what_is_listed),
        TEST(items_that_are_no_senders_are_refused_with_their_line),
        TEST(senders_that_can_not_be_read_refuse_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
