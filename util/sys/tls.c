/*
 * One session. OpenSSL's queue of errors is one for the whole thread: what a call leaves in it,
 * SSL_get_error takes for the fault of the next. So it is emptied before every call and after every
 * error; that is what keeps sessions apart. After an error that ended a session OpenSSL must not be
 * called again, not even to say goodbye; `failed` sees to that.
 */
#include "util/sys/tls_parts.h"

#include "util/base/arena.h"
#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <openssl/err.h>
#include <sysexits.h>

struct tls *tls_accept(struct tls_server *server, int fd)
{
    struct tls *tls = mem_new(sizeof(*tls));

    ERR_clear_error();
    tls->ssl = SSL_new(server->hosts[0].context);
    /* Both fail for want of memory alone. */
    if (tls->ssl == NULL || SSL_set_fd(tls->ssl, fd) != 1)
        fatal(EX_OSERR, "no memory for a TLS session");
    SSL_set_accept_state(tls->ssl);
    tls_bounds_attach(tls);
    tls->reason = "";
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    mem_free(tls);
}

/* ---- octets ---- */

/* Ends the session with the reason that OpenSSL, or the kernel, gives. */
static enum tls_result fail(struct tls *tls, int error, int saved_errno)
{
    unsigned long first = ERR_peek_error();

    tls->failed = true;
    if (error == SSL_ERROR_SYSCALL && first == 0)
        tls->reason = saved_errno != 0 ? log_errno_text(saved_errno) : "connection closed";
    else
        tls->reason = tls_openssl_reason();
    ERR_clear_error();
    return TLS_ERROR;
}

/* What a call of OpenSSL that did not return success means. */
static enum tls_result outcome(struct tls *tls, int returned)
{
    int saved_errno = errno;
    int error = SSL_get_error(tls->ssl, returned);

    switch (error) {
    case SSL_ERROR_NONE:
        return TLS_OK;
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        return fail(tls, error, saved_errno);
    }
}

/* An empty queue and no errno: only then do both speak of this call. */
static void prepare(struct tls *tls)
{
    ERR_clear_error();
    errno = 0;
    tls->reads = 0;
}

enum tls_result tls_handshake(struct tls *tls)
{
    if (tls->failed)
        return TLS_ERROR;
    prepare(tls);
    enum tls_result result = outcome(tls, SSL_do_handshake(tls->ssl));
    tls->established = tls->established || result == TLS_OK;
    return result;
}

enum tls_result tls_read(struct tls *tls, void *out, size_t size, size_t *count)
{
    *count = 0;
    if (tls->failed)
        return TLS_ERROR;
    prepare(tls);
    enum tls_result result = outcome(tls, SSL_read_ex(tls->ssl, out, size, count));
    if (!tls_bounds_are_passed(tls) || result == TLS_ERROR)
        return result;
    tls->failed = true;
    tls->reason = "too many messages of TLS itself";
    return TLS_ERROR;
}

/* Nothing is written for nothing: OpenSSL would send an empty record. */
enum tls_result tls_write(struct tls *tls, struct span octets, size_t *count)
{
    *count = 0;
    if (tls->failed)
        return TLS_ERROR;
    if (octets.len == 0)
        return TLS_OK;
    prepare(tls);
    return outcome(tls, SSL_write_ex(tls->ssl, octets.data, octets.len, count));
}

/* 0 means that the client's own close_notify is still to come, and nobody waits for that. Before
 * the end of the handshake there is nothing to close. */
enum tls_result tls_shutdown(struct tls *tls)
{
    if (tls->failed)
        return TLS_ERROR;
    if (SSL_in_init(tls->ssl))
        return TLS_OK;
    prepare(tls);
    int returned = SSL_shutdown(tls->ssl);
    return returned >= 0 ? TLS_OK : outcome(tls, returned);
}

bool tls_pending(const struct tls *tls)
{
    return !tls->failed && SSL_has_pending(tls->ssl) == 1;
}

const char *tls_reason(const struct tls *tls)
{
    return tls->reason;
}

/* ---- facts ---- */

struct tls_facts tls_facts(const struct tls *tls)
{
    const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);

    return (struct tls_facts){
        .version = SSL_get_version(tls->ssl),
        .cipher = SSL_get_cipher_name(tls->ssl),
        .bits = (unsigned)SSL_get_cipher_bits(tls->ssl, NULL),
        .server_name = name != NULL ? name : "",
        .resumed = SSL_session_reused(tls->ssl) == 1,
    };
}

/* RFC 9266 §2: 32 octets, an empty context. */
static void export_binding(SSL *ssl, struct tls_binding *binding)
{
    enum { EXPORTED = 32 };
    const struct span label = SPAN("EXPORTER-Channel-Binding");

    if (SSL_export_keying_material(ssl, binding->octets, EXPORTED, label.data, label.len, NULL, 0,
                                   1) != 1)
        return;
    binding->kind = TLS_BINDING_EXPORTER;
    binding->size = EXPORTED;
}

/* RFC 5929 §3.1: the first Finished of the handshake; the client's in a full one, the server's in
 * one that was resumed. */
static void first_finished(const SSL *ssl, struct tls_binding *binding)
{
    size_t size = SSL_session_reused(ssl)
                      ? SSL_get_finished(ssl, binding->octets, sizeof(binding->octets))
                      : SSL_get_peer_finished(ssl, binding->octets, sizeof(binding->octets));
    if (size == 0 || size > sizeof(binding->octets))
        return;
    binding->kind = TLS_BINDING_UNIQUE;
    binding->size = size;
}

/* Without the extended master secret two connections of TLS 1.2 can be made to have one tls-unique
 * (RFC 7627 §1), so there is no binding then. */
struct tls_binding tls_channel_binding(const struct tls *tls)
{
    struct tls_binding binding = {.kind = TLS_BINDING_NONE};

    if (tls->failed || !SSL_is_init_finished(tls->ssl))
        return binding;
    if (SSL_version(tls->ssl) == TLS1_3_VERSION)
        export_binding(tls->ssl, &binding);
    else if (SSL_get_extms_support(tls->ssl) == 1)
        first_finished(tls->ssl, &binding);
    ERR_clear_error();
    return binding;
}
