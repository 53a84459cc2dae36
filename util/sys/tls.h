/*
 * tls - the server side of TLS 1.2 and 1.3 over descriptors that do not block.
 *
 * A tls_server holds certificates and keys; it is made from files before privileges are dropped,
 * and lives as long as the process. A struct tls is one session; it borrows its descriptor, which
 * the caller closes. Every call returns at once with one of five results, and what one session does
 * wrong never shows in another.
 *
 * OpenSSL keeps what it has read ahead: after TLS_OK from tls_read, read again until
 * TLS_WANT_READ, or ask tls_pending, for poll(2) does not see it. A call that wants the other
 * direction (TLS_WANT_WRITE from tls_read) is repeated when the descriptor is ready for that. An
 * idle session holds about 14 KiB, for OpenSSL's buffers go back while nothing is in them. No call
 * takes long, whatever the client sends: it may leave octets in the socket, for poll(2) to see.
 *
 * What is not offered: TLS before 1.2 (RFC 8996), key exchange without forward secrecy,
 * renegotiation, compression, early data (RFC 8446 §8), a session cache.
 */
#ifndef VEREDUS_SYS_TLS_H
#define VEREDUS_SYS_TLS_H

#include "util/base/span.h"

struct tls;
struct tls_server;
struct tls_ratchet; /* tls_tickets.h */

enum tls_result {
    TLS_OK,
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_CLOSED, /* the client said that nothing follows (close_notify) */
    TLS_ERROR   /* the session is over, see tls_reason; the connection can only be closed */
};

enum { TLS_PROBLEM_MAX = 512, TLS_BINDING_MAX = 64 };

/* Files of a certificate, with its chain behind it, and of its key; both PEM. */
struct tls_pair {
    struct span name;        /* the host name it is for; empty: for clients that name none */
    const char *certificate; /* paths */
    const char *key;
};

/* ---- the server ---- */

/* A server without certificates yet. `ratchet` stays the caller's, lives longer, and is stepped.
 * `protocol` is the only one for ALPN, such as "pop3": a client that offers others alone is refused
 * (so that nobody takes this for a web server), one that offers none is welcome. */
struct tls_server *tls_server_new(struct tls_ratchet *ratchet, struct span protocol)
    __attribute__((warn_unused_result));
void tls_server_free(struct tls_server *server);

/* Adds a pair. Two of one name have keys of different kinds, and the client takes what it can. Who
 * names no host, or an unknown one, gets the pairs without a name, else the first name's. False
 * with a sentence that names the file and what would be right. */
bool tls_server_add(struct tls_server *server, const struct tls_pair *pair,
                    char problem[TLS_PROBLEM_MAX]) __attribute__((warn_unused_result));

/* After the last pair, before chroot and sandbox: handshakes with itself in memory, so that OpenSSL
 * has everything it fetches when it is needed. False with a sentence when a
 * certificate can not be served. Panics without a pair. */
bool tls_server_warm_up(struct tls_server *server, char problem[TLS_PROBLEM_MAX])
    __attribute__((warn_unused_result));

/* What is worth a warning about a pair that was read well: expired, not valid yet, about to expire,
 * not for the name. False: nothing. `now` in seconds since 1970. */
bool tls_pair_warning(const struct tls_pair *pair, uint64_t now, char warning[TLS_PROBLEM_MAX])
    __attribute__((warn_unused_result));

/* ---- a session ---- */

/* A session over the connected, non-blocking socket; nothing is sent or received yet. What was read
 * from the socket before must have been thrown away (RFC 3207 §4.2). */
struct tls *tls_accept(struct tls_server *server, int fd) __attribute__((warn_unused_result));
void tls_free(struct tls *tls);

/* TLS_OK once it is done; until then call it again when the descriptor is ready. */
enum tls_result tls_handshake(struct tls *tls) __attribute__((warn_unused_result));

/* Reads 1 to `size` octets; *count is how many. */
enum tls_result tls_read(struct tls *tls, void *out, size_t size, size_t *count)
    __attribute__((warn_unused_result));

/* Writes a part of the octets; *count is how many. The rest may lie elsewhere at the next call. */
enum tls_result tls_write(struct tls *tls, struct span octets, size_t *count)
    __attribute__((warn_unused_result));

/* Tells the client that nothing follows; does not wait for its answer (RFC 8446 §6.1). */
enum tls_result tls_shutdown(struct tls *tls);

/* True when octets are there that poll(2) does not see. */
bool tls_pending(const struct tls *tls);

/* Why it came to TLS_ERROR: a static text for the log; "" before. */
const char *tls_reason(const struct tls *tls);

/* ---- about a session whose handshake is done ---- */

struct tls_facts {
    const char *version;     /* "TLSv1.3" */
    const char *cipher;      /* "TLS_AES_256_GCM_SHA384" */
    unsigned bits;           /* of the cipher's key */
    const char *server_name; /* that the client asked for; "" when it named none. The client's own
                                words, until tls_free */
    bool resumed;            /* by a ticket */
};

/* What the log and the Received field tell of it. */
struct tls_facts tls_facts(const struct tls *tls);

/* How a login can be bound to this connection (RFC 5056). */
enum tls_binding_kind {
    TLS_BINDING_NONE,
    TLS_BINDING_EXPORTER, /* tls-exporter, RFC 9266: TLS 1.3 */
    TLS_BINDING_UNIQUE /* tls-unique, RFC 5929 §3: TLS 1.2 with extended master secret (RFC 7627) */
};

struct tls_binding {
    enum tls_binding_kind kind;
    uint8_t octets[TLS_BINDING_MAX];
    size_t size;
};

/* The best one there is; TLS_BINDING_NONE before the handshake is done. */
struct tls_binding tls_channel_binding(const struct tls *tls);

#endif
