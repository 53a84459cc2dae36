/* tls, a session: what a client may do wrong, what does not fit at once, what it costs. */
#include "tests/unit/tls_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/sys/sandbox.h"

static void only_version(struct tls_rig *rig, int version)
{
    SSL_CTX_set_min_proto_version(rig->visitor, version);
    SSL_CTX_set_max_proto_version(rig->visitor, version);
}

static void connect_done(struct tls_rig *rig)
{
    tls_rig_connect(rig, rig->server);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
}

/* ---- what is refused ---- */

static void garbage_instead_of_a_hello_ends_the_session_with_a_reason(void **state)
{
    struct tls_rig *rig = *state;
    static const struct span rows[] = {
        SPAN_INIT("EHLO client.example\r\n"),
        SPAN_INIT("GET / HTTP/1.1\r\n\r\n"),
        SPAN_INIT("\0\0\0\0\0\0\0\0\0\0\0\0"),
        SPAN_INIT("\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff and more"),
        SPAN_INIT("\x17\x03\x03\x00\x01x and more than a header"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t count;
        char octet;
        tls_rig_connect(rig, rig->server);
        assert_int_equal(write(rig->fd[0], rows[i].data, rows[i].len), rows[i].len);
        assert_int_equal(tls_handshake(rig->tls), TLS_ERROR);
        assert_true(strlen(tls_reason(rig->tls)) > 0);
        /* And stays ended, whatever is tried. */
        assert_int_equal(tls_handshake(rig->tls), TLS_ERROR);
        assert_int_equal(tls_read(rig->tls, &octet, 1, &count), TLS_ERROR);
        assert_int_equal(tls_write(rig->tls, SPAN("x"), &count), TLS_ERROR);
        assert_int_equal(tls_shutdown(rig->tls), TLS_ERROR);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void an_end_amid_the_handshake_is_an_error(void **state)
{
    struct tls_rig *rig = *state;
    char hello[4096];
    tls_rig_connect(rig, rig->server);
    assert_int_equal(tls_handshake(rig->tls), TLS_WANT_READ);
    (void)SSL_do_handshake(rig->client);
    /* Half of the hello arrives. */
    ssize_t size = recv(rig->fd[1], hello, sizeof hello, 0);
    assert_true(size > 100);
    assert_int_equal(write(rig->fd[0], hello, (size_t)size / 2), size / 2);
    assert_int_equal(tls_handshake(rig->tls), TLS_WANT_READ);
    assert_int_equal(shutdown(rig->fd[0], SHUT_RDWR), 0);
    assert_int_equal(tls_handshake(rig->tls), TLS_ERROR);
    assert_string_equal(tls_reason(rig->tls), "unexpected eof while reading");
}

static void an_end_without_close_notify_is_told_from_one_with_it(void **state)
{
    struct tls_rig *rig = *state;
    char octet;
    size_t count;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        only_version(rig, version);
        connect_done(rig);
        assert_int_equal(shutdown(rig->fd[0], SHUT_WR), 0);
        assert_int_equal(tls_read(rig->tls, &octet, 1, &count), TLS_ERROR);
        assert_string_equal(tls_reason(rig->tls), "unexpected eof while reading");
        connect_done(rig);
        assert_int_equal(SSL_shutdown(rig->client), 0);
        assert_int_equal(tls_read(rig->tls, &octet, 1, &count), TLS_CLOSED);
        assert_int_equal(tls_shutdown(rig->tls), TLS_OK);
        assert_string_equal(tls_reason(rig->tls), "");
    }
}

static void octets_in_plain_behind_a_close_notify_are_not_read(void **state)
{
    struct tls_rig *rig = *state;
    char octets[64];
    size_t count;
    connect_done(rig);
    assert_int_equal(SSL_shutdown(rig->client), 0);
    assert_int_equal(write(rig->fd[0], "MAIL FROM:<>\r\n", 14), 14);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tls_read(rig->tls, octets, sizeof octets, &count), TLS_CLOSED);
        assert_int_equal(count, 0);
    }
}

static void a_client_that_is_gone_is_a_reason_and_not_a_signal(void **state)
{
    struct tls_rig *rig = *state;
    size_t count;
    connect_done(rig);
    assert_int_equal(shutdown(rig->fd[0], SHUT_RDWR), 0);
    assert_int_equal(tls_write(rig->tls, SPAN("250 ok\r\n"), &count), TLS_ERROR);
    assert_string_equal(tls_reason(rig->tls), "Broken pipe");
}

static void renegotiation_is_refused(void **state)
{
    struct tls_rig *rig = *state;
    char octet;
    size_t count;
    only_version(rig, TLS1_2_VERSION);
    connect_done(rig);
    assert_int_equal(SSL_renegotiate(rig->client), 1);
    (void)SSL_do_handshake(rig->client);
    assert_int_equal(tls_read(rig->tls, &octet, 1, &count), TLS_WANT_READ);
    assert_int_equal(SSL_do_handshake(rig->client), -1);
    assert_int_equal(SSL_get_error(rig->client, -1), SSL_ERROR_SSL);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), SSL_R_NO_RENEGOTIATION);
}

static void early_data_is_refused_and_never_read(void **state)
{
    struct tls_rig *rig = *state;
    char octets[64];
    size_t count;
    only_version(rig, TLS1_3_VERSION);
    connect_done(rig);
    tls_rig_assert_talk(rig);
    SSL_SESSION *session = SSL_get1_session(rig->client);
    SSL_set_shutdown(rig->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
    /* A client that sends some all the same. */
    assert_int_equal(SSL_SESSION_set_max_early_data(session, 1000), 1);
    tls_rig_connect(rig, rig->server);
    assert_int_equal(SSL_set_session(rig->client, session), 1);
    assert_int_equal(SSL_write_early_data(rig->client, "MAIL FROM:<>\r\n", 14, &count), 1);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    assert_int_equal(SSL_get_early_data_status(rig->client), SSL_EARLY_DATA_REJECTED);
    assert_int_equal(tls_read(rig->tls, octets, sizeof octets, &count), TLS_WANT_READ);
    tls_rig_assert_talk(rig);
    SSL_SESSION_free(session);
}

/* ---- what comes and goes in pieces ---- */

/* Between the client and the server a relay passes `piece` octets at a time. */
struct relay {
    int inner[2]; /* the client's socket pair */
    int outer;    /* leads to the server */
};

static void relay_some(const struct relay *relay, size_t piece)
{
    char octets[64];
    ssize_t count = read(relay->inner[1], octets, piece);
    if (count > 0)
        assert_int_equal(write(relay->outer, octets, (size_t)count), count);
    count = read(relay->outer, octets, sizeof octets);
    if (count > 0)
        assert_int_equal(write(relay->inner[1], octets, (size_t)count), count);
}

static void one_octet_at_a_time_is_enough(void **state)
{
    struct tls_rig *rig = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct relay relay;
        enum tls_result result = TLS_WANT_READ;
        char octets[16];
        size_t count = 0;
        only_version(rig, version);
        tls_rig_connect(rig, rig->server);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, relay.inner), 0);
        relay.outer = rig->fd[0];
        assert_int_equal(SSL_set_fd(rig->client, relay.inner[0]), 1);
        for (int turn = 0; turn < 10000 && result == TLS_WANT_READ; turn++) {
            (void)SSL_do_handshake(rig->client);
            relay_some(&relay, 1);
            result = tls_handshake(rig->tls);
        }
        assert_int_equal(result, TLS_OK);
        for (int turn = 0; turn < 10000 && !SSL_is_init_finished(rig->client); turn++) {
            (void)SSL_do_handshake(rig->client);
            relay_some(&relay, 1);
        }
        assert_int_equal(SSL_write_ex(rig->client, "QUIT\r\n", 6, &count), 1);
        result = TLS_WANT_READ;
        for (int turn = 0; turn < 100 && result == TLS_WANT_READ; turn++) {
            relay_some(&relay, 1);
            result = tls_read(rig->tls, octets, sizeof octets, &count);
        }
        assert_int_equal(result, TLS_OK);
        assert_int_equal(count, 6);
        close(relay.inner[0]);
        close(relay.inner[1]);
    }
}

/* Until the server can write no more; *written grows. */
static enum tls_result write_all(struct tls_rig *rig, struct span octets, size_t *written)
{
    enum tls_result result = TLS_OK;
    while (result == TLS_OK && *written < octets.len) {
        size_t count;
        /* From another place each time, as out of a buffer that moves. */
        struct span rest = span_skip(octets, *written);
        char *moved = malloc(rest.len);
        memcpy(moved, rest.data, rest.len);
        result = tls_write(rig->tls, span_of(moved, rest.len), &count);
        *written += count;
        free(moved);
    }
    return result;
}

static void a_large_write_stops_at_want_write_and_goes_on(void **state)
{
    struct tls_rig *rig = *state;
    enum { SIZE = 3 << 20 };
    char *octets = malloc(SIZE), *came = malloc(SIZE);
    size_t written = 0, seen = 0, count;
    int waits = 0;
    for (size_t i = 0; i < SIZE; i++)
        octets[i] = (char)(i * 31 + i / 977);
    connect_done(rig);
    while (seen < SIZE) {
        enum tls_result result = write_all(rig, span_of(octets, SIZE), &written);
        waits += result == TLS_WANT_WRITE;
        assert_true(result == TLS_OK || result == TLS_WANT_WRITE);
        while (SSL_read_ex(rig->client, came + seen, SIZE - seen, &count) == 1)
            seen += count;
        ERR_clear_error();
    }
    assert_true(waits > 0);
    assert_memory_equal(octets, came, SIZE);
    free(octets);
    free(came);
}

static void nothing_is_written_for_nothing(void **state)
{
    struct tls_rig *rig = *state;
    char octets[16];
    size_t count = 7;
    connect_done(rig);
    tls_rig_assert_talk(rig);
    assert_int_equal(tls_write(rig->tls, SPAN(""), &count), TLS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(recv(rig->fd[0], octets, sizeof octets, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void what_poll_does_not_see_is_pending(void **state)
{
    struct tls_rig *rig = *state;
    char octets[4];
    size_t count;
    connect_done(rig);
    assert_int_equal(SSL_write_ex(rig->client, "DATA\r\n", 6, &count), 1);
    assert_int_equal(SSL_write_ex(rig->client, "x", 1, &count), 1);
    assert_false(tls_pending(rig->tls));
    assert_int_equal(tls_read(rig->tls, octets, 4, &count), TLS_OK);
    assert_true(tls_pending(rig->tls));
    assert_int_equal(tls_read(rig->tls, octets, 4, &count), TLS_OK);
    assert_int_equal(tls_read(rig->tls, octets, 4, &count), TLS_OK);
    assert_int_equal(count, 1);
    assert_false(tls_pending(rig->tls));
}

/* ---- sessions beside each other ---- */

static void the_error_of_one_session_never_shows_in_another(void **state)
{
    struct tls_rig *rig = *state;
    char octets[16];
    size_t count;
    int pair[2];
    connect_done(rig);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        struct tls *bad = tls_accept(rig->server, pair[1]);
        assert_int_equal(write(pair[0], "no hello at all", 15), 15);
        assert_int_equal(tls_handshake(bad), TLS_ERROR);
        assert_int_equal(tls_read(rig->tls, octets, sizeof octets, &count), TLS_WANT_READ);
        /* Nor does what others leave in OpenSSL's queue. */
        ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
        assert_int_equal(tls_read(rig->tls, octets, sizeof octets, &count), TLS_WANT_READ);
        ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
        assert_int_equal(tls_write(rig->tls, SPAN("x"), &count), TLS_OK);
        assert_int_equal(SSL_read_ex(rig->client, octets, 1, &count), 1);
        tls_free(bad);
        close(pair[0]);
        close(pair[1]);
    }
    tls_rig_assert_talk(rig);
}

static void a_login_can_be_bound_to_its_connection(void **state)
{
    struct tls_rig *rig = *state;
    unsigned char expected[TLS_BINDING_MAX];
    only_version(rig, TLS1_3_VERSION);
    tls_rig_connect(rig, rig->server);
    assert_int_equal(tls_channel_binding(rig->tls).kind, TLS_BINDING_NONE);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    struct tls_binding binding = tls_channel_binding(rig->tls);
    assert_int_equal(binding.kind, TLS_BINDING_EXPORTER);
    assert_int_equal(binding.size, 32);
    assert_int_equal(SSL_export_keying_material(rig->client, expected, 32,
                                                "EXPORTER-Channel-Binding", 24, NULL, 0, 1),
                     1);
    assert_memory_equal(binding.octets, expected, 32);
}

static void tls_unique_is_the_first_finished(void **state)
{
    struct tls_rig *rig = *state;
    unsigned char expected[TLS_BINDING_MAX];
    only_version(rig, TLS1_2_VERSION);
    connect_done(rig);
    struct tls_binding binding = tls_channel_binding(rig->tls);
    assert_int_equal(binding.kind, TLS_BINDING_UNIQUE);
    assert_int_equal(SSL_get_finished(rig->client, expected, sizeof expected), binding.size);
    assert_memory_equal(binding.octets, expected, binding.size);
    /* Resumed, the server's comes first. */
    SSL_SESSION *session = SSL_get1_session(rig->client);
    SSL_set_shutdown(rig->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    tls_rig_connect(rig, rig->server);
    assert_int_equal(SSL_set_session(rig->client, session), 1);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    assert_true(tls_facts(rig->tls).resumed);
    binding = tls_channel_binding(rig->tls);
    assert_int_equal(binding.kind, TLS_BINDING_UNIQUE);
    assert_int_equal(SSL_get_peer_finished(rig->client, expected, sizeof expected), binding.size);
    assert_memory_equal(binding.octets, expected, binding.size);
    SSL_SESSION_free(session);
}

static void without_extended_master_secret_there_is_no_binding(void **state)
{
    struct tls_rig *rig = *state;
    only_version(rig, TLS1_2_VERSION);
    SSL_CTX_set_options(rig->visitor, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    connect_done(rig);
    assert_int_equal(tls_channel_binding(rig->tls).kind, TLS_BINDING_NONE);
}

/* ---- behind the sandbox ---- */

/* Every kind of handshake, with clients that were made before: 0 when all went well. */
static int serve_all(struct tls_rig *rig)
{
    static const struct {
        int version;
        const char *signatures, *name;
    } rows[] = {
        {TLS1_2_VERSION, "RSA+SHA256:RSA-PSS+SHA256", NULL},
        {TLS1_2_VERSION, "ECDSA+SHA256", NULL},
        {TLS1_3_VERSION, "RSA-PSS+SHA256", "mx.example.test"},
        {TLS1_3_VERSION, "ECDSA+SHA256", "other.test"},
    };
    SSL_SESSION *session = NULL;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        only_version(rig, rows[i / 2].version);
        if (SSL_CTX_set1_sigalgs_list(rig->visitor, rows[i / 2].signatures) != 1)
            return 1;
        tls_rig_connect(rig, rig->server);
        SSL_set_tlsext_host_name(rig->client, rows[i / 2].name);
        if (i % 2 == 1)
            SSL_set_session(rig->client, session);
        SSL_SESSION_free(session);
        if (tls_rig_handshake(rig) != TLS_OK || tls_facts(rig->tls).resumed != (i % 2 == 1) ||
            tls_channel_binding(rig->tls).kind == TLS_BINDING_NONE)
            return 2;
        tls_rig_assert_talk(rig);
        session = SSL_get1_session(rig->client);
        SSL_set_shutdown(rig->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    tls_rig_connect(rig, rig->server);
    if (write(rig->fd[0], "EHLO not.tls\r\n", 14) != 14 || tls_handshake(rig->tls) != TLS_ERROR ||
        tls_reason(rig->tls)[0] == '\0')
        return 3;
    return 0;
}

/* socketpair(2) is nothing that a server may call: the sockets are made before. */
static void a_warm_server_serves_in_the_sandbox(void **state)
{
    static const enum role roles[] = {ROLE_SMTPD, ROLE_SUBMISSION, ROLE_POP3D};
    struct tls_rig *rig = *state;
    char problem[TLS_PROBLEM_MAX];
    assert_true(tls_server_warm_up(rig->server, problem));
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            tls_rig_keep_sockets(rig);
            sandbox_enter(&(struct sandbox){.role = roles[i]});
            _exit(serve_all(rig));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status))
            fail_msg("%s was killed by signal %d", role_info(roles[i])->name, WTERMSIG(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* ---- what it costs ---- */

#ifdef VEREDUS_SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void);

/* The sanitizer's allocator has its own account. */
static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
#endif

/* Of the server's side alone: there is one client at each measurement. */
static void an_idle_session_costs_less_than_30_kb(void **state)
{
    enum { SESSIONS = 100 };
    struct tls_rig *rig = *state;
    struct tls *idle[SESSIONS];
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        only_version(rig, version);
        connect_done(rig);
        size_t before = allocated();
        for (size_t i = 0; i < SESSIONS; i++) {
            connect_done(rig);
            tls_rig_assert_talk(rig);
            idle[i] = rig->tls;
            rig->tls = NULL;
        }
        size_t cost = (allocated() - before) / SESSIONS;
        print_message("    %s: %zu octets a session\n",
                      version == TLS1_3_VERSION ? "TLS 1.3" : "TLS 1.2", cost);
        assert_in_range(cost, 1024, 30 * 1024);
        for (size_t i = 0; i < SESSIONS; i++)
            tls_free(idle[i]);
    }
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, tls_rig_setup, tls_rig_teardown)
    static const struct CMUnitTest tests[] = {
        RIGGED(garbage_instead_of_a_hello_ends_the_session_with_a_reason),
        RIGGED(an_end_amid_the_handshake_is_an_error),
        RIGGED(an_end_without_close_notify_is_told_from_one_with_it),
        RIGGED(octets_in_plain_behind_a_close_notify_are_not_read),
        RIGGED(a_client_that_is_gone_is_a_reason_and_not_a_signal),
        RIGGED(renegotiation_is_refused),
        RIGGED(early_data_is_refused_and_never_read),
        RIGGED(one_octet_at_a_time_is_enough),
        RIGGED(a_large_write_stops_at_want_write_and_goes_on),
        RIGGED(nothing_is_written_for_nothing),
        RIGGED(what_poll_does_not_see_is_pending),
        RIGGED(the_error_of_one_session_never_shows_in_another),
        RIGGED(a_login_can_be_bound_to_its_connection),
        RIGGED(tls_unique_is_the_first_finished),
        RIGGED(without_extended_master_secret_there_is_no_binding),
        RIGGED(a_warm_server_serves_in_the_sandbox),
        RIGGED(an_idle_session_costs_less_than_30_kb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
