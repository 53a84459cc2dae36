/*
 * tls_rig - what the tests of tls share: certificates made on the spot, a server of them, and a
 * client of OpenSSL at the other end of a socket pair, both in one thread.
 */
#ifndef VEREDUS_TEST_TLS_RIG_H
#define VEREDUS_TEST_TLS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "util/sys/tls.h"
#include "util/sys/tls_tickets.h"

enum { TLS_RIG_PATH = 128 };

/* A directory with pairs of files: NAME.pem, NAME.key. */
struct tls_rig {
    char directory[32];
    char certificate[TLS_RIG_PATH], key[TLS_RIG_PATH]; /* of the last tls_rig_pair */
    struct tls_ratchet ratchet;
    struct tls_server *server;
    SSL_CTX *visitor; /* the context of clients; tests set what they like */
    SSL *client;
    struct tls *tls;
    int fd[2];       /* client, server */
    int kept[20][2]; /* socket pairs made ahead; used first, from the end */
    size_t kept_count;
};

/* Makes socket pairs ahead, for connections where none can be made. */
void tls_rig_keep_sockets(struct tls_rig *rig);

/* cmocka's setup and teardown. Setup makes "ec" and "rsa" for mx.example.test, "other" for
 * other.test and *.wild.test, and a server of the first two without a name and "other" as
 * other.test. */
int tls_rig_setup(void **state);
int tls_rig_teardown(void **state);

/* Writes a self-signed certificate for `names` ("DNS:a,DNS:b"), valid from and for so many days. */
void tls_rig_make(struct tls_rig *rig, const char *file, const char *kind, const char *names,
                  int from, int days);

/* The files of a pair, under a name. */
struct tls_pair tls_rig_pair(struct tls_rig *rig, const char *file, const char *name);

/* The server of setup, anew, with this ratchet. */
struct tls_server *tls_rig_server(struct tls_rig *rig, struct tls_ratchet *ratchet);

/* Both ends of a new connection to `server`; the old one is closed. */
void tls_rig_connect(struct tls_rig *rig, struct tls_server *server);

/* Turns until both are done or one failed; what the server's last result was. */
enum tls_result tls_rig_handshake(struct tls_rig *rig);

/* The client writes, the server reads the same, and the other way round. */
void tls_rig_assert_talk(struct tls_rig *rig);

#endif
