/*
 * Headers of proxies: whatever comes, no octet behind the header counts, a part of a header never
 * says something else than the whole, and an address that is believed can be printed.
 */
#include "tests/fuzz/fuzz.h"

#include "util/sys/proxy_header.h"

static void check_address(const union net_address *address)
{
    char text[NET_TEXT_MAX];
    union net_address again;
    require(address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6);
    require(net_parse_address(net_text(address, text), &again));
    require(again.any.sa_family == address->any.sa_family);
}

/* The parts of `input` are copies, so that the sanitizer sees what is read behind them. */
static enum proxy_result parse_part(struct span input, size_t size, struct proxy_header *header)
{
    struct buf part = {0};
    buf_add(&part, span_first(input, size));
    enum proxy_result result = proxy_header_parse(buf_span(&part), header);
    buf_free(&part);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    struct proxy_header header = {0}, part = {0};
    enum proxy_result whole = proxy_header_parse(input, &header);
    if (whole == PROXY_OK) {
        require(header.size > 0 && header.size <= input.len && header.size <= PROXY_HEADER_MOST);
        require(parse_part(input, header.size, &part) == PROXY_OK && part.size == header.size);
    }
    if (whole == PROXY_OK && header.source == PROXY_CLIENT) {
        check_address(&header.client);
        check_address(&header.server);
    }
    /* From "more" to the verdict, and never back. */
    size_t decided = whole == PROXY_OK ? header.size : input.len;
    enum proxy_result before = PROXY_MORE;
    for (size_t end = 0; end < decided; end++) {
        enum proxy_result result = parse_part(input, end, &part);
        require(result != PROXY_OK);
        require(before == PROXY_MORE || result == PROXY_BAD);
        require(whole == PROXY_BAD || result == PROXY_MORE);
        before = result;
    }
    require(whole != PROXY_MORE || size < PROXY_HEADER_MOST);
    return 0;
}
