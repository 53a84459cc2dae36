/*
 * OpenSSL fetches algorithms when it first needs them, and loads what they need: tables, modules,
 * texts. Behind the chroot and the filter that may be refused, or be a death. A list of what to
 * fetch would be a guess that ages; so the server does before what it will do behind: handshakes,
 * with a client in the same process, in both versions, with every certificate, and again by ticket.
 */
#include "util/sys/tls_parts.h"

#include "util/base/panic.h"

#include <openssl/err.h>
#include <stdio.h>
#include <sysexits.h>

/* One warm-up: the client's side of it. */
struct visit {
    struct tls_server *server;
    const struct tls_host *host;
    int kind;    /* of key */
    int version; /* TLS1_2_VERSION ... */
};

/* The signatures that make the server choose a kind of key; NULL: whatever there is. */
static const char *signatures_of(int kind)
{
    switch (kind) {
    case EVP_PKEY_EC:
        return "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512";
    case EVP_PKEY_RSA:
        return "RSA-PSS+SHA256:RSA+SHA256:RSA+SHA384:RSA+SHA512";
    default:
        return NULL;
    }
}

/* It verifies nothing: it knows whom it talks to. */
static SSL_CTX *new_visitor(const struct visit *visit)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    const char *signatures = signatures_of(visit->kind);

    if (context == NULL || SSL_CTX_set_min_proto_version(context, visit->version) != 1 ||
        SSL_CTX_set_max_proto_version(context, visit->version) != 1 ||
        (signatures != NULL && SSL_CTX_set1_sigalgs_list(context, signatures) != 1))
        fatal(EX_SOFTWARE, "OpenSSL can not be set up: %s", tls_openssl_reason());
    return context;
}

/* Both sides in turn until neither waits for the other; a record each way, since in TLS 1.3 tickets
 * come behind the handshake. */
static bool talk(SSL *client, SSL *server)
{
    char octet = 'x';
    size_t count;

    for (int turn = 0; turn < 10; turn++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
        if (SSL_is_init_finished(client) && SSL_is_init_finished(server))
            break;
    }
    ERR_clear_error();
    return SSL_write_ex(client, &octet, 1, &count) == 1 &&
           SSL_read_ex(server, &octet, 1, &count) == 1 &&
           SSL_write_ex(server, &octet, 1, &count) == 1 &&
           SSL_read_ex(client, &octet, 1, &count) == 1;
}

/* One connection; *session is what the client brings along and then takes away. */
static bool connect_once(const struct visit *visit, SSL_CTX *visitor, SSL_SESSION **session)
{
    SSL *client = SSL_new(visitor);
    SSL *server = SSL_new(visit->server->hosts[0].context);
    BIO *near, *far;

    if (client == NULL || server == NULL || BIO_new_bio_pair(&near, 0, &far, 0) != 1)
        fatal(EX_OSERR, "no memory for a TLS session");
    SSL_set_bio(client, near, near);
    SSL_set_bio(server, far, far);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    if (visit->host->name.len > 0)
        (void)SSL_set_tlsext_host_name(client, visit->host->name.data);
    if (*session != NULL)
        (void)SSL_set_session(client, *session);

    bool good = talk(client, server);
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(client);
    (void)SSL_shutdown(client);
    (void)SSL_shutdown(server);
    SSL_free(client);
    SSL_free(server);
    return good;
}

/* A full handshake and one by ticket. */
static bool visit_twice(const struct visit *visit)
{
    SSL_CTX *visitor = new_visitor(visit);
    SSL_SESSION *session = NULL;
    bool good = connect_once(visit, visitor, &session);
    if (good)
        good = connect_once(visit, visitor, &session);
    SSL_SESSION_free(session);
    SSL_CTX_free(visitor);
    return good;
}

bool tls_server_warm_up(struct tls_server *server, char problem[TLS_PROBLEM_MAX])
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    require(server->host_count > 0);
    for (size_t i = 0; i < server->host_count; i++) {
        const struct tls_host *host = &server->hosts[i];
        for (size_t k = 0; k < host->kind_count * 2; k++) {
            const struct visit visit = {server, host, host->kinds[k / 2], versions[k % 2]};
            if (visit_twice(&visit))
                continue;
            (void)snprintf(problem, TLS_PROBLEM_MAX,
                           "the certificate for \"%.200s\" can not be served: %s; get a new one",
                           host->name.data, tls_openssl_reason());
            return false;
        }
    }
    ERR_clear_error();
    return true;
}
