/*
 * Known answers (RFC 3720 appendix B.4, and the usual "123456789"), the two implementations held
 * against each other and against the definition, bit by bit.
 */
#include "util/base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 5000 };

/* Octets without a pattern, the same at every run. */
static void fill(unsigned char *octets, size_t size)
{
    uint32_t x = 2463534242;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        octets[i] = (unsigned char)x;
    }
}

static uint32_t crc32c_by_definition(const unsigned char *octets, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= octets[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void known_answers(void **state)
{
    (void)state;
    unsigned char zeros[32] = {0}, ones[32], rising[32], falling[32];
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++) {
        rising[i] = (unsigned char)i;
        falling[i] = (unsigned char)(31 - i);
    }
    const struct {
        const void *data;
        size_t size;
        uint32_t crc;
    } rows[] = {
        {"", 0, 0x00000000},    {"123456789", 9, 0xe3069283}, {zeros, 32, 0x8a9136aa},
        {ones, 32, 0x62a8ab43}, {rising, 32, 0x46dd794e},     {falling, 32, 0x113fdb5c},
        {"a", 1, 0xc1d04330},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(crc32c(0, rows[i].data, rows[i].size), rows[i].crc);
        assert_int_equal(crc32c_portable(0, rows[i].data, rows[i].size), rows[i].crc);
    }
}

static void both_agree_with_the_definition_at_every_size(void **state)
{
    (void)state;
    unsigned char octets[SIZE];
    fill(octets, sizeof(octets));
    for (size_t size = 0; size < 1600; size++) {
        uint32_t expected = crc32c_by_definition(octets, size);
        assert_int_equal(crc32c(0, octets, size), expected);
        assert_int_equal(crc32c_portable(0, octets, size), expected);
    }
    assert_int_equal(crc32c(0, octets, SIZE), crc32c_by_definition(octets, SIZE));
}

static void both_agree_at_every_alignment(void **state)
{
    (void)state;
    unsigned char octets[SIZE];
    fill(octets, sizeof(octets));
    for (size_t start = 0; start < 16; start++) {
        uint32_t expected = crc32c_by_definition(octets + start, 2000);
        assert_int_equal(crc32c(0, octets + start, 2000), expected);
        assert_int_equal(crc32c_portable(0, octets + start, 2000), expected);
    }
}

static void continues_over_pieces(void **state)
{
    (void)state;
    unsigned char octets[SIZE];
    fill(octets, sizeof(octets));
    uint32_t whole = crc32c(0, octets, SIZE);
    for (size_t cut = 0; cut <= SIZE; cut += 61) {
        assert_int_equal(crc32c(crc32c(0, octets, cut), octets + cut, SIZE - cut), whole);
        assert_int_equal(crc32c_portable(crc32c_portable(0, octets, cut), octets + cut, SIZE - cut),
                         whole);
    }
}

static void both_continue_each_other(void **state)
{
    (void)state;
    unsigned char octets[SIZE];
    fill(octets, sizeof(octets));
    uint32_t whole = crc32c(0, octets, SIZE);
    assert_int_equal(crc32c(crc32c_portable(0, octets, 1234), octets + 1234, SIZE - 1234), whole);
    assert_int_equal(crc32c_portable(crc32c(0, octets, 1234), octets + 1234, SIZE - 1234), whole);
}

static void any_flipped_bit_changes_the_sum(void **state)
{
    (void)state;
    unsigned char octets[1000];
    fill(octets, sizeof(octets));
    uint32_t whole = crc32c(0, octets, sizeof(octets));
    for (size_t bit = 0; bit < 8 * sizeof(octets); bit++) {
        octets[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_not_equal(crc32c(0, octets, sizeof(octets)), whole);
        octets[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void nothing_leaves_the_sum_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0x12345678, NULL, 0), 0x12345678);
    assert_int_equal(crc32c_portable(0x12345678, NULL, 0), 0x12345678);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(both_agree_with_the_definition_at_every_size),
        cmocka_unit_test(both_agree_at_every_alignment),
        cmocka_unit_test(continues_over_pieces),
        cmocka_unit_test(both_continue_each_other),
        cmocka_unit_test(any_flipped_bit_changes_the_sum),
        cmocka_unit_test(nothing_leaves_the_sum_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
