#include "util/mail/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct span domains[] = {SPAN_INIT("example.test"), SPAN_INIT("second.test")};
static struct span relay_domains[] = {SPAN_INIT("partner.test")};
static struct conf_route routes[] = {
    {SPAN_INIT("*"), SPAN_INIT("smtp"), SPAN_INIT("[192.0.2.9]:25"), 10},
    {SPAN_INIT(".far.test"), SPAN_INIT("smtp"), SPAN_INIT("gate.far.test"), 11},
    {SPAN_INIT(".very.far.test"), SPAN_INIT("smtp"), SPAN_INIT(""), 12},
    {SPAN_INIT("a.far.test"), SPAN_INIT("hold"), SPAN_INIT(""), 13},
    {SPAN_INIT("bob@a.far.test"), SPAN_INIT("discard"), SPAN_INIT(""), 14},
};
static struct conf_listen listens[] = {{.line = 1}, {.line = 2}};

static struct conf conf_with(size_t route_count)
{
    assert_true(net_parse_endpoint(SPAN("192.0.2.1:25"), &listens[0].address));
    assert_true(net_parse_endpoint(SPAN("[2001:db8::1]:25"), &listens[1].address));
    return (struct conf){
        .hostname = SPAN("mx.example.test"),
        .domains = {domains, COUNT(domains)},
        .relay_domains = {relay_domains, COUNT(relay_domains)},
        .routes = {routes, route_count},
        .listens = {listens, COUNT(listens)},
    };
}

static struct address parsed(struct span text)
{
    struct address address;
    assert_int_equal(address_parse(text, &address), ADDRESS_OK);
    return address;
}

static void class_follows_the_domain(void **state)
{
    (void)state;
    static const struct {
        struct span address;
        enum route_class class;
    } rows[] = {
        {SPAN_INIT("a@example.test"), ROUTE_LOCAL},
        {SPAN_INIT("a@EXAMPLE.test"), ROUTE_LOCAL},
        {SPAN_INIT("a@example.test."), ROUTE_LOCAL},
        {SPAN_INIT("a@second.test"), ROUTE_LOCAL},
        {SPAN_INIT("a@mx.example.test"), ROUTE_LOCAL},
        {SPAN_INIT("a@sub.example.test"), ROUTE_REMOTE},
        {SPAN_INIT("a@notexample.test"), ROUTE_REMOTE},
        {SPAN_INIT("a@partner.test"), ROUTE_RELAY},
        {SPAN_INIT("a@else.test"), ROUTE_REMOTE},
        {SPAN_INIT("a%else.test@example.test"), ROUTE_LOCAL},
        {SPAN_INIT("\"a@else.test\"@example.test"), ROUTE_LOCAL},
        {SPAN_INIT("a@[192.0.2.1]"), ROUTE_LOCAL},
        {SPAN_INIT("a@[127.0.0.1]"), ROUTE_LOCAL},
        {SPAN_INIT("a@[IPv6:::1]"), ROUTE_LOCAL},
        {SPAN_INIT("a@[IPv6:2001:db8:0::1]"), ROUTE_LOCAL},
        {SPAN_INIT("a@[192.0.2.2]"), ROUTE_REMOTE},
    };
    struct conf conf = conf_with(0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address = parsed(rows[i].address);
        assert_int_equal(route_class_of(&conf, &address), rows[i].class);
    }
}

static void assert_route(const struct conf *conf, struct span text, const char *transport,
                         const char *nexthop, unsigned line)
{
    struct address address = parsed(text);
    struct route route = route_find(conf, &address);
    assert_true(span_equal(route.transport, span_cstr(transport)));
    assert_true(span_equal(route.nexthop, span_cstr(nexthop)));
    assert_int_equal(route.line, line);
}

static void without_routes_the_class_decides(void **state)
{
    (void)state;
    struct conf conf = conf_with(0);
    assert_route(&conf, SPAN("a@example.test"), "local", "", 0);
    struct address remote = parsed(SPAN("a@Else.test"));
    struct route route = route_find(&conf, &remote);
    assert_true(span_equal(route.transport, SPAN("smtp")));
    assert_true(span_equal(route.nexthop, SPAN("else.test")));
    assert_ptr_equal(route.nexthop.data, remote.domain);
}

static void most_specific_route_wins(void **state)
{
    (void)state;
    struct conf conf = conf_with(COUNT(routes));
    assert_route(&conf, SPAN("a@else.test"), "smtp", "[192.0.2.9]:25", 10);
    assert_route(&conf, SPAN("a@far.test"), "smtp", "[192.0.2.9]:25", 10);
    assert_route(&conf, SPAN("a@b.far.test"), "smtp", "gate.far.test", 11);
    assert_route(&conf, SPAN("a@b.c.FAR.test"), "smtp", "gate.far.test", 11);
    assert_route(&conf, SPAN("a@a.far.test"), "hold", "", 13);
    assert_route(&conf, SPAN("Bob@A.far.test"), "discard", "", 14);
}

static void the_route_for_all_others_leaves_local_mailboxes_alone(void **state)
{
    (void)state;
    struct conf conf = conf_with(COUNT(routes));
    assert_route(&conf, SPAN("a@example.test"), "local", "", 0);
    assert_route(&conf, SPAN("a@partner.test"), "smtp", "[192.0.2.9]:25", 10);
}

static void smtp_without_nexthop_goes_to_the_domain(void **state)
{
    (void)state;
    struct conf conf = conf_with(COUNT(routes));
    struct address address = parsed(SPAN("a@x.very.far.test"));
    struct route route = route_find(&conf, &address);
    assert_int_equal(route.line, 12);
    assert_true(span_equal(route.nexthop, SPAN("x.very.far.test")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_follows_the_domain),
        cmocka_unit_test(without_routes_the_class_decides),
        cmocka_unit_test(most_specific_route_wins),
        cmocka_unit_test(the_route_for_all_others_leaves_local_mailboxes_alone),
        cmocka_unit_test(smtp_without_nexthop_goes_to_the_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
