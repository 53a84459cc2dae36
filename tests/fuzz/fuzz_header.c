/*
 * Header blocks of strangers: the block ends within the message, and hops are counted in it alone.
 */
#include "tests/fuzz/fuzz.h"
#include "util/mail/header.h"

/* All that can be a hop: a line that begins with its name. */
static size_t lines_of_hops(struct span message)
{
    struct span rest = span_first(message, header_end(message)), line;
    size_t count = 0;
    while (span_next(&rest, '\n', &line))
        count += span_has_prefix_nocase(line, SPAN("received"));
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    size_t most = (size_t)fuzz_octet(&input) * 16;

    size_t end = header_end(input);
    require(end <= input.len);
    require(end == input.len || input.data[end - 1] == '\n');

    struct header_scan scan = {0};
    header_scan(&scan, input, input.len);
    require(scan.size == end);
    require(scan.received <= lines_of_hops(input));

    /* In pieces it is the same. */
    struct header_scan pieces = {0};
    header_scan(&pieces, span_first(input, most), input.len);
    header_scan(&pieces, span_skip(input, most), input.len);
    require(pieces.size == scan.size && pieces.received == scan.received);
    require(pieces.ended == scan.ended);

    struct header_scan part = {0};
    header_scan(&part, input, most);
    require(part.size <= most && part.size <= scan.size);
    require(part.received <= scan.received);
    return 0;
}
