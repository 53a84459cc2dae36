/*
 * Each row is an address and what becomes of it, over one set of real tables: users, aliases of
 * every kind, routes. What the rows can not say (damaged tables, bounds) has tests of its own.
 */
#include "table_rig.h"

#include <stdio.h>

#include "lookup/expand.h"
#include "tests/unit/buf_text.h"
#include "util/base/buf.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const char routes[] =
    "route \"sink@example.test\" { transport = discard }\n"
    "route \"gate.test\" { transport = smtp nexthop = \"[192.0.2.7]:25\" }\n"
    "route \"held.test\" { transport = hold }\n"
    "route \"closed@example.test\" { transport = error nexthop = \"5.1.6 moved away\" }\n"
    "limits { alias_depth = 8 alias_expansion = 20 }\n";

static const char users[] = "alice@example.test\n"
                            "bob@example.test: elsewhere/bob\n"
                            "carol@example.test\n"
                            "sink@example.test\n"
                            "closed@example.test\n"
                            "dave@second.test\n"
                            "..@example.test\n"
                            ".hidden@example.test\n"
                            "a/b@example.test\n"
                            "/x@example.test\n"
                            "a/c@example.test: c/mail\n"
                            "up@example.test: ../up\n"
                            "inner@example.test: a/../../b\n"
                            "absolute@example.test: /etc\n"
                            "slash@example.test: a/\n"
                            "double@example.test: a//b\n"
                            "dot@example.test: a/./b\n"
                            "u@ext@example.test: odd/at\n";

static const char aliases[] =
    "postmaster: alice\n"
    "team: alice, bob,\n carol\n"
    "info@example.test: alice\n"
    "info@second.test: dave\n"
    "info: bob\n"
    "one: two\n"
    "two: three\n"
    "three: alice\n"
    "carol: carol, bob\n"
    "ghost: ghost\n"
    "ring1: ring2\n"
    "ring2: ring3\n"
    "ring3: ring1\n"
    "twice: alice, ALICE, alice@Example.Test, <alice@example.test>, team\n"
    "cases: X@far.test, x@far.test, x@Far.Test, Bob@second.test\n"
    "bob@second.test: bob@example.test, BOB@example.test\n"
    "quoted: \"alice\"@example.test\n"
    "comma: \"last, first\"@far.test, bob\n"
    "escaped: \"a\\\"b, c\"@far.test, bob\n"
    "pipe: |/bin/sh\n"
    "quotedpipe: alice, \"|/bin/sh -c id\"\n"
    "file: /etc/passwd\n"
    "include: :include:/etc/shadow\n"
    "nested: alice, pipe\n"
    "half: alice, nobody\n"
    "none: nobody, nobody2\n"
    "empty:\n"
    "commas: , ,\n"
    "holdsempty: empty, alice\n"
    "away: x@far.test\n"
    "bad: alice, b@d@e\n"
    "open: \"alice, bob\n"
    "secret@second.test: bob\n"
    "down1: down2\ndown2: down3\ndown3: down4\ndown4: down5\n"
    "down5: down6\ndown6: down7\ndown7: down8\ndown8: alice\n";

struct fixture {
    struct table_rig rig;
    struct conf *conf;
    struct expand_tables tables;
    struct arena arena;
    struct buf text;
};

static struct table *opened(const struct table_rig *rig, const char *name)
{
    struct table *table = table_open("db", table_rig_path(rig, name));
    assert_non_null(table);
    return table;
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    table_rig_begin(&fixture->rig, routes);
    table_rig_write(&fixture->rig, "users", users);
    table_rig_write(&fixture->rig, "aliases", aliases);
    fixture->conf = table_rig_conf(&fixture->rig);
    fixture->tables = (struct expand_tables){.conf = fixture->conf,
                                             .users = opened(&fixture->rig, "users"),
                                             .aliases = opened(&fixture->rig, "aliases")};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    table_close(fixture->tables.users);
    table_close(fixture->tables.aliases);
    conf_free(fixture->conf);
    arena_free(&fixture->arena);
    buf_free(&fixture->text);
    table_rig_end(&fixture->rig);
    mem_free(fixture);
    return 0;
}

static struct expansion expand(struct fixture *fixture, const char *text, bool trusted)
{
    struct address address;
    struct span rest;
    if (address_parse_path(span_cstr(text), SPAN("example.test"), &address, &rest) != ADDRESS_OK)
        fail_msg("no address: %s", text);
    arena_reset(&fixture->arena);
    return expand_address(&fixture->tables, &fixture->arena, &address, trusted);
}

static enum resolve_status status_of(struct fixture *fixture, const char *text)
{
    return expand(fixture, text, false).status;
}

/* "address transport nexthop; ..." in the order they were found. */
static const char *shown(struct fixture *fixture, const struct expansion *expansion)
{
    buf_reset(&fixture->text);
    for (size_t i = 0; i < expansion->count; i++) {
        const struct final_recipient *final = &expansion->recipients[i];
        assert_true(buf_text(&fixture->text, "%s%.*s %.*s %.*s", i > 0 ? "; " : "",
                             SPAN_ARG(final->address), SPAN_ARG(final->transport),
                             SPAN_ARG(final->nexthop)));
    }
    buf_add(&fixture->text, span_of("", 1));
    return buf_span(&fixture->text).data;
}

static void assert_leads_to(struct fixture *fixture, const char *text, const char *finals)
{
    struct expansion expansion = expand(fixture, text, false);
    if (expansion.status != RESOLVE_OK)
        fail_msg("%s: status %d", text, expansion.status);
    assert_string_equal(shown(fixture, &expansion), finals);
}

struct row {
    const char *address, *finals;
};

static void assert_rows(struct fixture *fixture, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_leads_to(fixture, rows[i].address, rows[i].finals);
}

static void assert_status(struct fixture *fixture, const char *const *addresses, size_t count,
                          enum resolve_status status)
{
    for (size_t i = 0; i < count; i++)
        if (status_of(fixture, addresses[i]) != status)
            fail_msg("%s is not answered with %d", addresses[i], status);
}

/* ---- mailboxes ---- */

static void a_user_leads_to_the_mailbox_of_the_domain_or_to_the_one_that_is_named(void **state)
{
    static const struct row rows[] = {
        {"alice@example.test", "alice@example.test local example.test/alice"},
        {"ALICE@Example.Test", "ALICE@example.test local example.test/alice"},
        {"bob@example.test", "bob@example.test local elsewhere/bob"},
        {"dave@second.test", "dave@second.test local second.test/dave"},
    };
    assert_rows(*state, rows, COUNT(rows));
}

static void who_is_in_no_table_is_unknown(void **state)
{
    static const char *const addresses[] = {
        "nobody@example.test",
        "alice@second.test",
        "dave@example.test",
        "u%ext@example.test",
        "ext!u@example.test",
        "-oQ@example.test",
        "%n@example.test",
        "|cmd@example.test",
        "/file@example.test",
        "${run{x}}@example.test",
        "\":include:/etc/shadow\"@example.test",
        "\";id;\"@example.test",
        "\"a b\"@example.test",
    };
    assert_status(*state, addresses, COUNT(addresses), RESOLVE_UNKNOWN_USER);
}

static void no_local_part_becomes_a_path_that_leaves_the_mail_root(void **state)
{
    static const char *const addresses[] = {
        "\"..\"@example.test", "\".hidden\"@example.test", "a/b@example.test",
        "/x@example.test",     "../x@example.test",        "\"../x\"@example.test",
    };
    struct fixture *fixture = *state;
    struct span path;
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct address address;
        struct span rest;
        if (address_parse_path(span_cstr(addresses[i]), SPAN(""), &address, &rest) != ADDRESS_OK)
            continue; /* refused earlier still */
        assert_int_equal(status_of(fixture, addresses[i]), RESOLVE_UNKNOWN_USER);
        assert_int_equal(
            expand_mailbox(&fixture->tables, &fixture->arena, span_cstr(addresses[i]), &path),
            RESOLVE_UNKNOWN_USER);
    }
}

static void a_control_octet_in_a_local_part_never_becomes_a_mailbox(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned octet = 0; octet < 0x20; octet++) {
        struct address address = {.local_len = 5, .local = "alice"};
        struct span domain = SPAN("example.test");
        address.domain_len = (uint16_t)domain.len;
        memcpy(address.domain, domain.data, domain.len);
        address.local[2] = (char)octet;
        struct expansion expansion =
            expand_address(&fixture->tables, &fixture->arena, &address, false);
        assert_int_equal(expansion.status, RESOLVE_UNKNOWN_USER);
    }
}

static void a_path_in_the_table_that_is_unsafe_is_no_mailbox(void **state)
{
    static const char *const addresses[] = {
        "up@example.test",    "inner@example.test",  "absolute@example.test",
        "slash@example.test", "double@example.test", "dot@example.test",
    };
    assert_status(*state, addresses, COUNT(addresses), RESOLVE_UNKNOWN_USER);
    assert_leads_to(*state, "a/c@example.test", "a/c@example.test local c/mail");
}

/* ---- aliases ---- */

static void aliases_are_followed_to_the_end(void **state)
{
    static const struct row rows[] = {
        {"one@example.test", "alice@example.test local example.test/alice"},
        {"TWO@example.test", "alice@example.test local example.test/alice"},
        {"team@example.test", "alice@example.test local example.test/alice; "
                              "bob@example.test local elsewhere/bob; "
                              "carol@example.test local example.test/carol"},
        {"away@example.test", "x@far.test smtp far.test"},
    };
    struct fixture *fixture = *state;
    assert_rows(fixture, rows, 2);
    assert_leads_to(fixture, rows[3].address, rows[3].finals);
    struct expansion team = expand(fixture, rows[2].address, false);
    assert_int_equal(team.count, 3);
    assert_string_equal(shown(fixture, &team), rows[2].finals);
}

static void a_whole_address_comes_before_a_local_part(void **state)
{
    static const struct row rows[] = {
        {"info@example.test", "alice@example.test local example.test/alice"},
        {"info@second.test", "dave@second.test local second.test/dave"},
    };
    assert_rows(*state, rows, COUNT(rows));
}

static void a_bare_member_belongs_to_the_domain_of_its_alias(void **state)
{
    assert_int_equal(status_of(*state, "one@second.test"), RESOLVE_UNKNOWN_USER);
    assert_leads_to(*state, "one@example.test", "alice@example.test local example.test/alice");
}

static void an_alias_that_names_itself_means_the_mailbox(void **state)
{
    assert_leads_to(*state, "carol@example.test",
                    "carol@example.test local example.test/carol; "
                    "bob@example.test local elsewhere/bob");
    assert_int_equal(status_of(*state, "ghost@example.test"), RESOLVE_UNKNOWN_USER);
}

static void a_ring_of_aliases_is_a_loop(void **state)
{
    static const char *const addresses[] = {"ring1@example.test", "ring2@example.test",
                                            "ring3@example.test"};
    assert_status(*state, addresses, COUNT(addresses), RESOLVE_LOOP);
}

static void a_chain_may_be_as_long_as_alias_depth(void **state)
{
    assert_leads_to(*state, "down2@example.test", "alice@example.test local example.test/alice");
    assert_int_equal(status_of(*state, "down1@example.test"), RESOLVE_LOOP);
}

static void duplicates_are_found_once(void **state)
{
    struct fixture *fixture = *state;
    struct expansion expansion = expand(fixture, "twice@example.test", false);
    assert_int_equal(expansion.status, RESOLVE_OK);
    assert_int_equal(expansion.count, 3);
}

/* RFC 5321 §2.4: whether case counts in a local part is for the host to say whose it is. */
static void case_tells_mailboxes_of_other_hosts_apart(void **state)
{
    assert_leads_to(*state, "cases@example.test",
                    "X@far.test smtp far.test; x@far.test smtp far.test; "
                    "bob@example.test local elsewhere/bob");
}

static void commas_within_quotes_separate_nothing(void **state)
{
    static const struct row rows[] = {
        {"quoted@example.test", "alice@example.test local example.test/alice"},
        {"comma@example.test", "\"last, first\"@far.test smtp far.test; "
                               "bob@example.test local elsewhere/bob"},
        {"escaped@example.test", "\"a\\\"b, c\"@far.test smtp far.test; "
                                 "bob@example.test local elsewhere/bob"},
    };
    assert_rows(*state, rows, COUNT(rows));
}

static void commands_files_and_includes_refuse_the_whole_alias(void **state)
{
    static const char *const addresses[] = {"pipe@example.test", "quotedpipe@example.test",
                                            "file@example.test", "include@example.test",
                                            "nested@example.test"};
    assert_status(*state, addresses, COUNT(addresses), RESOLVE_DENIED);
}

static void a_member_that_is_no_address_is_temporary(void **state)
{
    static const char *const addresses[] = {"bad@example.test", "open@example.test"};
    assert_status(*state, addresses, COUNT(addresses), RESOLVE_TEMPORARY);
}

static void an_unknown_member_fails_and_the_others_get_their_mail(void **state)
{
    static const struct row rows[] = {
        {"half@example.test", "alice@example.test local example.test/alice; "
                              "nobody@example.test error 5.1.1 user unknown"},
        {"holdsempty@example.test", "empty@example.test error 5.1.1 user unknown; "
                                    "alice@example.test local example.test/alice"},
    };
    assert_rows(*state, rows, COUNT(rows));
}

static void an_alias_that_leads_to_nobody_is_an_unknown_user(void **state)
{
    static const char *const addresses[] = {"none@example.test", "empty@example.test",
                                            "commas@example.test"};
    assert_status(*state, addresses, COUNT(addresses), RESOLVE_UNKNOWN_USER);
}

static void a_quoted_local_part_does_not_pass_for_an_address_of_the_table(void **state)
{
    assert_int_equal(status_of(*state, "\"secret@second.test\"@example.test"),
                     RESOLVE_UNKNOWN_USER);
    assert_leads_to(*state, "\"u@ext\"@example.test", "\"u@ext\"@example.test local odd/at");
}

/* An alias NAME with the members member0 ... member(count-1), all of another host. */
static void write_large_alias(struct fixture *fixture, const char *name, unsigned count)
{
    buf_reset(&fixture->text);
    assert_true(buf_text(&fixture->text, "%s: member0@far.test", name));
    for (unsigned i = 1; i < count; i++)
        assert_true(buf_text(&fixture->text, ", member%u@far.test", i));
    buf_add(&fixture->text, span_of("\n", 2));
    table_rig_write(&fixture->rig, "aliases", buf_span(&fixture->text).data);
}

static void as_many_recipients_as_alias_expansion_are_found_and_not_one_more(void **state)
{
    struct fixture *fixture = *state;
    write_large_alias(fixture, "many", 20);
    struct expansion expansion = expand(fixture, "many@example.test", false);
    assert_int_equal(expansion.status, RESOLVE_OK);
    assert_int_equal(expansion.count, 20);
    write_large_alias(fixture, "many", 21);
    assert_int_equal(status_of(fixture, "many@example.test"), RESOLVE_TOO_MANY);
}

/* Seven levels of twenty members each, all of which lead to one mailbox: 20^7 ways. */
static void a_million_ways_to_one_mailbox_are_not_walked(void **state)
{
    struct fixture *fixture = *state;
    buf_reset(&fixture->text);
    for (unsigned level = 1; level < 8; level++)
        for (unsigned i = 0; i < 20; i++) {
            assert_true(buf_text(&fixture->text, "l%u-%u: ", level, i));
            for (unsigned j = 0; level < 7 && j < 20; j++)
                assert_true(buf_text(&fixture->text, "l%u-%u,", level + 1, j));
            assert_true(buf_text(&fixture->text, "alice\n"));
        }
    buf_add(&fixture->text, span_of("", 1));
    table_rig_write(&fixture->rig, "aliases", buf_span(&fixture->text).data);
    assert_int_equal(status_of(fixture, "l1-0@example.test"), RESOLVE_TOO_MANY);
}

/* ---- postmaster, names of this host ---- */

/* RFC 5321 §4.5.1 */
static void postmaster_exists_in_every_case_and_domain_of_ours(void **state)
{
    static const char *const addresses[] = {
        "postmaster",
        "PostMaster@example.test",
        "POSTMASTER@mx.example.test",
        "postmaster@[127.0.0.1]",
        "postmaster@[IPv6:::1]",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(addresses); i++)
        assert_leads_to(fixture, addresses[i], "alice@example.test local example.test/alice");
    table_rig_write(&fixture->rig, "aliases", "postmaster@example.test: bob\n");
    assert_leads_to(fixture, "postMASTER@second.test", "bob@example.test local elsewhere/bob");
    table_rig_write(&fixture->rig, "aliases", "root: bob\n");
    assert_int_equal(status_of(fixture, "postmaster@second.test"), RESOLVE_UNKNOWN_USER);
    assert_int_equal(status_of(fixture, "postmaster@example.test"), RESOLVE_UNKNOWN_USER);
}

static void the_host_name_and_its_literals_mean_the_first_domain(void **state)
{
    static const char *const addresses[] = {"alice@mx.example.test", "alice@MX.example.test.",
                                            "alice@[127.0.0.1]", "alice@[IPv6:::1]"};
    for (size_t i = 0; i < COUNT(addresses); i++)
        assert_leads_to(*state, addresses[i], "alice@example.test local example.test/alice");
}

/* ---- other hosts, routes ---- */

static void whoever_is_not_trusted_reaches_our_domains_and_the_relayed_ones_alone(void **state)
{
    static const char *const addresses[] = {
        "x@far.test",  "@example.test:x@far.test", "x@[192.0.2.99]", "x@sub.partner.test",
        "x@gate.test", "postmaster@far.test",
    };
    assert_status(*state, addresses, COUNT(addresses), RESOLVE_RELAY_DENIED);
    assert_leads_to(*state, "x@partner.test", "x@partner.test smtp partner.test");
}

static void whoever_is_trusted_reaches_everybody(void **state)
{
    static const struct row rows[] = {
        {"x@far.test", "x@far.test smtp far.test"},
        {"x@gate.test", "x@gate.test smtp [192.0.2.7]:25"},
        {"x@held.test", "x@held.test hold "},
        {"x@[192.0.2.99]", "x@[192.0.2.99] smtp [192.0.2.99]"},
        {"alice@example.test", "alice@example.test local example.test/alice"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct expansion expansion = expand(fixture, rows[i].address, true);
        assert_int_equal(expansion.status, RESOLVE_OK);
        assert_string_equal(shown(fixture, &expansion), rows[i].finals);
    }
    assert_int_equal(expand(fixture, "nobody@example.test", true).status, RESOLVE_UNKNOWN_USER);
}

static void an_address_that_a_route_refuses_is_refused_to_its_face(void **state)
{
    static const char *const addresses[] = {"closed@example.test"};
    assert_status(*state, addresses, COUNT(addresses), RESOLVE_UNKNOWN_USER);
}

static void a_route_takes_the_mail_of_a_user_elsewhere(void **state)
{
    assert_leads_to(*state, "sink@example.test", "sink@example.test discard ");
}

/* ---- tables that can not be read ---- */

static void a_table_that_can_not_be_read_is_temporary_and_never_an_unknown_user(void **state)
{
    static const char *const names[] = {"aliases", "users"};
    struct fixture *fixture = *state;
    struct span path;
    for (size_t i = 0; i < COUNT(names); i++) {
        for (int damage = 0; damage < DAMAGE_COUNT; damage++) {
            table_rig_damage(&fixture->rig, names[i], (enum table_damage)damage);
            assert_int_equal(status_of(fixture, "nobody@example.test"), RESOLVE_TEMPORARY);
            assert_int_equal(status_of(fixture, "alice@example.test"), RESOLVE_TEMPORARY);
            assert_int_equal(status_of(fixture, "postmaster@second.test"), RESOLVE_TEMPORARY);
            table_rig_write(&fixture->rig, names[i], i == 0 ? aliases : users);
            assert_int_equal(status_of(fixture, "alice@example.test"), RESOLVE_OK);
        }
    }
    table_rig_damage(&fixture->rig, "users", DAMAGE_MISSING);
    assert_int_equal(
        expand_mailbox(&fixture->tables, &fixture->arena, SPAN("alice@example.test"), &path),
        RESOLVE_TEMPORARY);
}

static void mail_to_other_hosts_asks_no_table(void **state)
{
    struct fixture *fixture = *state;
    table_rig_damage(&fixture->rig, "aliases", DAMAGE_MISSING);
    table_rig_damage(&fixture->rig, "users", DAMAGE_MISSING);
    assert_int_equal(expand(fixture, "x@far.test", true).status, RESOLVE_OK);
    assert_int_equal(status_of(fixture, "x@partner.test"), RESOLVE_OK);
}

/* ---- where a mailbox lies ---- */

static void the_mailbox_of_a_user_is_found_and_aliases_have_none(void **state)
{
    static const struct {
        const char *user;
        enum resolve_status status;
        const char *path;
    } rows[] = {
        {"alice@example.test", RESOLVE_OK, "example.test/alice"},
        {"Alice@EXAMPLE.test", RESOLVE_OK, "example.test/alice"},
        {"bob@example.test", RESOLVE_OK, "elsewhere/bob"},
        {"team@example.test", RESOLVE_UNKNOWN_USER, NULL},
        {"nobody@example.test", RESOLVE_UNKNOWN_USER, NULL},
        {"up@example.test", RESOLVE_UNKNOWN_USER, NULL},
        {"alice", RESOLVE_UNKNOWN_USER, NULL},
        {"alice@example.test trailing", RESOLVE_UNKNOWN_USER, NULL},
        {"", RESOLVE_UNKNOWN_USER, NULL},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span path = SPAN("");
        assert_int_equal(
            expand_mailbox(&fixture->tables, &fixture->arena, span_cstr(rows[i].user), &path),
            rows[i].status);
        if (rows[i].path)
            assert_true(span_equal(path, span_cstr(rows[i].path)));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_user_leads_to_the_mailbox_of_the_domain_or_to_the_one_that_is_named),
        TEST(who_is_in_no_table_is_unknown),
        TEST(no_local_part_becomes_a_path_that_leaves_the_mail_root),
        TEST(a_control_octet_in_a_local_part_never_becomes_a_mailbox),
        TEST(a_path_in_the_table_that_is_unsafe_is_no_mailbox),
        TEST(aliases_are_followed_to_the_end),
        TEST(a_whole_address_comes_before_a_local_part),
        TEST(a_bare_member_belongs_to_the_domain_of_its_alias),
        TEST(an_alias_that_names_itself_means_the_mailbox),
        TEST(a_ring_of_aliases_is_a_loop),
        TEST(a_chain_may_be_as_long_as_alias_depth),
        TEST(duplicates_are_found_once),
        TEST(case_tells_mailboxes_of_other_hosts_apart),
        TEST(commas_within_quotes_separate_nothing),
        TEST(commands_files_and_includes_refuse_the_whole_alias),
        TEST(a_member_that_is_no_address_is_temporary),
        TEST(an_unknown_member_fails_and_the_others_get_their_mail),
        TEST(an_alias_that_leads_to_nobody_is_an_unknown_user),
        TEST(a_quoted_local_part_does_not_pass_for_an_address_of_the_table),
        TEST(as_many_recipients_as_alias_expansion_are_found_and_not_one_more),
        TEST(a_million_ways_to_one_mailbox_are_not_walked),
        TEST(postmaster_exists_in_every_case_and_domain_of_ours),
        TEST(the_host_name_and_its_literals_mean_the_first_domain),
        TEST(whoever_is_not_trusted_reaches_our_domains_and_the_relayed_ones_alone),
        TEST(whoever_is_trusted_reaches_everybody),
        TEST(a_route_takes_the_mail_of_a_user_elsewhere),
        TEST(an_address_that_a_route_refuses_is_refused_to_its_face),
        TEST(a_table_that_can_not_be_read_is_temporary_and_never_an_unknown_user),
        TEST(mail_to_other_hosts_asks_no_table),
        TEST(the_mailbox_of_a_user_is_found_and_aliases_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
