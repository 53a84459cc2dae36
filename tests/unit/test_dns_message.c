/*
 * The walker alone: what is a good answer, what is none, and that nothing in a message can lead it
 * astray.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dns_rig.h"

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])
#define NAME_OF_63  "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static struct arena arena;

static int forget(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* The answer to a question that the rows give. */
static struct dns_answer answer_of(const struct rig_row *rows, enum dns_type type, const char *name)
{
    struct dns_rig rig = {.rows = rows};
    uint8_t octets[DNS_QUERY_MAX];
    struct buf message = {0};
    size_t len = dns_message_query(77, type, span_cstr(name), octets);
    struct span query = span_of(octets, len);
    dns_rig_answer(&rig, query, &message);
    struct dns_answer answer = dns_message_read(buf_span(&message), query, &arena);
    buf_free(&message);
    return answer;
}

static void assert_text(struct span text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.data, expected, text.len);
}

static void a_query_has_recursion_ad_and_edns(void **state)
{
    static const uint8_t expected[] = {
        0x12, 0x34, 0x01, 0x20, 0,    1,   0,   0,   0, 0, 0,  1,    /* header */
        2,    'm',  'x',  4,    't',  'e', 's', 't', 0, 0, 15, 0, 1, /* question */
        0,    0,    41,   4,    0xd0, 0,   0,   0,   0, 0, 0,        /* OPT, 1232 octets */
    };
    uint8_t octets[DNS_QUERY_MAX];
    (void)state;
    assert_int_equal(dns_message_query(0x1234, DNS_MX, SPAN("MX.Test"), octets), sizeof expected);
    assert_memory_equal(octets, expected, sizeof expected);
}

static void names_that_are_not_valid_are_not_asked_for(void **state)
{
    static const char *const names[] = {"",     ".",
                                        "a..b", ".a",
                                        "a.",   "a b",
                                        "a\tb", "a\\.b",
                                        "a/b",  "\xc3\xa4.test",
                                        "a%b",  NAME_OF_63 "h.test"};
    uint8_t octets[DNS_QUERY_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(dns_message_query(1, DNS_A, span_cstr(names[i]), octets), 0);
    assert_int_equal(dns_message_query(1, DNS_A, span_of("a\0b", 3), octets), 0);
}

static void names_may_have_253_octets_and_no_more(void **state)
{
    char name[256];
    uint8_t octets[DNS_QUERY_MAX];
    (void)state;
    snprintf(name, sizeof name, "%s.%s.%s.%.61s", NAME_OF_63, NAME_OF_63, NAME_OF_63, NAME_OF_63);
    assert_int_equal(strlen(name), DNS_NAME_MAX);
    assert_int_equal(dns_message_query(1, DNS_A, span_cstr(name), octets), DNS_QUERY_MAX);
    snprintf(name, sizeof name, "%s.%s.%s.%.62s", NAME_OF_63, NAME_OF_63, NAME_OF_63, NAME_OF_63);
    assert_int_equal(dns_message_query(1, DNS_A, span_cstr(name), octets), 0);
}

static void addresses_have_names_in_both_families(void **state)
{
    static const struct {
        const char *address, *zone, *name;
    } rows[] = {
        {"192.0.2.1", "", "1.2.0.192.in-addr.arpa"},
        {"127.0.0.2", "zen.test", "2.0.0.127.zen.test"},
        {"255.100.10.9", "l.test", "9.10.100.255.l.test"},
        {"2001:db8::1", "",
         "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
        {"::ffff", "l.test",
         "f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.l.test"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[DNS_NAME_MAX + 1];
        union net_address address;
        assert_true(net_parse_address(span_cstr(rows[i].address), &address));
        assert_text(dns_name_of_address(&address, span_cstr(rows[i].zone), out), rows[i].name);
        assert_string_equal(out, rows[i].name);
    }
}

static void a_zone_that_leaves_no_room_gives_no_name(void **state)
{
    char out[DNS_NAME_MAX + 1], zone[DNS_NAME_MAX];
    union net_address address;
    (void)state;
    memset(zone, 'a', sizeof zone);
    assert_true(net_parse_address(SPAN("192.0.2.1"), &address));
    assert_int_equal(dns_name_of_address(&address, span_of(zone, 243), out).len, 253);
    assert_int_equal(dns_name_of_address(&address, span_of(zone, 244), out).len, 0);
    assert_string_equal(out, "");
}

static void records_of_every_type_are_read(void **state)
{
    static const struct rig_row rows[] = {
        {"h.test", DNS_A, "192.0.2.1", .ttl = 60}, ROW("h.test", DNS_AAAA, "2001:db8::1"),
        ROW("h.test", DNS_MX, "10 Mx.Test"),       ROW("h.test", DNS_PTR, "host.test"),
        ROW("h.test", DNS_TXT, "v=spf1 -all"),     END_OF_ROWS};
    char text[NET_TEXT_MAX];
    (void)state;
    struct dns_answer answer = answer_of(rows, DNS_A, "h.test");
    assert_int_equal(answer.result, DNS_FOUND);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.ttl, 60);
    assert_text(net_text(&answer.records[0].address, text), "192.0.2.1");
    answer = answer_of(rows, DNS_AAAA, "h.test");
    assert_text(net_text(&answer.records[0].address, text), "2001:db8::1");
    answer = answer_of(rows, DNS_MX, "h.test");
    assert_int_equal(answer.records[0].preference, 10);
    assert_text(answer.records[0].text, "mx.test");
    assert_text(answer_of(rows, DNS_PTR, "h.test").records[0].text, "host.test");
    assert_text(answer_of(rows, DNS_TXT, "h.test").records[0].text, "v=spf1 -all");
}

static void strings_of_a_txt_record_are_joined(void **state)
{
    static const struct rig_row rows[] = {
        {"t.test", DNS_TXT, RAW("\3abc\0\2de")}, {"t.test", DNS_TXT, RAW("\0")}, END_OF_ROWS};
    (void)state;
    struct dns_answer answer = answer_of(rows, DNS_TXT, "t.test");
    assert_int_equal(answer.count, 2);
    assert_text(answer.records[0].text, "abcde");
    assert_text(answer.records[1].text, "");
}

static void aliases_are_followed_and_the_least_ttl_counts(void **state)
{
    static const struct rig_row rows[] = {{"a.test", RIG_CNAME, "b.test", .ttl = 50},
                                          {"b.test", RIG_CNAME, "c.test", .ttl = 7},
                                          {"c.test", DNS_A, "192.0.2.3", .ttl = 90},
                                          END_OF_ROWS};
    (void)state;
    struct dns_answer answer = answer_of(rows, DNS_A, "a.test");
    assert_int_equal(answer.result, DNS_FOUND);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.ttl, 7);
}

static void aliases_in_a_circle_lead_nowhere(void **state)
{
    static const struct rig_row rows[] = {ROW("a.test", RIG_CNAME, "b.test"),
                                          ROW("b.test", RIG_CNAME, "a.test"), END_OF_ROWS};
    (void)state;
    assert_int_equal(answer_of(rows, DNS_A, "a.test").result, DNS_NO_DATA);
}

static void an_alias_of_nothing_is_no_name(void **state)
{
    static const struct rig_row rows[] = {ROW("a.test", RIG_CNAME, "b.test"), END_OF_ROWS};
    (void)state;
    assert_int_equal(answer_of(rows, DNS_A, "a.test").result, DNS_NO_NAME);
}

static void nothing_is_kept_as_long_as_the_soa_says(void **state)
{
    static const struct rig_row rows[] = {ROW("h.test", DNS_A, "192.0.2.1"), END_OF_ROWS};
    (void)state;
    struct dns_answer no_data = answer_of(rows, DNS_MX, "h.test");
    assert_int_equal(no_data.result, DNS_NO_DATA);
    assert_int_equal(no_data.ttl, RIG_NEGATIVE_TTL);
    struct dns_answer no_name = answer_of(rows, DNS_MX, "none.test");
    assert_int_equal(no_name.result, DNS_NO_NAME);
    assert_int_equal(no_name.ttl, RIG_NEGATIVE_TTL);
}

static void a_ttl_with_the_highest_bit_is_zero(void **state)
{
    static const struct rig_row rows[] = {{"h.test", DNS_A, "192.0.2.1", .ttl = UINT32_MAX},
                                          END_OF_ROWS};
    (void)state;
    assert_int_equal(answer_of(rows, DNS_A, "h.test").ttl, 0);
}

static void a_lone_root_is_the_null_mx(void **state)
{
    static const struct rig_row rows[] = {
        {"null.test", DNS_MX, RAW("\0\0\0")},
        {"mixed.test", DNS_MX, RAW("\0\0\0")},
        ROW("mixed.test", DNS_MX, "10 mx.test"),
        {"zero.test", DNS_MX, RAW("\0\0\1\0\0")}, /* a label of one NUL */
        END_OF_ROWS};
    (void)state;
    struct dns_answer answer = answer_of(rows, DNS_MX, "null.test");
    assert_true(answer.null_mx);
    assert_int_equal(answer.result, DNS_FOUND);
    assert_int_equal(answer.count, 0);
    answer = answer_of(rows, DNS_MX, "mixed.test");
    assert_false(answer.null_mx);
    assert_int_equal(answer.count, 1);
    answer = answer_of(rows, DNS_MX, "zero.test");
    assert_false(answer.null_mx);
    assert_int_equal(answer.count, 0);
    assert_int_equal(answer.unusable, 1);
}

static void records_that_are_not_what_they_should_be_are_left_out(void **state)
{
    static const struct rig_row bad[] = {
        {"x.test", DNS_A, RAW("")},
        {"x.test", DNS_A, RAW("\1\2\3")},
        {"x.test", DNS_A, RAW("\1\2\3\4\5")},
        {"x.test", DNS_AAAA, RAW("\1\2\3\4")},
        {"x.test", DNS_MX, RAW("")},
        {"x.test", DNS_MX, RAW("\0")},
        {"x.test", DNS_MX, RAW("\0\12")},
        {"x.test", DNS_MX, RAW("\0\12\2mx\4test\0more")},
        {"x.test", DNS_MX, RAW("\0\12\2mx\4test")},
        {"x.test", DNS_MX, RAW("\0\12\3m\nx\4test\0")},
        {"x.test", DNS_MX, RAW("\0\12\3m x\4test\0")},
        {"x.test", DNS_MX, RAW("\0\12\3m.x\4test\0")},
        {"x.test", DNS_MX, RAW("\0\12\3m%x\4test\0")},
        {"x.test", DNS_MX, RAW("\0\12\3m\377x\4test\0")},
        {"x.test", DNS_MX, RAW("\0\12\100")},
        {"x.test", DNS_MX, RAW("\0\12\300\377")},
        {"x.test", DNS_PTR, RAW("\0")},
        {"x.test", DNS_PTR, RAW("\300")},
        {"x.test", DNS_TXT, RAW("\5abc")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct rig_row rows[] = {bad[i], END_OF_ROWS};
        struct dns_answer answer = answer_of(rows, (enum dns_type)bad[i].type, "x.test");
        if (answer.result != DNS_FOUND || answer.count != 0 || answer.unusable != 1)
            fail_msg("row %zu: result %d, %zu records", i, (int)answer.result, answer.count);
    }
}

static void a_huge_set_is_cut(void **state)
{
    enum { MANY = 500 };
    static struct rig_row rows[MANY + 1];
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        rows[i] = (struct rig_row){"many.test", DNS_A, "192.0.2.1", .ttl = 0};
    struct dns_answer answer = answer_of(rows, DNS_A, "many.test");
    assert_int_equal(answer.count, DNS_RECORDS_MAX);
    assert_int_equal(answer.unusable, MANY - DNS_RECORDS_MAX);
}

/* ---- messages octet by octet ---- */

static const uint8_t good_message[] = {
    0, 77, 0x81, 0xa0, 0,    1,  0, 1, 0, 0, 0, 0, 1, 'h', 4, 't', 'e', 's', 't', 0,
    0, 1,  0,    1,    0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60,  0, 4,   192, 0,   2,   1,
};

static struct dns_answer read_octets(const uint8_t *octets, size_t size)
{
    uint8_t query[DNS_QUERY_MAX];
    size_t len = dns_message_query(77, DNS_A, SPAN("h.test"), query);
    return dns_message_read(span_of(octets, size), span_of(query, len), &arena);
}

static void owners_may_be_pointers_and_ad_is_seen(void **state)
{
    (void)state;
    struct dns_answer answer = read_octets(good_message, sizeof good_message);
    assert_int_equal(answer.result, DNS_FOUND);
    assert_int_equal(answer.count, 1);
    assert_true(answer.authentic);
}

static void a_message_that_is_cut_anywhere_is_none(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof good_message; size++)
        assert_int_equal(read_octets(good_message, size).result, DNS_TEMPORARY);
}

static void what_does_not_answer_the_question_is_temporary(void **state)
{
    static const struct {
        const char *what;
        size_t at;
        uint8_t octet;
    } rows[] = {
        {"another id", 1, 78},        {"a query", 2, 0x01},        {"another opcode", 2, 0x91},
        {"truncated", 2, 0x83},       {"server failure", 3, 0xa2}, {"refused", 3, 0xa5},
        {"format error", 3, 0xa1},    {"no question", 5, 0},       {"two questions", 5, 2},
        {"another name", 13, 'i'},    {"another type", 21, 28},    {"another class", 23, 3},
        {"more records", 7, 2},       {"pointer forward", 25, 30}, {"pointer to itself", 25, 24},
        {"pointer outside", 25, 255}, {"data too long", 35, 5},    {"a label of type 01", 12, 0x41},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t octets[sizeof good_message];
        memcpy(octets, good_message, sizeof octets);
        octets[rows[i].at] = rows[i].octet;
        if (read_octets(octets, sizeof octets).result != DNS_TEMPORARY)
            fail_msg("%s was taken", rows[i].what);
    }
}

static void put_octet(struct buf *out, unsigned octet)
{
    buf_add(out, span_of(&(uint8_t){(uint8_t)octet}, 1));
}

/* The good message with a second answer, of the type NULL, whose data are so many pointers, each to
 * the one before it, and a third one whose owner is the last of them. */
static enum dns_result read_chain(unsigned pointers)
{
    static const uint8_t head[] = {0xc0, 12, 0, 10, 0, 1, 0, 0, 0, 60};
    struct buf message = {0};
    buf_add(&message, span_of(good_message, sizeof good_message));
    buf_add(&message, span_of(head, sizeof head));
    put_octet(&message, 2 * pointers >> 8);
    put_octet(&message, 2 * pointers);
    size_t to = 12;
    for (unsigned i = 0; i < pointers; i++) {
        size_t here = buf_len(&message);
        put_octet(&message, 0xc0 | (unsigned)(to >> 8));
        put_octet(&message, (unsigned)to);
        to = here;
    }
    put_octet(&message, 0xc0 | (unsigned)(to >> 8));
    put_octet(&message, (unsigned)to);
    buf_add(&message, span_of(head + 2, sizeof head - 2));
    put_octet(&message, 0);
    put_octet(&message, 0);
    message.data[7] = 3;
    enum dns_result result = read_octets((const uint8_t *)message.data, buf_len(&message)).result;
    buf_free(&message);
    return result;
}

static void a_name_leads_through_a_bounded_number_of_pointers(void **state)
{
    (void)state;
    /* One more of them is the owner's own. */
    assert_int_equal(read_chain(126), DNS_FOUND);
    assert_int_equal(read_chain(127), DNS_TEMPORARY);
    assert_int_equal(read_chain(8000), DNS_TEMPORARY);
}

static void the_question_may_come_back_in_another_case(void **state)
{
    uint8_t octets[sizeof good_message];
    (void)state;
    memcpy(octets, good_message, sizeof octets);
    octets[13] = 'H';
    assert_int_equal(read_octets(octets, sizeof octets).count, 1);
}

static void records_of_others_are_passed_over(void **state)
{
    static const struct {
        size_t at;
        uint8_t octet;
    } rows[] = {{25, 14}, {27, 16}, {29, 3}}; /* owner, type, class */
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t octets[sizeof good_message];
        memcpy(octets, good_message, sizeof octets);
        octets[rows[i].at] = rows[i].octet;
        struct dns_answer answer = read_octets(octets, sizeof octets);
        assert_int_equal(answer.result, DNS_NO_DATA);
        assert_int_equal(answer.count, 0);
        assert_int_equal(answer.ttl, 0); /* no SOA */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_query_has_recursion_ad_and_edns, forget),
        cmocka_unit_test_teardown(names_that_are_not_valid_are_not_asked_for, forget),
        cmocka_unit_test_teardown(names_may_have_253_octets_and_no_more, forget),
        cmocka_unit_test_teardown(addresses_have_names_in_both_families, forget),
        cmocka_unit_test_teardown(a_zone_that_leaves_no_room_gives_no_name, forget),
        cmocka_unit_test_teardown(records_of_every_type_are_read, forget),
        cmocka_unit_test_teardown(strings_of_a_txt_record_are_joined, forget),
        cmocka_unit_test_teardown(aliases_are_followed_and_the_least_ttl_counts, forget),
        cmocka_unit_test_teardown(aliases_in_a_circle_lead_nowhere, forget),
        cmocka_unit_test_teardown(an_alias_of_nothing_is_no_name, forget),
        cmocka_unit_test_teardown(nothing_is_kept_as_long_as_the_soa_says, forget),
        cmocka_unit_test_teardown(a_ttl_with_the_highest_bit_is_zero, forget),
        cmocka_unit_test_teardown(a_lone_root_is_the_null_mx, forget),
        cmocka_unit_test_teardown(records_that_are_not_what_they_should_be_are_left_out, forget),
        cmocka_unit_test_teardown(a_huge_set_is_cut, forget),
        cmocka_unit_test_teardown(owners_may_be_pointers_and_ad_is_seen, forget),
        cmocka_unit_test_teardown(a_name_leads_through_a_bounded_number_of_pointers, forget),
        cmocka_unit_test_teardown(a_message_that_is_cut_anywhere_is_none, forget),
        cmocka_unit_test_teardown(what_does_not_answer_the_question_is_temporary, forget),
        cmocka_unit_test_teardown(the_question_may_come_back_in_another_case, forget),
        cmocka_unit_test_teardown(records_of_others_are_passed_over, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
