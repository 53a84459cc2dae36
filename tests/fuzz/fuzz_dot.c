/*
 * The end of a message must not depend on how it came: decoded in one piece or cut anywhere, twice,
 * the result is one. What is encoded comes back when it is decoded. The first two octets are the
 * places of the cuts.
 */
#include "tests/fuzz/fuzz.h"
#include "util/mail/dot.h"

/* What is known behind the input, or behind the place where decoding stopped. */
struct outcome {
    enum dot_result result;
    enum dot_state state;
    size_t used;
    struct buf out;
};

static void decode(struct dot_decoder *decoder, struct span part, struct outcome *outcome)
{
    size_t used = 0;
    if (outcome->result != DOT_MORE)
        return;
    outcome->result = dot_decode(decoder, part, &outcome->out, &used);
    require(used <= part.len);
    require(outcome->result != DOT_MORE || used == part.len);
    outcome->used += used;
    outcome->state = decoder->state;
}

static struct outcome decode_cut(struct span input, size_t first, size_t second)
{
    struct dot_decoder decoder = {0};
    struct outcome outcome = {.result = DOT_MORE};
    decode(&decoder, fuzz_take(&input, first), &outcome);
    decode(&decoder, fuzz_take(&input, second), &outcome);
    decode(&decoder, input, &outcome);
    return outcome;
}

/* No line end but CR LF comes out. A CR at the very end may still get its LF, unless it is over. */
static void check_message(const struct outcome *outcome)
{
    struct span out = buf_span(&outcome->out);
    for (size_t i = 0; i < out.len; i++) {
        if (out.data[i] == '\n')
            require(i > 0 && out.data[i - 1] == '\r');
        if (out.data[i] == '\r' && i + 1 < out.len)
            require(out.data[i + 1] == '\n');
    }
    if (outcome->result == DOT_END)
        require(out.len == 0 || span_has_suffix(out, SPAN("\r\n")));
}

/* A bare octet is seen at the latest where the next piece ends: result, not place, is compared. */
static void check_cuts(struct span input, size_t first, size_t second)
{
    struct outcome whole = decode_cut(input, input.len, 0);
    struct outcome cut = decode_cut(input, first, second);
    require(whole.result == cut.result);
    if (whole.result != DOT_BARE) {
        require(whole.used == cut.used && whole.state == cut.state);
        require(span_equal(buf_span(&whole.out), buf_span(&cut.out)));
        check_message(&whole);
    }
    buf_free(&whole.out);
    buf_free(&cut.out);
}

/* Line ends as the encoder writes them: LF and CR LF as CR LF, one at the end. */
static void normalise(struct span input, struct buf *out)
{
    for (size_t i = 0; i < input.len; i++) {
        if (input.data[i] == '\n' && (i == 0 || input.data[i - 1] != '\r'))
            buf_add(out, SPAN("\r"));
        buf_add(out, span_of(input.data + i, 1));
    }
    if (input.len > 0 && input.data[input.len - 1] != '\n')
        buf_add(out, input.data[input.len - 1] == '\r' ? SPAN("\n") : SPAN("\r\n"));
}

static bool has_bare_cr(struct span text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '\r' && text.data[i + 1] != '\n')
            return true;
    return false;
}

static void check_encoder(struct span input, size_t first)
{
    struct buf expected = {0}, wire = {0}, wire_cut = {0};
    struct dot_encoder one = {0}, two = {0};
    dot_encode(&one, input, &wire);
    dot_encode_end(&one, &wire);
    dot_encode(&two, span_first(input, first), &wire_cut);
    dot_encode(&two, span_skip(input, first), &wire_cut);
    dot_encode_end(&two, &wire_cut);
    require(span_equal(buf_span(&wire), buf_span(&wire_cut)));

    normalise(input, &expected);
    struct outcome back = decode_cut(buf_span(&wire), first, 1);
    if (has_bare_cr(buf_span(&expected))) {
        require(back.result == DOT_BARE);
    } else {
        require(back.result == DOT_END && back.used == buf_len(&wire));
        require(span_equal(buf_span(&back.out), buf_span(&expected)));
    }
    buf_free(&expected);
    buf_free(&wire);
    buf_free(&wire_cut);
    buf_free(&back.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    size_t first = fuzz_octet(&input), second = fuzz_octet(&input);
    check_cuts(input, first, second);
    check_encoder(input, first);
    return 0;
}
