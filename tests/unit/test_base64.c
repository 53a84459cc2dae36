/*
 * The vectors of RFC 4648 §10, and each way in which a text can be almost base64.
 */
#include "util/base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    struct span octets, text;
} vectors[] = {
    {SPAN_INIT(""), SPAN_INIT("")},
    {SPAN_INIT("f"), SPAN_INIT("Zg==")},
    {SPAN_INIT("fo"), SPAN_INIT("Zm8=")},
    {SPAN_INIT("foo"), SPAN_INIT("Zm9v")},
    {SPAN_INIT("foob"), SPAN_INIT("Zm9vYg==")},
    {SPAN_INIT("fooba"), SPAN_INIT("Zm9vYmE=")},
    {SPAN_INIT("foobar"), SPAN_INIT("Zm9vYmFy")},
    {SPAN_INIT("\0alice\0secret"), SPAN_INIT("AGFsaWNlAHNlY3JldA==")},
    {SPAN_INIT("\0\0\0"), SPAN_INIT("AAAA")},
    {SPAN_INIT("\xff\xff\xff"), SPAN_INIT("////")},
    {SPAN_INIT("\xfb\xef\xbe"), SPAN_INIT("++++")},
};

static void encodes_the_known_vectors(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct span text = base64_encode(&arena, vectors[i].octets);
        assert_true(span_equal(text, vectors[i].text));
        assert_int_equal(text.data[text.len], '\0');
    }
    arena_free(&arena);
}

static void decodes_the_known_vectors(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct span octets;
        assert_true(base64_decode(&arena, vectors[i].text, &octets));
        assert_true(span_equal(octets, vectors[i].octets));
    }
    arena_free(&arena);
}

static void decodes_what_it_encodes(void **state)
{
    (void)state;
    struct arena arena = {0};
    char octets[256];
    for (int i = 0; i < 256; i++)
        octets[i] = (char)i;
    for (size_t size = 0; size <= sizeof(octets); size++) {
        struct span back;
        struct span text = base64_encode(&arena, span_of(octets, size));
        assert_true(base64_decode(&arena, text, &back));
        assert_true(span_equal(back, span_of(octets, size)));
    }
    arena_free(&arena);
}

static void refuses_what_is_not_strict(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_INIT("Z"),        SPAN_INIT("Zg"),         SPAN_INIT("Zg="),
        SPAN_INIT("Zg==="),    SPAN_INIT("Zm8"),        SPAN_INIT("="),
        SPAN_INIT("=="),       SPAN_INIT("===="),       SPAN_INIT("A==="),
        SPAN_INIT("Zm9v===="), SPAN_INIT("Zg==Zg=="),   SPAN_INIT("Zm=v"),
        SPAN_INIT("=m9v"),     SPAN_INIT("Zg=v"),       SPAN_INIT("Zm9v\n"),
        SPAN_INIT("Zm9v\r\n"), SPAN_INIT("Zm9v\nYg=="), SPAN_INIT("Zm 9"),
        SPAN_INIT(" Zm9"),     SPAN_INIT("Zm-_"),       SPAN_INIT("Zm9\0"),
        SPAN_INIT("Zm9\xc1"),  SPAN_INIT("Zm9*"),
    };
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span octets;
        if (base64_decode(&arena, rows[i], &octets))
            fail_msg("row %zu was taken", i);
    }
    arena_free(&arena);
}

static void refuses_bits_behind_the_end(void **state)
{
    (void)state;
    static const struct span rows[] = {SPAN_INIT("Zh=="), SPAN_INIT("Zv=="), SPAN_INIT("Zm9="),
                                       SPAN_INIT("Zm+="), SPAN_INIT("Zm9vYh==")};
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span octets;
        assert_false(base64_decode(&arena, rows[i], &octets));
    }
    arena_free(&arena);
}

/* Of all 256 octets exactly the 64 of the alphabet are digits. */
static void takes_the_alphabet_and_nothing_else(void **state)
{
    (void)state;
    struct arena arena = {0};
    int taken = 0;
    for (int octet = 0; octet < 256; octet++) {
        char text[4] = {(char)octet, 'A', 'A', 'A'};
        struct span octets;
        taken += base64_decode(&arena, span_of(text, 4), &octets) ? 1 : 0;
    }
    assert_int_equal(taken, 64);
    arena_free(&arena);
}

static void base32_known_numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        struct span text;
    } rows[] = {
        {0, SPAN_INIT("0")},     {9, SPAN_INIT("9")},      {10, SPAN_INIT("A")},
        {11, SPAN_INIT("B")},    {31, SPAN_INIT("Z")},     {32, SPAN_INIT("10")},
        {1023, SPAN_INIT("ZZ")}, {1024, SPAN_INIT("100")}, {UINT64_MAX, SPAN_INIT("GZZZZZZZZZZZZ")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[BASE32_U64_MAX];
        uint64_t back;
        assert_true(span_equal(span_of(out, base32_u64(rows[i].number, out)), rows[i].text));
        assert_true(base32_to_u64(rows[i].text, &back));
        assert_true(back == rows[i].number);
    }
}

static void base32_comes_back_for_every_bit(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        for (uint64_t less = 0; less < 2; less++) {
            uint64_t number = ((uint64_t)1 << bit) - less;
            char out[BASE32_U64_MAX];
            uint64_t back;
            assert_true(base32_to_u64(span_of(out, base32_u64(number, out)), &back));
            assert_true(back == number);
        }
    }
}

static void base32_reads_lower_case(void **state)
{
    (void)state;
    uint64_t lower, upper;
    assert_true(base32_to_u64(SPAN("7gqkz"), &lower));
    assert_true(base32_to_u64(SPAN("7GQKZ"), &upper));
    assert_true(lower == upper);
}

static void base32_refuses_everything_else(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_INIT(""),
        SPAN_INIT("E"),
        SPAN_INIT("I"),
        SPAN_INIT("O"),
        SPAN_INIT("U"),
        SPAN_INIT("u"),
        SPAN_INIT(" 1"),
        SPAN_INIT("1 "),
        SPAN_INIT("-1"),
        SPAN_INIT("1\0"),
        SPAN_INIT("\xc1"),
        SPAN_INIT("["),
        {NULL, 0},
        SPAN_INIT("H000000000000"),  /* 2^64 */
        SPAN_INIT("ZZZZZZZZZZZZZ"),  /* overflows in the last digit */
        SPAN_INIT("00000000000001"), /* one digit too many */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t number = 99;
        assert_false(base32_to_u64(rows[i], &number));
        assert_int_equal(number, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_the_known_vectors),
        cmocka_unit_test(decodes_the_known_vectors),
        cmocka_unit_test(decodes_what_it_encodes),
        cmocka_unit_test(refuses_what_is_not_strict),
        cmocka_unit_test(refuses_bits_behind_the_end),
        cmocka_unit_test(takes_the_alphabet_and_nothing_else),
        cmocka_unit_test(base32_known_numbers),
        cmocka_unit_test(base32_comes_back_for_every_bit),
        cmocka_unit_test(base32_reads_lower_case),
        cmocka_unit_test(base32_refuses_everything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
