/* Addresses as tables of texts; sockets on the loopback interface, on ports of the system. */
#include "tests/unit/local_address.h"
#include "util/sys/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static union net_address address_of(const char *text)
{
    union net_address address;
    assert_true(net_parse_address(span_cstr(text), &address));
    return address;
}

static void assert_text(const union net_address *address, const char *expected)
{
    char text[NET_TEXT_MAX];
    struct span shown = net_text(address, text);
    assert_string_equal(text, expected);
    assert_int_equal(shown.len, strlen(expected));
}

static void test_addresses_are_read_and_shown(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"2001:db8::1", "2001:db8::1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::", "::"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:c000:201", "192.0.2.1"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        union net_address address = address_of(rows[i].text);
        assert_text(&address, rows[i].shown);
        assert_int_equal(net_port(&address), 0);
    }
}

static void test_what_is_no_address_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "localhost",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.1 ",
        "192.0.2.1:25",
        "2001:db8:",
        "[::1]",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7:8:9",
        "010.0.0.1 x",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        union net_address address;
        assert_false(net_parse_address(span_cstr(texts[i]), &address));
    }
}

static void test_an_address_with_a_nul_is_refused(void **state)
{
    union net_address address;
    (void)state;
    assert_false(net_parse_address(SPAN("192.0.2.1\0evil"), &address));
}

static void test_endpoints_are_read(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
        uint16_t port;
    } rows[] = {
        {"192.0.2.1:25", "192.0.2.1", 25},
        {"0.0.0.0:0", "0.0.0.0", 0},
        {"[2001:db8::1]:465", "2001:db8::1", 465},
        {"[::]:65535", "::", 65535},
        {"[::ffff:192.0.2.1]:110", "192.0.2.1", 110},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        union net_address address;
        assert_true(net_parse_endpoint(span_cstr(rows[i].text), &address));
        assert_text(&address, rows[i].shown);
        assert_int_equal(net_port(&address), rows[i].port);
    }
}

static void test_what_is_no_endpoint_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        ":25",
        "25",
        "192.0.2.1",
        "192.0.2.1:",
        "[::1]",
        "[::1]:",
        "::1:25",
        "[192.0.2.1]:25",
        "192.0.2.1:65536",
        "[::1:25",
        "::1]:25",
        "[]:25",
        "[:25",
        "192.0.2.1:+25",
        "localhost:25",
        "192.0.2.1:25 ",
        "[::1]]:25",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        union net_address address;
        assert_false(net_parse_endpoint(span_cstr(texts[i]), &address));
    }
}

static void test_prefixes_hold_their_addresses_alone(void **state)
{
    static const struct {
        const char *prefix;
        const char *address;
        bool holds;
    } rows[] = {
        {"192.0.2.0/24", "192.0.2.0", true},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.4/30", "192.0.2.7", true},
        {"192.0.2.4/30", "192.0.2.8", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1/32", "192.0.2.1", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"::1/128", "::2", false},
        {"192.0.2.0/24", "::ffff:192.0.2.9", true},
        {"::ffff:192.0.2.0/120", "192.0.2.9", true},
        {"::ffff:192.0.2.0/120", "192.0.3.9", false},
        {"::ffff:0.0.0.0/96", "203.0.113.9", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct net_prefix prefix;
        assert_true(net_parse_prefix(span_cstr(rows[i].prefix), &prefix));
        union net_address address = address_of(rows[i].address);
        assert_int_equal(net_prefix_holds(&prefix, &address), rows[i].holds);
    }
}

static void test_what_is_no_prefix_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "/8",
        "192.0.2.0/",
        "192.0.2.0/33",
        "192.0.2.1/24",
        "192.0.2.0/-1",
        "192.0.2.0/24/8",
        "2001:db8::/129",
        "2001:db8::1/64",
        "::ffff:0.0.0.0/95",
        "example.test/8",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct net_prefix prefix;
        assert_false(net_parse_prefix(span_cstr(texts[i]), &prefix));
    }
}

static void test_loopback_is_known_in_both_families(void **state)
{
    static const struct {
        const char *text;
        bool loopback;
    } rows[] = {
        {"127.0.0.1", true},
        {"127.255.255.255", true},
        {"126.0.0.1", false},
        {"128.0.0.1", false},
        {"::1", true},
        {"::2", false},
        {"::ffff:127.0.0.1", true},
        {"0.0.0.0", false},
        {"::", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        union net_address address = address_of(rows[i].text);
        assert_int_equal(net_is_loopback(&address), rows[i].loopback);
    }
}

static void test_limit_keys_are_equal_within_a_network_alone(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool equal;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"0.0.0.0", "::", false},
        {"0.0.0.1", "::1", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        union net_address a = address_of(rows[i].a);
        union net_address b = address_of(rows[i].b);
        assert_int_equal(net_limit_key(&a) == net_limit_key(&b), rows[i].equal);
    }
}

static void test_limit_key_is_never_zero(void **state)
{
    static const char *const texts[] = {"0.0.0.0", "::", "::1"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        union net_address address = address_of(texts[i]);
        assert_true(net_limit_key(&address) != 0);
    }
}

/* ---- sockets ---- */

static int listen_on(const char *endpoint, union net_address *address)
{
    assert_true(net_parse_endpoint(span_cstr(endpoint), address));
    int fd = net_listen(address, 8);
    assert_true(fd >= 0);
    assert_true(local_address(fd, address));
    return fd;
}

static int connect_to(const union net_address *address)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM, 0);
    socklen_t size = address->any.sa_family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
    assert_int_equal(connect(fd, &address->any, size), 0);
    return fd;
}

static void wait_for_connection(int listener)
{
    struct pollfd watched = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&watched, 1, 5000), 1);
}

static void test_listening_on_port_zero_gives_a_port(void **state)
{
    union net_address address;
    (void)state;
    int listener = listen_on("127.0.0.1:0", &address);
    assert_true(net_port(&address) != 0);
    assert_text(&address, "127.0.0.1");
    (void)close(listener);
}

static void test_accept_without_a_client_says_eagain(void **state)
{
    union net_address address;
    (void)state;
    int listener = listen_on("127.0.0.1:0", &address);
    assert_int_equal(net_accept(listener, &address), -1);
    assert_int_equal(errno, EAGAIN);
    (void)close(listener);
}

static void test_accepted_sockets_have_their_flags_and_peer(void **state)
{
    static const char *const endpoints[] = {"127.0.0.1:0", "[::1]:0"};
    static const char *const peers[] = {"127.0.0.1", "::1"};
    (void)state;
    for (size_t i = 0; i < COUNT(endpoints); i++) {
        union net_address address;
        union net_address peer;
        union net_address local;
        int listener = listen_on(endpoints[i], &address);
        int client = connect_to(&address);
        wait_for_connection(listener);
        int fd = net_accept(listener, &peer);
        assert_true(fd >= 0);

        int nodelay = 0;
        socklen_t size = sizeof(nodelay);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
        assert_true(nodelay != 0);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_text(&peer, peers[i]);
        assert_true(local_address(client, &local));
        assert_int_equal(net_port(&peer), net_port(&local));
        (void)close(fd);
        (void)close(client);
        (void)close(listener);
    }
}

static void test_listeners_do_not_block_and_are_not_inherited(void **state)
{
    union net_address address;
    (void)state;
    int listener = listen_on("127.0.0.1:0", &address);
    assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
    (void)close(listener);
}

static void test_both_families_share_a_port(void **state)
{
    union net_address v4;
    union net_address v6;
    (void)state;
    int first = listen_on("0.0.0.0:0", &v4);
    assert_true(net_parse_endpoint(SPAN("[::]:0"), &v6));
    v6.v6.sin6_port = v4.v4.sin_port;
    int second = net_listen(&v6, 8);
    assert_true(second >= 0);
    (void)close(first);
    (void)close(second);
}

static void test_a_port_in_use_is_an_error_with_errno(void **state)
{
    union net_address address;
    (void)state;
    int listener = listen_on("127.0.0.1:0", &address);
    assert_int_equal(net_listen(&address, 8), -1);
    assert_int_equal(errno, EADDRINUSE);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_read_and_shown),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_an_address_with_a_nul_is_refused),
        cmocka_unit_test(test_endpoints_are_read),
        cmocka_unit_test(test_what_is_no_endpoint_is_refused),
        cmocka_unit_test(test_prefixes_hold_their_addresses_alone),
        cmocka_unit_test(test_what_is_no_prefix_is_refused),
        cmocka_unit_test(test_loopback_is_known_in_both_families),
        cmocka_unit_test(test_limit_keys_are_equal_within_a_network_alone),
        cmocka_unit_test(test_limit_key_is_never_zero),
        cmocka_unit_test(test_listening_on_port_zero_gives_a_port),
        cmocka_unit_test(test_accept_without_a_client_says_eagain),
        cmocka_unit_test(test_accepted_sockets_have_their_flags_and_peer),
        cmocka_unit_test(test_listeners_do_not_block_and_are_not_inherited),
        cmocka_unit_test(test_both_families_share_a_port),
        cmocka_unit_test(test_a_port_in_use_is_an_error_with_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
