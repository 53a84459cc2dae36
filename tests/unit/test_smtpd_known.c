/*
 * What is remembered of lookup's answers must never be older than its tables, nor of another
 * question: each field of the key is tried on its own.
 */
#include "smtpd_rig.h"

#include "smtpd/known.h"

static struct address address_of(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(span_cstr(text), &address), ADDRESS_OK);
    return address;
}

static const struct resolved alice = {
    .status = RESOLVE_OK,
    .address = SPAN_INIT("alice@example.test"),
    .transport = SPAN_INIT("local"),
    .nexthop = SPAN_INIT("alice"),
};

static void answer_is_found_again(void **state)
{
    struct known *known = known_new();
    struct address address = address_of("al@example.test");
    struct known_key key = {.address = &address, .epoch = 7, .now = 1000};
    struct resolved found;
    (void)state;
    assert_false(known_find(known, &key, &found));
    known_add(known, &key, &alice);
    key.now += KNOWN_MS - 1;
    assert_true(known_find(known, &key, &found));
    assert_int_equal(found.status, RESOLVE_OK);
    assert_true(span_equal(found.address, alice.address));
    assert_true(span_equal(found.transport, alice.transport));
    assert_true(span_equal(found.nexthop, alice.nexthop));
    known_free(known);
}

static void other_question_is_not_answered(void **state)
{
    static const struct {
        const char *address;
        bool trusted;
        uint64_t epoch;
        int64_t later;
    } rows[] = {
        {"al@example.test", false, 7, KNOWN_MS}, /* expired */
        {"al@example.test", false, 8, 0},        /* a table changed */
        {"al@example.test", true, 7, 0},         /* a client that may relay */
        {"AL@example.test", false, 7, 0},        /* the answer keeps the spelling */
        {"la@example.test", false, 7, 0},        {"al@example2.test", false, 7, 0},
    };
    struct address asked = address_of("al@example.test");
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct known *known = known_new();
        struct known_key key = {.address = &asked, .epoch = 7, .now = 1000};
        struct resolved found;
        known_add(known, &key, &alice);
        struct address other = address_of(rows[i].address);
        key = (struct known_key){&other, rows[i].trusted, rows[i].epoch, 1000 + rows[i].later};
        assert_false(known_find(known, &key, &found));
        known_free(known);
    }
}

/* What was there before is gone, too: it was of an older answer. */
static void answer_that_is_too_long_is_not_kept(void **state)
{
    static char text[4096];
    struct address address = address_of("al@example.test");
    struct known_key key = {.address = &address, .epoch = 7, .now = 1000};
    (void)state;
    memset(text, 'a', sizeof(text));
    for (int field = 0; field < 3; field++) {
        struct known *known = known_new();
        struct resolved long_one = alice, found;
        struct span *fields[] = {&long_one.address, &long_one.transport, &long_one.nexthop};
        *fields[field] = span_of(text, sizeof(text));
        known_add(known, &key, &alice);
        known_add(known, &key, &long_one);
        assert_false(known_find(known, &key, &found));
        known_free(known);
    }
}

static void newer_answer_takes_the_place_of_the_older(void **state)
{
    struct known *known = known_new();
    struct address address = address_of("al@example.test");
    struct known_key key = {.address = &address, .epoch = 7, .now = 1000};
    struct resolved bob = alice, found;
    (void)state;
    bob.address = SPAN("bob@example.test");
    known_add(known, &key, &alice);
    key.epoch = 8;
    known_add(known, &key, &bob);
    assert_true(known_find(known, &key, &found));
    assert_true(span_equal(found.address, bob.address));
    known_free(known);
}

/* Asks for alice and answers as lookup; false when the worker knew by itself. */
static bool lookup_is_asked(struct rig *rig, struct page *tables)
{
    rig->asked_count = 0;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig, SPAN(RIG_RCPT));
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    bool asked = rig->asked_count > 0;
    if (tables != NULL)
        page_add(tables, PAGE_TABLES, 1);
    if (asked)
        rig_answer(rig, rig->asked[0].query, RESOLVE_OK, false, SPAN("alice@example.test"));
    assert_int_equal(rig_hear_code(rig), 250);
    return asked;
}

static void answer_under_way_while_a_table_changes_is_not_reused(void **state)
{
    struct rig *rig = rig_of(state);
    struct page *tables = rig_page();
    struct daemon_page pages[] = {rig->pages[0], {ROLE_LOOKUP, 0, tables}};
    rig->worker.pages = pages;
    rig->page_count = COUNT(pages);
    rig->lookup_silent = true;
    assert_true(lookup_is_asked(rig, tables));
    assert_true(lookup_is_asked(rig, NULL));
    assert_false(lookup_is_asked(rig, NULL));
    rig->worker.pages = rig->pages;
    rig->page_count = COUNT(rig->pages);
    page_unmap(tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_is_found_again),
        cmocka_unit_test(other_question_is_not_answered),
        cmocka_unit_test(answer_that_is_too_long_is_not_kept),
        cmocka_unit_test(newer_answer_takes_the_place_of_the_older),
        RIG_TEST(answer_under_way_while_a_table_changes_is_not_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
