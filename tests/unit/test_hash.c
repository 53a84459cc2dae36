/*
 * SipHash against the vectors of its authors (key and message are 0, 1, 2 ...), the key of the
 * process, and a uthash table that runs on it. The random numbers behind the key are tested along.
 */
#include "util/base/hash.h"

#include "util/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t counting[64] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

static void siphash_known_answers(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint64_t hash;
    } rows[] = {
        {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},
        {3, 0x85676696d7fb7e2d},  {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},
        {15, 0xa129ca6149be45e5}, {63, 0x958a324ceb064572},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(siphash(counting, counting, rows[i].size) == rows[i].hash);
}

static void siphash_depends_on_every_bit_of_the_key(void **state)
{
    (void)state;
    uint8_t key[16];
    memcpy(key, counting, sizeof(key));
    uint64_t hash = siphash(key, "mail", 4);
    for (size_t bit = 0; bit < 128; bit++) {
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(siphash(key, "mail", 4) != hash);
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void siphash_does_not_ask_for_alignment(void **state)
{
    (void)state;
    char octets[40];
    for (size_t start = 0; start < 8; start++) {
        memcpy(octets + start, counting, 32);
        assert_true(siphash(counting, octets + start, 32) == siphash(counting, counting, 32));
    }
}

static void hash_bytes_is_the_same_within_a_process(void **state)
{
    (void)state;
    assert_true(hash_bytes("alice", 5) == hash_bytes("alice", 5));
    assert_true(hash_bytes("alice", 5) != hash_bytes("alicf", 5));
    assert_true(hash_bytes("", 0) == hash_bytes(NULL, 0));
}

/* What a fresh process, forked before this one drew its key, makes of "alice". */
static uint64_t hash_of_another_process(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        uint64_t hash = hash_bytes("alice", 5);
        ssize_t written = write(ends[1], &hash, sizeof(hash));
        _exit(written == sizeof(hash) ? 0 : 1);
    }
    uint64_t hash = 0;
    assert_int_equal(read(ends[0], &hash, sizeof(hash)), sizeof(hash));
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return hash;
}

/* Must be the first test of the group: later ones have drawn the key of this process. */
static void hash_bytes_differs_between_processes(void **state)
{
    (void)state;
    assert_true(hash_of_another_process() != hash_of_another_process());
}

struct entry {
    char name[16];
    int value;
    UT_hash_handle hh;
};

static void uthash_table_finds_what_it_holds(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct entry *table = NULL;
    for (int i = 0; i < COUNT; i++) {
        struct entry *entry = mem_new(sizeof(*entry));
        (void)snprintf(entry->name, sizeof(entry->name), "user%d", i);
        entry->value = i;
        HASH_ADD_STR(table, name, entry);
    }
    assert_int_equal(HASH_COUNT(table), COUNT);

    for (int i = 0; i < COUNT; i++) {
        char name[16];
        struct entry *entry;
        (void)snprintf(name, sizeof(name), "user%d", i);
        HASH_FIND_STR(table, name, entry);
        assert_non_null(entry);
        assert_int_equal(entry->value, i);
    }
    struct entry *entry, *next;
    HASH_FIND_STR(table, "nobody", entry);
    assert_null(entry);
    HASH_ITER (hh, table, entry, next) {
        HASH_DEL(table, entry);
        mem_free(entry);
    }
    assert_null(table);
}

static void random_fill_fills_all_of_it(void **state)
{
    (void)state;
    enum { SIZE = 1000, ROUNDS = 8 };
    unsigned char seen[SIZE] = {0}, octets[SIZE + 1];
    for (int round = 0; round < ROUNDS; round++) {
        octets[SIZE] = 0x5a;
        random_fill(octets, SIZE);
        assert_int_equal(octets[SIZE], 0x5a);
        for (size_t i = 0; i < SIZE; i++)
            seen[i] |= octets[i];
    }
    /* That one octet is zero eight times has a chance of 2^-64. */
    for (size_t i = 0; i < SIZE; i++)
        assert_int_not_equal(seen[i], 0);
}

static void random_numbers_differ(void **state)
{
    (void)state;
    assert_true(random_u64() != random_u64());
    uint32_t number = random_u32();
    assert_true(number != random_u32() || number != random_u32());
}

static void random_below_stays_below_and_reaches_everything(void **state)
{
    (void)state;
    static const uint32_t bounds[] = {1, 2, 3, 7, 16};
    for (size_t row = 0; row < sizeof(bounds) / sizeof(bounds[0]); row++) {
        uint32_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint32_t number = random_below(bounds[row]);
            assert_true(number < bounds[row]);
            seen |= (uint32_t)1 << number;
        }
        assert_int_equal(seen, ((uint32_t)1 << bounds[row]) - 1);
    }
    assert_true(random_below(UINT32_MAX) < UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_bytes_differs_between_processes),
        cmocka_unit_test(siphash_known_answers),
        cmocka_unit_test(siphash_depends_on_every_bit_of_the_key),
        cmocka_unit_test(siphash_does_not_ask_for_alignment),
        cmocka_unit_test(hash_bytes_is_the_same_within_a_process),
        cmocka_unit_test(uthash_table_finds_what_it_holds),
        cmocka_unit_test(random_fill_fills_all_of_it),
        cmocka_unit_test(random_numbers_differ),
        cmocka_unit_test(random_below_stays_below_and_reaches_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
