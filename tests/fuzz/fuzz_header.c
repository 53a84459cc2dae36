/*
 * Header blocks of strangers: fields lie in the block, one behind the other; counting and walking
 * see the same hops.
 */
#include "tests/fuzz/fuzz.h"
#include "util/mail/header.h"

static void check_field(const struct header_field *field, struct span before, struct span after)
{
    require(fuzz_within(field->name, before) && fuzz_within(field->value, before));
    require(field->name.len > 0 && after.len < before.len);
    require(field->name.data + field->name.len < field->value.data);
    require(field->value.data + field->value.len <= after.data);
    require(span_find(field->name, ':') == field->name.len);
    require(span_find(field->name, '\n') == field->name.len);
}

/* Walks the block; the count of Received among its fields. */
static size_t walk(struct span message)
{
    struct header_field field;
    struct span rest = message;
    size_t received = 0;
    for (struct span before = rest; header_next(&rest, &field); before = rest) {
        check_field(&field, before, rest);
        received += span_equal_nocase(field.name, SPAN("Received"));
    }
    return received;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    size_t most = (size_t)fuzz_octet(&input) * 16;

    size_t end = header_end(input);
    require(end <= input.len);
    require(end == input.len || input.data[end - 1] == '\n');

    struct header_facts facts = header_scan(input, input.len);
    require(facts.size == end);
    require(facts.received >= walk(input));
    require(header_scan(span_first(input, end), input.len).received == facts.received);

    struct header_facts part = header_scan(input, most);
    require(part.size <= most && part.size <= facts.size);
    require(part.received <= facts.received);
    return 0;
}
