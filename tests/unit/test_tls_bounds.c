/* tls, what a client can make us do: each call ends in time, whatever comes. */
#include "tests/unit/tls_rig.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void connect_done(struct tls_rig *rig)
{
    SSL_CTX_set_min_proto_version(rig->visitor, TLS1_3_VERSION);
    tls_rig_connect(rig, rig->server);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
}

/* What the server has not taken off its socket. */
static int unread(const struct tls_rig *rig)
{
    int octets = 0;
    assert_int_equal(ioctl(rig->fd[1], FIONREAD, &octets), 0);
    return octets;
}

/* Sends so many KeyUpdates. */
static void renew(struct tls_rig *rig, int times)
{
    for (int i = 0; i < times; i++) {
        assert_int_equal(SSL_key_update(rig->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(rig->client), 1);
    }
}

/* A ClientHello of 64 KiB in records of one octet, as much as the socket takes. */
static void fill_with_tiny_records(struct tls_rig *rig)
{
    enum { RECORD = 6, RECORDS = 60000 };
    static uint8_t octets[RECORDS * RECORD];
    for (size_t i = 0; i < RECORDS; i++) {
        const uint8_t record[RECORD] = {0x16, 3, 1, 0, 1, i < 2};
        memcpy(octets + i * RECORD, record, RECORD);
    }
    assert_int_equal(fcntl(rig->fd[0], F_SETFL, O_NONBLOCK), 0);
    assert_true(write(rig->fd[0], octets, sizeof octets) > 0);
}

static void keys_may_be_renewed(void **state)
{
    struct tls_rig *rig = *state;
    connect_done(rig);
    renew(rig, 8);
    tls_rig_assert_talk(rig);
    renew(rig, 8);
    tls_rig_assert_talk(rig);
}

static void who_renews_keys_without_end_has_to_go(void **state)
{
    struct tls_rig *rig = *state;
    char octet;
    size_t count;
    connect_done(rig);
    renew(rig, 65);
    assert_int_equal(tls_read(rig->tls, &octet, 1, &count), TLS_ERROR);
    assert_string_equal(tls_reason(rig->tls), "too many messages of TLS itself");
    assert_int_equal(tls_read(rig->tls, &octet, 1, &count), TLS_ERROR);
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_hello_in_tiny_records_is_not_read_in_one_call(void **state)
{
    struct tls_rig *rig = *state;
    int size = 1 << 20;
    tls_rig_connect(rig, rig->server);
    assert_int_equal(setsockopt(rig->fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    fill_with_tiny_records(rig);
    int before = unread(rig);
    assert_int_equal(tls_handshake(rig->tls), TLS_WANT_READ);
    int after = unread(rig);
    assert_in_range(after, 1, before - 1);
    /* And the next call goes on. */
    enum tls_result next = tls_handshake(rig->tls);
    assert_true(next == TLS_WANT_READ || next == TLS_ERROR);
    assert_in_range(unread(rig), 0, after - 1);
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, tls_rig_setup, tls_rig_teardown)
    static const struct CMUnitTest tests[] = {
        RIGGED(keys_may_be_renewed),
        RIGGED(who_renews_keys_without_end_has_to_go),
        RIGGED(a_hello_in_tiny_records_is_not_read_in_one_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
