/*
 * The header of a proxy, as tables of texts and octets. Every good one is also given in all its
 * parts: each of them is the beginning of a header and nothing else.
 */
#include "util/sys/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "util/base/buf.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIGNATURE    "\r\n\r\n\0\r\nQUIT\n"
#define V4_ADDRESSES "\xc0\x00\x02\x07\x0a\x00\x00\x01\x30\x39\x00\x19"
#define V6_CLIENT    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
#define V6_SERVER    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_PORTS     "\x30\x39\x00\x19"
#define MAPPED       "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07"

static void assert_address(const union net_address *address, const char *text, unsigned port)
{
    char shown[NET_TEXT_MAX];
    assert_string_equal(net_text(address, shown).data, text);
    assert_int_equal(net_port(address), port);
}

/* One that is whole, with what the client says behind it, and each part of it alone. */
static struct proxy_header parse_good(struct span octets)
{
    struct proxy_header header = {0};
    struct buf whole = {0};
    for (size_t part = 0; part < octets.len; part++) {
        if (proxy_header_parse(span_first(octets, part), &header) != PROXY_MORE)
            fail_msg("octet %zu of %.*s", part, SPAN_ARG(octets));
        assert_int_equal(header.size, 0);
    }
    assert_int_equal(proxy_header_parse(octets, &header), PROXY_OK);
    assert_int_equal(header.size, octets.len);
    buf_add(&whole, octets);
    buf_add(&whole, SPAN("EHLO x\r\n"));
    assert_int_equal(proxy_header_parse(buf_span(&whole), &header), PROXY_OK);
    assert_int_equal(header.size, octets.len);
    buf_free(&whole);
    return header;
}

static void lines_are_read(void **state)
{
    static const struct {
        const char *line;
        const char *client, *server;
        unsigned client_port, server_port;
    } rows[] = {
        {"PROXY TCP4 192.0.2.7 10.0.0.1 12345 25\r\n", "192.0.2.7", "10.0.0.1", 12345, 25},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255",
         "255.255.255.255", 65535, 65535},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0", "0.0.0.0", 0, 0},
        {"PROXY TCP6 2001:db8::7 2001:db8::1 12345 25\r\n", "2001:db8::7", "2001:db8::1", 12345,
         25},
        {"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7", "::1", 1, 2},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         65535, 65535},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proxy_header header = parse_good(span_cstr(rows[i].line));
        assert_int_equal(header.source, PROXY_CLIENT);
        assert_address(&header.client, rows[i].client, rows[i].client_port);
        assert_address(&header.server, rows[i].server, rows[i].server_port);
    }
}

static void unknown_line_names_nobody_whatever_it_says(void **state)
{
    static const char *const lines[] = {
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN \r\n",
        "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        "PROXY UNKNOWN 192.0.2.7 10.0.0.1 1 2\r\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_int_equal(parse_good(span_cstr(lines[i])).source, PROXY_SOMEBODY);
}

static void lines_that_are_not_exact_are_refused(void **state)
{
    static const char *const lines[] = {
        "EHLO client.test\r\n",
        "proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7  10.0.0.1 1 2\r\n",
        "PROXY TCP4\t192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 18446744073709551617\r\n",
        "PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7/32 10.0.0.1 1 2\r\n",
        "PROXY TCP4 mx.example.test 10.0.0.1 1 2\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP6 2001:db8::7%eth0 2001:db8::1 1 2\r\n",
        "PROXY TCP5 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY UNKNOWNED\r\n",
        "PROXY unknown\r\n",
    };
    struct proxy_header header = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++)
        if (proxy_header_parse(span_cstr(lines[i]), &header) != PROXY_BAD)
            fail_msg("%s", lines[i]);
    assert_int_equal(header.size, 0);
}

static void line_may_have_107_octets(void **state)
{
    char line[200];
    struct proxy_header header;
    (void)state;
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(proxy_header_parse(span_of(line, 106), &header), PROXY_MORE);
    assert_int_equal(proxy_header_parse(span_of(line, 107), &header), PROXY_BAD);
    memcpy(line + 105, "\r\n", 2);
    assert_int_equal(proxy_header_parse(span_of(line, 107), &header), PROXY_OK);
    memcpy(line + 105, "x\r\n", 3);
    assert_int_equal(proxy_header_parse(span_of(line, 108), &header), PROXY_BAD);
}

static void nul_in_a_line_is_refused(void **state)
{
    struct proxy_header header;
    (void)state;
    assert_int_equal(proxy_header_parse(SPAN("PROXY TCP4 192.0.2.7\0 10.0.0.1 1 2\r\n"), &header),
                     PROXY_BAD);
}

static void binary_headers_are_read(void **state)
{
    static const struct {
        struct span octets;
        const char *client, *server;
    } rows[] = {
        {SPAN_INIT(SIGNATURE "\x21\x11\x00\x0c" V4_ADDRESSES), "192.0.2.7", "10.0.0.1"},
        /* TLVs behind the addresses: 0x04 is padding. */
        {SPAN_INIT(SIGNATURE "\x21\x11\x00\x13" V4_ADDRESSES "\x04\x00\x04----"), "192.0.2.7",
         "10.0.0.1"},
        {SPAN_INIT(SIGNATURE "\x21\x21\x00\x24" V6_CLIENT V6_SERVER V6_PORTS), "2001:db8::7",
         "2001:db8::1"},
        {SPAN_INIT(SIGNATURE "\x21\x21\x00\x27" V6_CLIENT V6_SERVER V6_PORTS "\x04\x00\x00"),
         "2001:db8::7", "2001:db8::1"},
        {SPAN_INIT(SIGNATURE "\x21\x21\x00\x24" MAPPED V6_SERVER V6_PORTS), "192.0.2.7",
         "2001:db8::1"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proxy_header header = parse_good(rows[i].octets);
        assert_int_equal(header.source, PROXY_CLIENT);
        assert_address(&header.client, rows[i].client, 12345);
        assert_address(&header.server, rows[i].server, 25);
    }
}

static void binary_header_may_name_nobody(void **state)
{
    static const struct {
        struct span octets;
        enum proxy_source source;
    } rows[] = {
        {SPAN_INIT(SIGNATURE "\x20\x00\x00\x00"), PROXY_ITSELF},
        /* What LOCAL says of addresses is to be passed over, however odd. */
        {SPAN_INIT(SIGNATURE "\x20\x11\x00\x0c" V4_ADDRESSES), PROXY_ITSELF},
        {SPAN_INIT(SIGNATURE "\x20\xff\x00\x01?"), PROXY_ITSELF},
        {SPAN_INIT(SIGNATURE "\x21\x00\x00\x00"), PROXY_SOMEBODY},
        {SPAN_INIT(SIGNATURE "\x21\x00\x00\x03tlv"), PROXY_SOMEBODY},
        /* Datagrams, UNIX sockets. */
        {SPAN_INIT(SIGNATURE "\x21\x12\x00\x0c" V4_ADDRESSES), PROXY_SOMEBODY},
        {SPAN_INIT(SIGNATURE "\x21\x31\x00\x02--"), PROXY_SOMEBODY},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(parse_good(rows[i].octets).source, rows[i].source);
}

static void unix_addresses_are_passed_over(void **state)
{
    char octets[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/run/proxy.sock";
    (void)state;
    assert_int_equal(parse_good(span_of(octets, sizeof(octets))).source, PROXY_SOMEBODY);
}

static void binary_headers_that_are_wrong_are_refused(void **state)
{
    static const struct span rows[] = {
        SPAN_INIT("\r\n\r\n\0\r\nQUIT\r"),
        SPAN_INIT("\r\n\r\nEHLO"),
        SPAN_INIT(SIGNATURE "\x11\x11\x00\x0c" V4_ADDRESSES), /* version 1 */
        SPAN_INIT(SIGNATURE "\x31\x11\x00\x0c" V4_ADDRESSES),
        SPAN_INIT(SIGNATURE "\x22\x11\x00\x0c" V4_ADDRESSES), /* command 2 */
        SPAN_INIT(SIGNATURE "\x21\x41\x00\x0c" V4_ADDRESSES), /* family 4 */
        SPAN_INIT(SIGNATURE "\x21\x13\x00\x0c" V4_ADDRESSES), /* protocol 3 */
        SPAN_INIT(SIGNATURE "\x21\x11\x00\x0b" V4_ADDRESSES), /* too short for its family */
        SPAN_INIT(SIGNATURE "\x21\x21\x00\x0c" V4_ADDRESSES),
        SPAN_INIT(SIGNATURE "\x21\x11\x00\x00"),
        SPAN_INIT(SIGNATURE "\x21\x11\xff\xff"), /* before all of it came */
        SPAN_INIT(SIGNATURE "\x20\x00\x0f\xf1"),
    };
    struct proxy_header header = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (proxy_header_parse(rows[i], &header) != PROXY_BAD)
            fail_msg("row %zu", i);
    assert_int_equal(header.size, 0);
}

static void binary_header_may_have_as_many_octets_as_we_hold(void **state)
{
    char octets[PROXY_HEADER_MOST] = SIGNATURE "\x20\x00\x0f\xf0";
    (void)state;
    assert_int_equal(parse_good(span_of(octets, sizeof(octets))).source, PROXY_ITSELF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(unknown_line_names_nobody_whatever_it_says),
        cmocka_unit_test(lines_that_are_not_exact_are_refused),
        cmocka_unit_test(line_may_have_107_octets),
        cmocka_unit_test(nul_in_a_line_is_refused),
        cmocka_unit_test(binary_headers_are_read),
        cmocka_unit_test(binary_header_may_name_nobody),
        cmocka_unit_test(unix_addresses_are_passed_over),
        cmocka_unit_test(binary_headers_that_are_wrong_are_refused),
        cmocka_unit_test(binary_header_may_have_as_many_octets_as_we_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
