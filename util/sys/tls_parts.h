/*
 * tls_parts - what the files of tls share, OpenSSL's types among it; for util/sys/tls*.c alone.
 */
#ifndef VEREDUS_SYS_TLS_PARTS_H
#define VEREDUS_SYS_TLS_PARTS_H

#include "util/base/arena.h"
#include "util/base/buf.h"
#include "util/sys/tls.h"
#include "util/sys/tls_tickets.h"

#include <openssl/ssl.h>

enum { TLS_KINDS = 4 /* kinds of keys that one name may have */ };

/* The certificates of one host name: at most one of each kind of key. */
struct tls_host {
    SSL_CTX *context;
    struct span name;     /* empty: of those without a name */
    int kinds[TLS_KINDS]; /* EVP_PKEY_RSA, EVP_PKEY_EC ... */
    size_t kind_count;
};

struct tls_server {
    struct arena arena;     /* of the names */
    struct tls_host *hosts; /* the default is the first */
    size_t host_count;
    struct tls_ratchet *ratchet;
    struct buf protocols; /* for ALPN, in wire form (RFC 7301 §3.1) */
};

struct tls {
    SSL *ssl;
    const char *reason; /* of the error; static */
    bool failed;        /* nothing more can be sent or received */
    bool established;   /* the handshake was done once */
    unsigned reads;     /* of the socket, in this call */
    unsigned messages;  /* of TLS itself, since it was established */
};

/* The server that a session belongs to. */
struct tls_server *tls_server_of(const SSL *ssl);

/* Has the tickets of a context made and opened with the ratchet of its server. */
void tls_tickets_attach(SSL_CTX *context);

/* From here on calls for the session end in time, whatever its client sends: `reads` is set to 0
 * before each. Its socket is known already. */
void tls_bounds_attach(struct tls *tls);

/* True when the client sent so much that brings no octets that it has to go. */
bool tls_bounds_are_passed(const struct tls *tls);

/* Reads certificate, chain and key of the pair into the context, as the current one. False with a
 * sentence in `problem`; the context is of no use then. */
bool tls_pair_load(SSL_CTX *context, const struct tls_pair *pair, char problem[TLS_PROBLEM_MAX])
    __attribute__((warn_unused_result));

/* Why the last call of OpenSSL failed: a static text. Empties its queue. */
const char *tls_openssl_reason(void);

#endif
