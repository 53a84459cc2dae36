/*
 * The octets on the disk: what is encoded reads back, and any octet that is changed is noticed.
 */
#include "spool_rig.h"

static const struct spool_salt salt = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const struct spool_salt other_salt = {{9}};

static struct record_header sample_header(void)
{
    return (struct record_header){
        .number = 77,
        .salt = salt,
        .offset = 8192 + 640,
        .batch_start = 8192,
        .body_len = 1000,
        .arrival_us = 1800000000000000,
        .envelope_len = 8,
        .recipients = 2,
        .crc_body = 0xdeadbeef,
        .flags = RECORD_FLAG_8BIT,
    };
}

static void test_block_reads_back(void **state)
{
    (void)state;
    const struct spool_block block = {123456789, salt, SPOOL_PRIVATE};
    struct spool_block read = {0};
    uint8_t octets[SPOOL_BLOCK];
    spool_block_encode(&block, octets);
    assert_true(spool_block_decode(octets, &read));
    assert_int_equal(read.number, block.number);
    assert_int_equal(read.kind, SPOOL_PRIVATE);
    assert_memory_equal(&read.salt, &salt, sizeof salt);
}

static void test_block_and_state_head_are_not_mistaken_for_each_other(void **state)
{
    (void)state;
    const struct spool_block block = {5, salt, SPOOL_SHARED};
    struct spool_block read;
    uint8_t octets[SPOOL_BLOCK];
    spool_block_encode(&block, octets);
    assert_false(spool_state_head_decode(octets, &read));
    spool_state_head_encode(&block, octets);
    assert_true(spool_state_head_decode(octets, &read));
    assert_false(spool_block_decode(octets, &read));
}

static void test_every_changed_octet_of_the_facts_is_noticed(void **state)
{
    (void)state;
    const struct spool_block block = {5, salt, SPOOL_SHARED};
    struct spool_block read;
    uint8_t octets[SPOOL_BLOCK];
    spool_block_encode(&block, octets);
    for (size_t i = 0; i < 512; i++) {
        octets[i] ^= 1;
        assert_false(spool_block_decode(octets, &read));
        octets[i] ^= 1;
    }
}

static void test_record_header_reads_back(void **state)
{
    (void)state;
    struct record_header header = sample_header();
    struct record_header read = {0};
    uint8_t octets[SPOOL_RECORD_HEADER];
    record_header_encode(&header, SPAN("envelope"), octets);
    assert_true(record_header_decode(octets, &read));
    assert_true(record_header_check(octets, SPAN("envelope")));
    assert_true(record_header_is_of(octets, 77, &salt));
    assert_int_equal(read.offset, header.offset);
    assert_int_equal(read.batch_start, header.batch_start);
    assert_int_equal(read.body_len, header.body_len);
    assert_int_equal(read.arrival_us, header.arrival_us);
    assert_int_equal(read.envelope_len, header.envelope_len);
    assert_int_equal(read.recipients, header.recipients);
    assert_int_equal(read.crc_body, header.crc_body);
    assert_int_equal(read.flags, header.flags);
}

static void test_every_changed_bit_of_a_header_is_noticed(void **state)
{
    (void)state;
    struct record_header header = sample_header();
    struct record_header read;
    uint8_t octets[SPOOL_RECORD_HEADER];
    record_header_encode(&header, SPAN("envelope"), octets);
    for (size_t i = 0; i < 8 * sizeof octets; i++) {
        octets[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(record_header_decode(octets, &read) &&
                     record_header_check(octets, SPAN("envelope")));
        octets[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_false(record_header_check(octets, SPAN("Envelope")));
}

static void test_header_of_another_life_is_not_taken(void **state)
{
    (void)state;
    struct record_header header = sample_header();
    uint8_t octets[SPOOL_RECORD_HEADER];
    record_header_encode(&header, SPAN("envelope"), octets);
    assert_false(record_header_is_of(octets, 77, &other_salt));
    assert_false(record_header_is_of(octets, 78, &salt));
}

static void test_impossible_headers_are_refused(void **state)
{
    (void)state;
    struct record_header cases[8];
    for (size_t i = 0; i < 8; i++)
        cases[i] = sample_header();
    cases[0].offset++;
    cases[1].offset = SPOOL_SEGMENT_MAX;
    cases[2].batch_start += 64;
    cases[3].batch_start = 0;
    cases[4].batch_start = 12288;
    cases[5].recipients = 0;
    cases[6].envelope_len = SPOOL_ENVELOPE_MAX + 1;
    cases[7].body_len = UINT64_C(1) << 40;
    for (size_t i = 0; i < 8; i++) {
        struct record_header read;
        uint8_t octets[SPOOL_RECORD_HEADER];
        record_header_encode(&cases[i], SPAN(""), octets);
        assert_false(record_header_decode(octets, &read));
    }
}

static void test_record_size_is_a_multiple_of_64(void **state)
{
    (void)state;
    struct record_header header = {.envelope_len = 0, .body_len = 0};
    assert_int_equal(record_size(&header), 128);
    header.body_len = 1;
    assert_int_equal(record_size(&header), 192);
    header.envelope_len = 63;
    assert_int_equal(record_size(&header), 192);
}

static void test_state_entry_reads_back_under_its_own_salt_only(void **state)
{
    (void)state;
    const struct state_entry entry = {1048575, 9999, LETTER_DEFERRED, 7, 1900000000};
    struct state_entry read;
    uint8_t octets[SPOOL_STATE_ENTRY];
    state_entry_encode(&entry, &salt, octets);
    assert_int_equal(state_entry_decode(octets, &salt, &read), STATE_ENTRY_OK);
    assert_memory_equal(&read, &entry, sizeof read);
    assert_int_equal(state_entry_decode(octets, &other_salt, &read), STATE_ENTRY_BAD);
    for (size_t i = 0; i < 8 * sizeof octets; i++) {
        octets[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(state_entry_decode(octets, &salt, &read), STATE_ENTRY_BAD);
        octets[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

static void test_zeros_are_an_empty_entry(void **state)
{
    (void)state;
    const uint8_t octets[SPOOL_STATE_ENTRY] = {0};
    struct state_entry read;
    assert_int_equal(state_entry_decode(octets, &salt, &read), STATE_ENTRY_EMPTY);
}

static void test_marks_lie_in_different_sectors_by_turns(void **state)
{
    (void)state;
    const struct state_mark mark = {3, 8192, 0, 12};
    struct state_mark read;
    uint8_t octets[SPOOL_STATE_MARK];
    state_mark_encode(&mark, &salt, octets);
    assert_true(state_mark_decode(octets, &salt, &read));
    assert_int_equal(read.sequence, 3);
    assert_int_equal(read.indexed_end, 8192);
    assert_int_equal(read.sealed_end, 0);
    assert_int_equal(read.entries, 12);
    assert_false(state_mark_decode(octets, &other_salt, &read));
    assert_int_not_equal(state_mark_place(3) / 512, state_mark_place(4) / 512);
    assert_int_equal(state_mark_place(3), state_mark_place(5));
}

static void test_done_states(void **state)
{
    (void)state;
    static const struct {
        enum letter_state letter;
        bool done;
    } cases[] = {{LETTER_NONE, false},     {LETTER_WAITING, false}, {LETTER_DEFERRED, false},
                 {LETTER_DELIVERED, true}, {LETTER_BOUNCED, true},  {LETTER_HELD, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(letter_is_done(cases[i].letter), cases[i].done);
}

static void test_queue_id_is_number_and_offset(void **state)
{
    (void)state;
    static const uint64_t places[][2] = {
        {1, 4096}, {28032682, 64 * 1000000}, {UINT64_C(1) << 43, SPOOL_SEGMENT_MAX - 64}};
    for (size_t i = 0; i < 3; i++) {
        char text[SPOOL_ID_MAX];
        uint64_t read;
        uint64_t id = spool_id(places[i][0], places[i][1]);
        assert_int_equal(spool_id_number(id), places[i][0]);
        assert_int_equal(spool_id_offset(id), places[i][1]);
        assert_true(spool_id_parse(spool_id_text(id, text), &read));
        assert_int_equal(read, id);
    }
}

static void test_texts_that_are_no_queue_id_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "0", "1", "!", "0000000000000000000000", "1 2"};
    uint64_t id;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(spool_id_parse(span_cstr(texts[i]), &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_reads_back),
        cmocka_unit_test(test_block_and_state_head_are_not_mistaken_for_each_other),
        cmocka_unit_test(test_every_changed_octet_of_the_facts_is_noticed),
        cmocka_unit_test(test_record_header_reads_back),
        cmocka_unit_test(test_every_changed_bit_of_a_header_is_noticed),
        cmocka_unit_test(test_header_of_another_life_is_not_taken),
        cmocka_unit_test(test_impossible_headers_are_refused),
        cmocka_unit_test(test_record_size_is_a_multiple_of_64),
        cmocka_unit_test(test_state_entry_reads_back_under_its_own_salt_only),
        cmocka_unit_test(test_zeros_are_an_empty_entry),
        cmocka_unit_test(test_marks_lie_in_different_sectors_by_turns),
        cmocka_unit_test(test_done_states),
        cmocka_unit_test(test_queue_id_is_number_and_offset),
        cmocka_unit_test(test_texts_that_are_no_queue_id_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
