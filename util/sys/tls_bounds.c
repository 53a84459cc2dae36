/*
 * OpenSSL reads on until it has octets to give, and messages of TLS itself are none. A client that
 * sends nothing but such messages (KeyUpdate, RFC 8446 §4.6.3), or a ClientHello in records of one
 * octet, faster than they are worked off, would never let it come back: one client, and nobody else
 * of the process is served. So each call gets so many reads of the socket; what they leave is seen
 * in the next turn of the loop, when others had theirs. And who goes on with messages that bring no
 * octets is sent away: keys last for gigabytes (RFC 8446 §5.5).
 */
#include "util/sys/tls_parts.h"

enum {
    READS_MOST = 4,    /* in one call: a record comes with one or two */
    MESSAGES_MOST = 64 /* of TLS itself, behind the handshake */
};

/* Called before and behind whatever is done with the socket. No more reads: it looks as if nothing
 * had come. */
static long on_socket(BIO *bio, int operation, const char *octets, size_t size, int command,
                      long argument, int result, size_t *count)
{
    struct tls *tls = (struct tls *)(void *)BIO_get_callback_arg(bio);
    (void)octets, (void)size, (void)command, (void)argument, (void)count;

    if (operation != BIO_CB_READ)
        return result;
    if (tls->reads++ < READS_MOST && !tls_bounds_are_passed(tls))
        return result;
    BIO_clear_retry_flags(bio);
    BIO_set_retry_read(bio);
    return -1;
}

/* Called with each message, and with more than that: headers of records, inner types. */
static void on_message(int is_sent, int version, int type, const void *octets, size_t size,
                       SSL *ssl, void *arg)
{
    struct tls *tls = arg;
    (void)version, (void)octets, (void)size, (void)ssl;

    if (tls->established && !is_sent && type == SSL3_RT_HANDSHAKE)
        tls->messages++;
}

void tls_bounds_attach(struct tls *tls)
{
    BIO *bio = SSL_get_rbio(tls->ssl);

    BIO_set_callback_arg(bio, (char *)tls);
    BIO_set_callback_ex(bio, on_socket);
    SSL_set_msg_callback(tls->ssl, on_message);
    SSL_set_msg_callback_arg(tls->ssl, tls);
}

bool tls_bounds_are_passed(const struct tls *tls)
{
    return tls->messages > MESSAGES_MOST;
}
