/*
 * Why a context for each host name: OpenSSL can change certificate and key of a session when it
 * knows which name the client wants, and nothing else (SSL_set_SSL_CTX). So all contexts are made
 * by one function and differ in their certificates alone; tickets are made with the callbacks of
 * the first one, whatever the session was changed to.
 */
#include "util/sys/tls_parts.h"

#include "util/base/arena.h"
#include "util/base/panic.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sysexits.h>

/* Forward secrecy only, and in the order of RFC 9325 §4.2: AEAD first. TLS 1.3 has nothing else. */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES";

/* Only tells our sessions from those of another program with the same ticket keys; required once
 * client certificates are asked for. */
static const unsigned char session_context[] = "veredus";

/* Any context of a server leads to it. */
struct tls_server *tls_server_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* ---- what the client wants ---- */

/* True when one of the host's certificates is for the name; all of them are for the same names. */
static bool host_covers(const struct tls_host *host, struct span name)
{
    X509 *certificate = SSL_CTX_get0_certificate(host->context);
    return certificate != NULL && X509_check_host(certificate, name.data, name.len, 0, NULL) == 1;
}

/* What the configuration says goes before what certificates say, and the default before others. */
static const struct tls_host *find_host(const struct tls_server *server, struct span name)
{
    for (size_t i = 0; i < server->host_count; i++)
        if (server->hosts[i].name.len > 0 && span_equal_nocase(server->hosts[i].name, name))
            return &server->hosts[i];
    for (size_t i = 0; i < server->host_count; i++)
        if (host_covers(&server->hosts[i], name))
            return &server->hosts[i];
    return NULL;
}

/* RFC 6066 §3. A name that nobody knows is no reason to refuse: mail clients ask for the names of
 * their MX records, whoever they lead to. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_server *server = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_host *host = name != NULL ? find_host(server, span_cstr(name)) : NULL;
    (void)alert;

    ERR_clear_error();
    if (host == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_get_SSL_CTX(ssl) != host->context && SSL_set_SSL_CTX(ssl, host->context) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301 §3.2: a client that speaks none of our protocols is told so. A browser that was led here
 * to send its cookies to a mail server (ALPACA) always offers its own. */
static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                        const unsigned char *offered, unsigned offered_size, void *arg)
{
    const struct tls_server *server = arg;
    struct span ours = buf_span(&server->protocols);
    unsigned char *chosen;
    (void)ssl;

    if (SSL_select_next_proto(&chosen, out_size, (const unsigned char *)ours.data,
                              (unsigned)ours.len, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- contexts ---- */

/* Options of OpenSSL are all on or off at once. What was read is wiped: it may be a password. */
static void set_options(SSL_CTX *context)
{
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE |
                                           SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CLEANSE_PLAINTEXT);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* Header and body of a record come with one read(2). */
    SSL_CTX_set_read_ahead(context, 1);
}

/* One with everything but certificates. Early data stays off: 0 octets are taken (RFC 8446 §4.2.10
 * is for idempotent requests, which mail does not have). */
static SSL_CTX *new_context(struct tls_server *server)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, ciphers) != 1 ||
        SSL_CTX_set_max_early_data(context, 0) != 1 ||
        SSL_CTX_set_session_id_context(context, session_context, sizeof(session_context) - 1) != 1)
        fatal(EX_SOFTWARE, "OpenSSL can not be set up: %s", tls_openssl_reason());
    set_options(context);
    SSL_CTX_set_app_data(context, server);
    (void)SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
    (void)SSL_CTX_set_tlsext_servername_arg(context, server);
    SSL_CTX_set_alpn_select_cb(context, on_protocols, server);
    tls_tickets_attach(context);
    return context;
}

/* The kind of the key that was loaded last. */
static int current_kind(const SSL_CTX *context)
{
    return EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_CTX_get0_certificate(context)));
}

static bool has_kind(const struct tls_host *host, int kind)
{
    for (size_t i = 0; i < host->kind_count; i++)
        if (host->kinds[i] == kind)
            return true;
    return false;
}

static struct tls_host *host_named(struct tls_server *server, struct span name)
{
    for (size_t i = 0; i < server->host_count; i++)
        if (span_equal_nocase(server->hosts[i].name, name))
            return &server->hosts[i];
    return NULL;
}

/* ---- the server ---- */

struct tls_server *tls_server_new(struct tls_ratchet *ratchet, struct span protocol)
{
    struct tls_server *server = mem_new(sizeof(*server));

    require(protocol.len > 0 && protocol.len <= UINT8_MAX);
    server->ratchet = ratchet;
    buf_add(&server->protocols, span_of(&(uint8_t){(uint8_t)protocol.len}, 1));
    buf_add(&server->protocols, protocol);
    return server;
}

void tls_server_free(struct tls_server *server)
{
    if (server == NULL)
        return;
    for (size_t i = 0; i < server->host_count; i++)
        SSL_CTX_free(server->hosts[i].context);
    mem_free(server->hosts);
    buf_free(&server->protocols);
    arena_free(&server->arena);
    mem_free(server);
}

/* A new name; those without one become the first. */
static void add_host(struct tls_server *server, struct span name, SSL_CTX *context)
{
    size_t at = name.len == 0 ? 0 : server->host_count;

    server->hosts = mem_resize(server->hosts, server->host_count + 1, sizeof(*server->hosts));
    memmove(&server->hosts[at + 1], &server->hosts[at],
            (server->host_count - at) * sizeof(*server->hosts));
    server->host_count++;
    server->hosts[at] = (struct tls_host){.context = context,
                                          .name = arena_copy(&server->arena, name),
                                          .kinds = {current_kind(context)},
                                          .kind_count = 1};
}

/* Beside those that the name has: a client takes whichever it can. */
static bool add_beside(struct tls_host *host, const struct tls_pair *pair, int kind,
                       char problem[TLS_PROBLEM_MAX])
{
    if (has_kind(host, kind) || host->kind_count == TLS_KINDS) {
        (void)snprintf(problem, TLS_PROBLEM_MAX,
                       "%.300s is a second certificate for the same name with the same kind of "
                       "key; remove one, or give it another name",
                       pair->certificate);
        return false;
    }
    host->kinds[host->kind_count++] = kind;
    return tls_pair_load(host->context, pair, problem);
}

/* Read into a context of its own first: what is bad never touches those that are good. */
bool tls_server_add(struct tls_server *server, const struct tls_pair *pair,
                    char problem[TLS_PROBLEM_MAX])
{
    SSL_CTX *context = new_context(server);
    struct tls_host *host = host_named(server, pair->name);

    if (!tls_pair_load(context, pair, problem)) {
        SSL_CTX_free(context);
        return false;
    }
    if (host == NULL) {
        add_host(server, pair->name, context);
        return true;
    }
    int kind = current_kind(context);
    SSL_CTX_free(context);
    return add_beside(host, pair, kind, problem);
}
