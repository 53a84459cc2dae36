/*
 * Whatever the network does to the boundaries, the result must be the same: so every row is fed
 * whole, split in two at each octet, and octet by octet.
 */
#include "util/mail/dot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct outcome {
    enum dot_result result;
    size_t used; /* of the whole input */
    struct buf out;
};

/* Feeds `input` in pieces: the first of `first` octets, the others of `step`. */
static struct outcome decode(struct span input, size_t first, size_t step)
{
    struct dot_decoder decoder = {0};
    struct outcome outcome = {DOT_MORE, 0, {0}};
    size_t piece = first;
    while (outcome.result == DOT_MORE && outcome.used < input.len) {
        size_t used;
        struct span part = span_first(span_skip(input, outcome.used), piece);
        outcome.result = dot_decode(&decoder, part, &outcome.out, &used);
        if (outcome.result == DOT_MORE)
            assert_int_equal(used, part.len);
        outcome.used += used;
        piece = step;
    }
    return outcome;
}

static void assert_outcome(struct outcome *outcome, enum dot_result result, struct span message,
                           size_t used)
{
    assert_int_equal(outcome->result, result);
    if (result == DOT_END) {
        assert_int_equal(outcome->used, used);
        assert_int_equal(buf_len(&outcome->out), message.len);
        assert_memory_equal(buf_span(&outcome->out).data, message.data, message.len);
    }
    buf_free(&outcome->out);
}

static void assert_decodes(struct span input, enum dot_result result, struct span message,
                           size_t used)
{
    for (size_t first = 1; first <= input.len; first++) {
        struct outcome outcome = decode(input, first, input.len);
        assert_outcome(&outcome, result, message, used);
    }
    for (size_t step = 1; step <= 3; step++) {
        struct outcome outcome = decode(input, step, step);
        assert_outcome(&outcome, result, message, used);
    }
}

static void message_ends_at_its_dot_line(void **state)
{
    (void)state;
    static const struct {
        struct span input, message;
        size_t behind;
    } rows[] = {
        {SPAN_INIT(".\r\n"), SPAN_INIT(""), 0},
        {SPAN_INIT("\r\n.\r\n"), SPAN_INIT("\r\n"), 0},
        {SPAN_INIT("a\r\n.\r\n"), SPAN_INIT("a\r\n"), 0},
        {SPAN_INIT("a\r\n.\r\nMAIL FROM:<>\r\n"), SPAN_INIT("a\r\n"), 14},
        {SPAN_INIT("a\r\n..\r\n.\r\n"), SPAN_INIT("a\r\n.\r\n"), 0},
        {SPAN_INIT("..\r\n...\r\n.\r\n"), SPAN_INIT(".\r\n..\r\n"), 0},
        {SPAN_INIT(".a\r\n.\r\n"), SPAN_INIT("a\r\n"), 0},
        {SPAN_INIT("..a\r\n.\r\n"), SPAN_INIT(".a\r\n"), 0},
        {SPAN_INIT("a.\r\n.b.\r\n.\r\n"), SPAN_INIT("a.\r\nb.\r\n"), 0},
        {SPAN_INIT("a\r\n\r\nb\r\n.\r\n"), SPAN_INIT("a\r\n\r\nb\r\n"), 0},
        {SPAN_INIT("a\0b\r\n\0.\r\n.\r\n"), SPAN_INIT("a\0b\r\n\0.\r\n"), 0},
        {SPAN_INIT("a\xff\x80\r\n.\r\n"), SPAN_INIT("a\xff\x80\r\n"), 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_decodes(rows[i].input, DOT_END, rows[i].message, rows[i].input.len - rows[i].behind);
}

static void bare_cr_or_lf_spoils_the_message(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_INIT("a\n.\n"),        SPAN_INIT("a\n.\r\n"),       SPAN_INIT("a\r\n.\n"),
        SPAN_INIT("a\r.\r"),        SPAN_INIT("a\r\r\n.\r\r\n"), SPAN_INIT("a\r\n.\r\r\n"),
        SPAN_INIT("a\r.\r\n"),      SPAN_INIT("a\n\r.\r\n"),     SPAN_INIT("\n.\r\n"),
        SPAN_INIT(".\n"),           SPAN_INIT("..\n"),           SPAN_INIT(".\rx"),
        SPAN_INIT("a\r\0\n.\r\n"),  SPAN_INIT("\ra\r\n.\r\n"),   SPAN_INIT("a\r\nb\nc\r\n.\r\n"),
        SPAN_INIT("a\r\n.\r.\r\n"),
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_decodes(rows[i], DOT_BARE, SPAN(""), 0);
}

static void nothing_else_ends_the_message(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_INIT("a.\r\n"),      SPAN_INIT("a\r\n.\0\r\n"), SPAN_INIT("a\r\n\0.\r\n"),
        SPAN_INIT("a\r\n. \r\n"), SPAN_INIT("a\r\n..\r\n"),  SPAN_INIT("a\r\n.."),
        SPAN_INIT("a\r\n.\r"),    SPAN_INIT("a\r\n."),       SPAN_INIT("a\r"),
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_decodes(rows[i], DOT_MORE, SPAN(""), 0);
}

static void bare_octet_is_where_used_says(void **state)
{
    (void)state;
    struct dot_decoder decoder = {0};
    struct buf out = {0};
    size_t used;
    assert_int_equal(dot_decode(&decoder, SPAN("ab\r\ncd\nef\r\n"), &out, &used), DOT_BARE);
    assert_int_equal(used, 6);
    buf_free(&out);
}

static void long_line_is_kept_whole(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    static char line[SIZE];
    memset(line, '.', SIZE);
    line[0] = 'x';
    memcpy(line + SIZE - 5, "\r\n.\r\n", 5);
    struct outcome outcome = decode(span_of(line, SIZE), 4096, 4096);
    assert_outcome(&outcome, DOT_END, span_of(line, SIZE - 3), SIZE);
}

/* Encodes in pieces of `step` octets and ends. */
static struct buf encode(struct span input, size_t step)
{
    struct dot_encoder encoder = {0};
    struct buf out = {0};
    for (; input.len > 0; input = span_skip(input, step))
        dot_encode(&encoder, span_first(input, step), &out);
    dot_encode_end(&encoder, &out);
    return out;
}

static void encoder_writes_crlf_and_doubles_dots(void **state)
{
    (void)state;
    static const struct {
        struct span input, wire;
    } rows[] = {
        {SPAN_INIT(""), SPAN_INIT(".\r\n")},
        {SPAN_INIT("a\n"), SPAN_INIT("a\r\n.\r\n")},
        {SPAN_INIT("a\r\n"), SPAN_INIT("a\r\n.\r\n")},
        {SPAN_INIT("a"), SPAN_INIT("a\r\n.\r\n")},
        {SPAN_INIT("a\r"), SPAN_INIT("a\r\n.\r\n")},
        {SPAN_INIT("."), SPAN_INIT("..\r\n.\r\n")},
        {SPAN_INIT(".\n"), SPAN_INIT("..\r\n.\r\n")},
        {SPAN_INIT("..\r\n"), SPAN_INIT("...\r\n.\r\n")},
        {SPAN_INIT("a\n.b\r\n.\n"), SPAN_INIT("a\r\n..b\r\n..\r\n.\r\n")},
        {SPAN_INIT("\n\r\n\n"), SPAN_INIT("\r\n\r\n\r\n.\r\n")},
        {SPAN_INIT("a.b\n"), SPAN_INIT("a.b\r\n.\r\n")},
        {SPAN_INIT("a\0b\n"), SPAN_INIT("a\0b\r\n.\r\n")},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 1; step <= rows[i].input.len + 1; step++) {
            struct buf out = encode(rows[i].input, step);
            assert_int_equal(buf_len(&out), rows[i].wire.len);
            assert_memory_equal(buf_span(&out).data, rows[i].wire.data, rows[i].wire.len);
            buf_free(&out);
        }
}

static void decoder_undoes_the_encoder(void **state)
{
    (void)state;
    struct span message = SPAN("Subject: x\r\n\r\n.\r\n..\r\ntext.\r\n\r\n");
    struct buf wire = encode(message, 7);
    assert_decodes(buf_span(&wire), DOT_END, message, buf_len(&wire));
    buf_free(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_ends_at_its_dot_line),
        cmocka_unit_test(bare_cr_or_lf_spoils_the_message),
        cmocka_unit_test(nothing_else_ends_the_message),
        cmocka_unit_test(bare_octet_is_where_used_says),
        cmocka_unit_test(long_line_is_kept_whole),
        cmocka_unit_test(encoder_writes_crlf_and_doubles_dots),
        cmocka_unit_test(decoder_undoes_the_encoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
