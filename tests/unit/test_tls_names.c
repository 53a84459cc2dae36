/*
 * A million clients that ask for a million hosts leave nothing behind. (A tenth of them in the
 * build with the sanitizer.)
 *
 * Their hellos offer no cipher that there is, so that the name is read, looked up and reported, and
 * nothing is signed for it: what a name may cost is all that is left.
 */
#include "tests/unit/tls_rig.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAME_LEN = 40, ROOM = 256, ALERT = 7, SLACK = 16384 };

/* Of the sanitizer, which has a malloc of its own. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/* All of them in half a minute of a processor; under the sanitizer, which takes five times as long,
 * a tenth. */
static uint64_t how_many(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL ? 100000 : 1000000;
}

/* Octets that are allocated now. */
static size_t allocated(void)
{
    if (__sanitizer_get_current_allocated_bytes != NULL)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

static uint8_t *put_u16(uint8_t *at, size_t number)
{
    at[0] = (uint8_t)(number >> 8);
    at[1] = (uint8_t)number;
    return at + 2;
}

/* RFC 5246 §7.4.1.2 with RFC 6066 §3; its one cipher is none (RFC 8701). */
static size_t write_hello(uint8_t *hello, const char *name)
{
    enum { EXTENSION = 9 + NAME_LEN, BODY = 2 + 32 + 1 + 4 + 2 + 2 + EXTENSION };
    uint8_t *at = hello;
    *at++ = 22; /* handshake */
    at = put_u16(at, 0x0301);
    at = put_u16(at, 4 + BODY);
    *at++ = 1; /* client_hello, with a length of three octets */
    *at++ = 0;
    at = put_u16(at, BODY);
    at = put_u16(at, 0x0303);
    memset(at, 7, 32); /* random */
    at += 32;
    *at++ = 0; /* no session */
    at = put_u16(at, 2);
    at = put_u16(at, 0x0a0a);
    at = put_u16(at, 0x0100); /* no compression */
    at = put_u16(at, EXTENSION);
    at = put_u16(at, 0); /* server_name */
    at = put_u16(at, 5 + NAME_LEN);
    at = put_u16(at, 3 + NAME_LEN);
    *at++ = 0; /* host_name */
    at = put_u16(at, NAME_LEN);
    memcpy(at, name, NAME_LEN);
    return (size_t)(at + NAME_LEN - hello);
}

/* One connection after the other, over the same sockets; true when its name was seen. */
static bool knock(struct tls_rig *rig, uint64_t number)
{
    char name[NAME_LEN + 1];
    uint8_t hello[ROOM], alert[ROOM];
    unsigned long long scattered = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    (void)snprintf(name, sizeof name, "n%016llx.x%016llx.test", scattered, scattered << 7);
    size_t size = write_hello(hello, name);
    assert_int_equal(write(rig->fd[0], hello, size), size);
    struct tls *tls = tls_accept(rig->server, rig->fd[1]);
    assert_int_equal(tls_handshake(tls), TLS_ERROR);
    bool seen = strcmp(tls_facts(tls).server_name, name) == 0;
    tls_free(tls);
    assert_int_equal(read(rig->fd[0], alert, sizeof alert), ALERT);
    return seen;
}

static void any_number_of_names_costs_no_memory(void **state)
{
    struct tls_rig *rig = *state;
    tls_rig_connect(rig, rig->server);
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(knock(rig, i));
    size_t before = allocated();
    for (uint64_t i = 1000; i < 1000 + how_many(); i++)
        assert_true(knock(rig, i));
    assert_in_range(allocated(), 0, before + SLACK);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_number_of_names_costs_no_memory, tls_rig_setup,
                                        tls_rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
