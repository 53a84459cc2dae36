/*
 * What parses as a path prints as an address that parses to the same one: policy, routing and the
 * next server must read one address alike. The first octet chooses a default domain.
 */
#include "tests/fuzz/fuzz.h"
#include "util/mail/address.h"
#include "util/mail/utf8.h"

static void check_parts(const struct address *address)
{
    struct span local = address_local(address);
    require(local.len > 0 && local.len <= ADDRESS_LOCAL_MAX);
    require(address->domain_len > 0 && address->domain_len <= ADDRESS_DOMAIN_MAX);
    for (size_t i = 0; i < local.len;) {
        size_t wide = utf8_character(span_skip(local, i));
        require(wide > 0 || (local.data[i] >= ' ' && local.data[i] <= '~'));
        i += wide > 0 ? wide : 1;
    }
    struct span domain = address_domain(address);
    require(address->domain_is_literal || domain_is_valid(domain));
    for (size_t i = 0; i < domain.len; i++)
        require(domain.data[i] > ' ' && domain.data[i] <= '~' &&
                !(domain.data[i] >= 'A' && domain.data[i] <= 'Z' && !address->domain_is_literal));
}

static void check_round_trip(const struct address *address)
{
    char text[ADDRESS_TEXT_MAX], again[ADDRESS_TEXT_MAX];
    struct address parsed;
    struct span printed = address_text(address, text);
    require(address_parse(printed, &parsed) == ADDRESS_OK);
    require(span_equal(address_local(address), address_local(&parsed)));
    require(span_equal(address_domain(address), address_domain(&parsed)));
    require(address->domain_is_literal == parsed.domain_is_literal);
    require(span_equal(printed, address_text(&parsed, again)));

    struct span key = address_key(address, text);
    require(span_equal(key, address_key(&parsed, again)));
    require(key.len == (size_t)address->local_len + 1 + address->domain_len);
}

/* The same between brackets is the same address. */
static void check_bracketed(const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    struct address parsed;
    struct span rest;
    struct buf path = {0};
    buf_add(&path, SPAN(" <"));
    buf_add(&path, address_text(address, text));
    buf_add(&path, SPAN("> SIZE=1"));
    require(address_parse_path(buf_span(&path), SPAN(""), &parsed, &rest) == ADDRESS_OK);
    require(span_equal(address_local(address), address_local(&parsed)));
    require(span_equal(address_domain(address), address_domain(&parsed)));
    require(span_equal(rest, SPAN(" SIZE=1")));
    buf_free(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size), rest;
    struct span domain = fuzz_octet(&input) & 1 ? SPAN("example.test") : SPAN("");
    struct address address;

    enum address_result result = address_parse_path(input, domain, &address, &rest);
    if (result == ADDRESS_OK || result == ADDRESS_EMPTY)
        require(fuzz_within(rest, input) && rest.data + rest.len == input.data + input.len);
    if (result == ADDRESS_EMPTY)
        require(address.local_len == 0 && address.domain_len == 0);
    if (result == ADDRESS_OK) {
        check_parts(&address);
        check_round_trip(&address);
        check_bracketed(&address);
    }
    if (address_parse(input, &address) == ADDRESS_OK) {
        check_parts(&address);
        check_round_trip(&address);
    }
    return 0;
}
