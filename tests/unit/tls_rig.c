/* Everything runs in one thread over socket pairs that do not block: no test waits for time. */
#include "tests/unit/tls_rig.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */

struct tls_pair tls_rig_pair(struct tls_rig *rig, const char *file, const char *name)
{
    (void)snprintf(rig->certificate, TLS_RIG_PATH, "%s/%s.pem", rig->directory, file);
    (void)snprintf(rig->key, TLS_RIG_PATH, "%s/%s.key", rig->directory, file);
    return (struct tls_pair){span_cstr(name), rig->certificate, rig->key};
}

static void add_names(X509 *certificate, const char *names)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static EVP_PKEY *make_key(const char *kind)
{
    if (strcmp(kind, "rsa") == 0)
        return EVP_RSA_gen(2048);
    return strcmp(kind, "weak") == 0 ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256");
}

void tls_rig_make(struct tls_rig *rig, const char *file, const char *kind, const char *names,
                  int from, int days)
{
    struct tls_pair pair = tls_rig_pair(rig, file, "");
    EVP_PKEY *key = make_key(kind);
    X509 *certificate = X509_new();
    assert_non_null(key);
    assert_int_equal(X509_set_version(certificate, 2), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_time_adj_ex(X509_getm_notBefore(certificate), from, 0, NULL);
    /* A minute off the full day: two clocks that are read one after the other agree on the day. */
    X509_time_adj_ex(X509_getm_notAfter(certificate), from + days, 60, NULL);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)file, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    add_names(certificate, names);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    FILE *out = fopen(pair.certificate, "w");
    assert_int_equal(PEM_write_X509(out, certificate), 1);
    fclose(out);
    out = fopen(pair.key, "w");
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    assert_int_equal(chmod(pair.key, 0600), 0);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* ---- server and client ---- */

struct tls_server *tls_rig_server(struct tls_rig *rig, struct tls_ratchet *ratchet)
{
    static const char *const pairs[][2] = {{"other", "other.test"}, {"ec", ""}, {"rsa", ""}};
    char problem[TLS_PROBLEM_MAX] = "";
    struct tls_server *server = tls_server_new(ratchet, SPAN("smtp"));
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct tls_pair pair = tls_rig_pair(rig, pairs[i][0], pairs[i][1]);
        if (!tls_server_add(server, &pair, problem))
            fail_msg("%s", problem);
    }
    return server;
}

static void disconnect(struct tls_rig *rig)
{
    SSL_free(rig->client);
    tls_free(rig->tls);
    rig->client = NULL;
    rig->tls = NULL;
    for (int i = 0; i < 2; i++) {
        if (rig->fd[i] >= 0)
            close(rig->fd[i]);
        rig->fd[i] = -1;
    }
}

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

void tls_rig_keep_sockets(struct tls_rig *rig)
{
    rig->kept_count = sizeof rig->kept / sizeof *rig->kept;
    for (size_t i = 0; i < rig->kept_count; i++)
        make_pair(rig->kept[i]);
}

void tls_rig_connect(struct tls_rig *rig, struct tls_server *server)
{
    disconnect(rig);
    if (rig->kept_count > 0)
        memcpy(rig->fd, rig->kept[--rig->kept_count], sizeof rig->fd);
    else
        make_pair(rig->fd);
    rig->client = SSL_new(rig->visitor);
    assert_int_equal(SSL_set_fd(rig->client, rig->fd[0]), 1);
    SSL_set_connect_state(rig->client);
    rig->tls = tls_accept(server, rig->fd[1]);
}

enum tls_result tls_rig_handshake(struct tls_rig *rig)
{
    enum tls_result result = TLS_WANT_READ;
    for (int turn = 0; turn < 10 && (result == TLS_WANT_READ || result == TLS_WANT_WRITE); turn++) {
        (void)SSL_do_handshake(rig->client);
        result = tls_handshake(rig->tls);
    }
    (void)SSL_do_handshake(rig->client);
    ERR_clear_error();
    return result;
}

void tls_rig_assert_talk(struct tls_rig *rig)
{
    char octets[16] = "";
    size_t count;
    assert_int_equal(SSL_write_ex(rig->client, "EHLO x\r\n", 8, &count), 1);
    assert_int_equal(tls_read(rig->tls, octets, sizeof octets, &count), TLS_OK);
    assert_int_equal(count, 8);
    assert_memory_equal(octets, "EHLO x\r\n", 8);
    assert_int_equal(tls_read(rig->tls, octets, sizeof octets, &count), TLS_WANT_READ);
    assert_int_equal(tls_write(rig->tls, SPAN("250 y\r\n"), &count), TLS_OK);
    assert_int_equal(count, 7);
    assert_int_equal(SSL_read_ex(rig->client, octets, sizeof octets, &count), 1);
    assert_memory_equal(octets, "250 y\r\n", 7);
}

/* ---- life ---- */

int tls_rig_setup(void **state)
{
    struct tls_rig *rig = calloc(1, sizeof *rig);
    strcpy(rig->directory, "/tmp/test_tls.XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    signal(SIGPIPE, SIG_IGN);
    rig->fd[0] = rig->fd[1] = -1;
    tls_rig_make(rig, "ec", "ec", "DNS:mx.example.test", -1, 30);
    tls_rig_make(rig, "rsa", "rsa", "DNS:mx.example.test", -1, 30);
    tls_rig_make(rig, "other", "ec", "DNS:other.test,DNS:*.wild.test", -1, 30);
    tls_ratchet_draw(&rig->ratchet);
    rig->server = tls_rig_server(rig, &rig->ratchet);
    rig->visitor = SSL_CTX_new(TLS_client_method());
    *state = rig;
    return 0;
}

int tls_rig_teardown(void **state)
{
    struct tls_rig *rig = *state;
    char command[64];
    disconnect(rig);
    SSL_CTX_free(rig->visitor);
    tls_server_free(rig->server);
    (void)snprintf(command, sizeof command, "rm -r %s", rig->directory);
    int status = system(command);
    free(rig);
    return status;
}
