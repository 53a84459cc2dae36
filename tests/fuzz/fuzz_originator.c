/*
 * Headers that are submitted: cut anywhere they come out the same, a second time nothing changes,
 * no forged Sender is left, and without a login nothing is taken out.
 */
#include "tests/fuzz/fuzz.h"
#include "util/mail/header.h"
#include "util/mail/mailbox.h"
#include "util/mail/originator.h"

static struct originator_facts facts = {
    .login = SPAN_INIT("a@b.test"),
    .hostname = SPAN_INIT("mx.b.test"),
    .unique = SPAN_INIT("u"),
    .time_us = 1793607330000000,
};

static void complete(struct buf *out, struct span message, size_t size)
{
    struct originator originator = {0};
    for (struct span rest = message; rest.len > 0; rest = span_skip(rest, size)) {
        originator_take(&originator, &facts, span_first(rest, size), out);
        require(buf_len(&originator.held) <= ORIGINATOR_HELD);
    }
    originator_end(&originator, &facts, out);
    originator_free(&originator);
}

/* The first field of `rest`, with the lines that go on with it. */
static struct span next_field(struct span *rest)
{
    size_t end = span_find(*rest, '\n') + 1;
    while (end < rest->len && (rest->data[end] == ' ' || rest->data[end] == '\t'))
        end += span_find(span_skip(*rest, end), '\n') + 1;
    struct span field = span_first(*rest, end);
    *rest = span_skip(*rest, end);
    return field;
}

static void judge_senders(struct span message)
{
    struct span rest = span_first(message, header_end(message));
    while (rest.len > 0) {
        struct span field = next_field(&rest), name = span_first(field, span_find(field, ':'));
        struct address address;
        char key[ADDRESS_TEXT_MAX];
        if (name.len == field.len || !span_equal_nocase(span_trim(name), SPAN("sender")) ||
            span_trim(name).data != name.data)
            continue;
        require(mailbox_parse_lone(span_skip(field, name.len + 1), &address));
        require(span_equal(address_key(&address, key), facts.login));
    }
}

/* One run of octets was put in, nothing was taken out. */
static void judge_insertion(struct span before, struct span after)
{
    size_t head = 0, tail = 0;
    require(after.len >= before.len);
    while (head < before.len && before.data[head] == after.data[head])
        head++;
    while (tail < before.len &&
           before.data[before.len - 1 - tail] == after.data[after.len - 1 - tail])
        tail++;
    require(head + tail >= before.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    size_t cut = (size_t)fuzz_octet(&input) + 1;
    struct buf whole = {0}, pieces = {0}, again = {0}, nobody = {0};

    facts.login = SPAN("a@b.test");
    complete(&whole, input, input.len + 1);
    complete(&pieces, input, cut);
    require(span_equal(buf_span(&whole), buf_span(&pieces)));
    judge_senders(buf_span(&whole));
    complete(&again, buf_span(&whole), cut);
    require(span_equal(buf_span(&whole), buf_span(&again)));

    facts.login = SPAN("");
    complete(&nobody, input, cut);
    judge_insertion(input, buf_span(&nobody));
    buf_free(&whole);
    buf_free(&pieces);
    buf_free(&again);
    buf_free(&nobody);
    return 0;
}
