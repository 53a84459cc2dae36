/*
 * Which connections an acceptor takes, and when it leaves the socket alone. The clients connect
 * over loopback; a turn of the loop that finds nothing to do returns at once.
 */
#include "tests/unit/local_address.h"
#include "util/daemon/acceptor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/base/arena.h"

enum { CLIENTS = 3, PATIENCE_MS = 10000 };

struct fixture {
    struct loop *loop;
    struct acceptor acceptor;
    union net_address address;
    int clients[CLIENTS];
    int taken[CLIENTS];
    size_t taken_count;
    unsigned asked; /* whether another process should take it */
    bool busy;      /* the answer */
};

static void on_connection(void *arg, int fd, const union net_address *client)
{
    struct fixture *fixture = arg;
    assert_true(net_is_loopback(client));
    fixture->taken[fixture->taken_count++] = fd;
}

static bool yields(void *arg)
{
    struct fixture *fixture = arg;
    fixture->asked++;
    return fixture->busy;
}

/* All of them are in the kernel's queue before the first turn. */
static void connect_clients(struct fixture *fixture)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        fixture->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(
            connect(fixture->clients[i], &fixture->address.any, sizeof(fixture->address.v4)), 0);
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    const struct acceptor_calls calls = {on_connection, yields, fixture};
    fixture->loop = loop_new();
    assert_true(net_parse_address(SPAN("127.0.0.1"), &fixture->address));
    int fd = net_listen(&fixture->address, CLIENTS);
    assert_true(fd >= 0);
    assert_true(local_address(fd, &fixture->address));
    acceptor_open(&fixture->acceptor, fixture->loop, fd, &calls);
    connect_clients(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < CLIENTS; i++)
        (void)close(fixture->clients[i]);
    for (size_t i = 0; i < fixture->taken_count; i++)
        (void)close(fixture->taken[i]);
    acceptor_close(&fixture->acceptor);
    loop_free(fixture->loop);
    mem_free(fixture);
    return 0;
}

static void takes_one_connection_a_turn(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 1; i <= CLIENTS; i++) {
        loop_turn(fixture->loop, PATIENCE_MS);
        assert_int_equal(fixture->taken_count, i);
    }
}

static void leaves_a_connection_to_others_once_and_then_takes_it(void **state)
{
    struct fixture *fixture = *state;
    fixture->busy = true;
    loop_turn(fixture->loop, PATIENCE_MS);
    assert_int_equal(fixture->taken_count, 0);
    loop_turn(fixture->loop, 0); /* the socket is left alone meanwhile */
    assert_int_equal(fixture->asked, 1);
    loop_turn(fixture->loop, PATIENCE_MS);
    loop_turn(fixture->loop, PATIENCE_MS);
    assert_int_equal(fixture->asked, 1);
    assert_int_equal(fixture->taken_count, 1);
}

static void takes_nothing_while_it_is_not_wanted(void **state)
{
    struct fixture *fixture = *state;
    acceptor_want(&fixture->acceptor, false);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->taken_count, 0);
    acceptor_want(&fixture->acceptor, true);
    loop_turn(fixture->loop, PATIENCE_MS);
    assert_int_equal(fixture->taken_count, 1);
}

static void rests_without_descriptors_and_goes_on_by_itself(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    loop_turn(fixture->loop, 0);
    bool rests = timer_is_set(&fixture->acceptor.rest);
    /* Whoever wants it meanwhile does not end the rest. */
    acceptor_want(&fixture->acceptor, true);
    loop_turn(fixture->loop, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(rests);
    assert_int_equal(fixture->asked, 1);
    assert_int_equal(fixture->taken_count, 0);
    loop_turn(fixture->loop, PATIENCE_MS);
    loop_turn(fixture->loop, PATIENCE_MS);
    assert_int_equal(fixture->taken_count, 1);
}

static void closing_gives_the_port_back_and_is_fine_twice(void **state)
{
    struct fixture *fixture = *state;
    acceptor_close(&fixture->acceptor);
    acceptor_close(&fixture->acceptor);
    acceptor_want(&fixture->acceptor, true);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->taken_count, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, &fixture->address.any, sizeof(fixture->address.v4)), -1);
    (void)close(client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(takes_one_connection_a_turn),
        TEST(leaves_a_connection_to_others_once_and_then_takes_it),
        TEST(takes_nothing_while_it_is_not_wanted),
        TEST(rests_without_descriptors_and_goes_on_by_itself),
        TEST(closing_gives_the_port_back_and_is_fine_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
