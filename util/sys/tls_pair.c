/*
 * Files of certificates and keys are read here and not by OpenSSL: so a complaint names the file
 * and what is wrong with it, a FIFO in the place of a file holds up nobody, a key that asks for a
 * passphrase does not wait at a terminal, and the octets of a key are wiped.
 */
#include "util/sys/tls_parts.h"

#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A chain of ten certificates is 20 KB. */
enum { FILE_MAX = 1 << 20, DAY = 86400, WARN_DAYS = 7 };

/* The first of the queue is the cause, what follows are those who passed it on. */
const char *tls_openssl_reason(void)
{
    unsigned long error = ERR_peek_error();
    const char *text = ERR_reason_error_string(error);

    if (text == NULL && ERR_SYSTEM_ERROR(error))
        text = log_errno_text(ERR_GET_REASON(error));
    ERR_clear_error();
    return text != NULL ? text : "unknown TLS error";
}

/* ---- files ---- */

/* The key is a secret: nobody but its owner, and perhaps a group that may read it, has to do with
 * it. */
static bool mode_is_right(const char *path, const struct stat *status, bool secret,
                          char problem[TLS_PROBLEM_MAX])
{
    unsigned wrong = secret ? S_IWGRP | S_IRWXO : S_IWGRP | S_IWOTH;

    if ((status->st_mode & wrong) == 0)
        return true;
    (void)snprintf(problem, TLS_PROBLEM_MAX, "%.300s can be %s by others (mode %04o); chmod %s it",
                   path, secret ? "used" : "written", (unsigned)status->st_mode & 07777,
                   secret ? "0600" : "0644");
    return false;
}

/* Reads until the end of the file, which is small. */
static bool read_all(int fd, struct buf *text)
{
    ssize_t count = 1;

    text->limit = FILE_MAX;
    while (count > 0) {
        char *room = buf_room(text, 16384);
        errno = EFBIG;
        count = room != NULL ? read(fd, room, 16384) : -1;
        if (count > 0)
            buf_filled(text, (size_t)count);
    }
    return count == 0;
}

/* The text of the file; false with a sentence. */
static bool read_file(const char *path, bool secret, struct buf *text,
                      char problem[TLS_PROBLEM_MAX])
{
    struct stat status;
    bool good = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &status) != 0)
        (void)snprintf(problem, TLS_PROBLEM_MAX, "%.300s can not be opened: %s; name a PEM file",
                       path, log_errno_text(errno));
    else if (!S_ISREG(status.st_mode))
        (void)snprintf(problem, TLS_PROBLEM_MAX, "%.300s is no regular file; name a PEM file",
                       path);
    else if (!mode_is_right(path, &status, secret, problem))
        good = false;
    else if (!read_all(fd, text))
        (void)snprintf(problem, TLS_PROBLEM_MAX, "%.300s can not be read: %s; name a PEM file",
                       path, log_errno_text(errno));
    else
        good = true;
    if (fd >= 0)
        (void)close(fd);
    return good;
}

/* A key may have been in it. */
static void wipe(struct buf *text)
{
    if (text->data != NULL)
        OPENSSL_cleanse(text->data, text->cap);
    buf_free(text);
}

/* No passphrase is ever known: nobody sits at a server that starts. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer, (void)size, (void)writing, (void)arg;
    return -1;
}

/* ---- what the texts hold ---- */

/* A BIO over the text of a file; NULL with a sentence. The text has to live as long. */
static BIO *open_text(const char *path, bool secret, struct buf *text,
                      char problem[TLS_PROBLEM_MAX])
{
    if (!read_file(path, secret, text, problem))
        return NULL;
    BIO *bio = BIO_new_mem_buf(buf_span(text).data, (int)buf_len(text));
    require(bio != NULL);
    return bio;
}

/* The server's own certificate, and behind it the intermediate ones of the file. */
static bool use_chain(SSL_CTX *context, X509 *leaf, BIO *bio)
{
    X509 *next;

    if (SSL_CTX_use_certificate(context, leaf) != 1)
        return false;
    while ((next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
        if (SSL_CTX_add0_chain_cert(context, next) != 1)
            X509_free(next);
    /* The end of the file looks like an error. */
    ERR_clear_error();
    return true;
}

/* The leaf, which with a context goes into it with its chain. NULL with a sentence. */
static X509 *read_certificate(const char *path, SSL_CTX *context, char problem[TLS_PROBLEM_MAX])
{
    struct buf text = {0};
    BIO *bio = open_text(path, false, &text, problem);
    X509 *leaf = bio != NULL ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL) : NULL;

    if (bio != NULL && leaf == NULL)
        (void)snprintf(problem, TLS_PROBLEM_MAX,
                       "%.300s holds no certificate (%s); it has to be PEM, the server's own first",
                       path, tls_openssl_reason());
    if (leaf != NULL && context != NULL && !use_chain(context, leaf, bio)) {
        (void)snprintf(problem, TLS_PROBLEM_MAX, "%.300s can not be used: %s; get a new one", path,
                       tls_openssl_reason());
        X509_free(leaf);
        leaf = NULL;
    }
    BIO_free(bio);
    wipe(&text);
    return leaf;
}

/* The key; NULL with a sentence. */
static EVP_PKEY *read_key(const char *path, char problem[TLS_PROBLEM_MAX])
{
    struct buf text = {0};
    BIO *bio = open_text(path, true, &text, problem);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    if (bio != NULL && key == NULL)
        (void)snprintf(problem, TLS_PROBLEM_MAX,
                       "%.300s holds no key that can be read (%s); it has to be PEM without a "
                       "passphrase",
                       path, tls_openssl_reason());
    BIO_free(bio);
    wipe(&text);
    return key;
}

/* The key goes into the context behind its certificate: OpenSSL puts it into the same place. */
bool tls_pair_load(SSL_CTX *context, const struct tls_pair *pair, char problem[TLS_PROBLEM_MAX])
{
    ERR_clear_error();
    EVP_PKEY *key = read_key(pair->key, problem);
    X509 *leaf = key != NULL ? read_certificate(pair->certificate, context, problem) : NULL;
    bool good = leaf != NULL;

    if (good && X509_check_private_key(leaf, key) != 1) {
        (void)snprintf(problem, TLS_PROBLEM_MAX,
                       "%.200s is not the key of %.200s; name the two that belong together",
                       pair->key, pair->certificate);
        good = false;
    } else if (good && SSL_CTX_use_PrivateKey(context, key) != 1) {
        (void)snprintf(problem, TLS_PROBLEM_MAX, "%.300s can not be used: %s; make a new one",
                       pair->key, tls_openssl_reason());
        good = false;
    }
    ERR_clear_error();
    EVP_PKEY_free(key);
    X509_free(leaf);
    return good;
}

/* ---- warnings ---- */

/* Days until `time`, negative when it is past. */
static int days_until(const ASN1_TIME *time, uint64_t now)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return 0;
    int64_t seconds = (int64_t)timegm(&tm) - (int64_t)now;
    return (int)(seconds < 0 ? (seconds - DAY + 1) / DAY : seconds / DAY);
}

/* What is served all the same: mail is better encrypted under an old certificate than not. */
bool tls_pair_warning(const struct tls_pair *pair, uint64_t now, char warning[TLS_PROBLEM_MAX])
{
    X509 *leaf = read_certificate(pair->certificate, NULL, warning);
    if (leaf == NULL)
        return true;

    int left = days_until(X509_get0_notAfter(leaf), now);
    bool warned = true;
    if (left < 0)
        (void)snprintf(warning, TLS_PROBLEM_MAX, "%.300s expired %d days ago; renew it",
                       pair->certificate, -left);
    else if (days_until(X509_get0_notBefore(leaf), now) > 0)
        (void)snprintf(warning, TLS_PROBLEM_MAX, "%.300s is not valid yet; look at the clock",
                       pair->certificate);
    else if (left < WARN_DAYS)
        (void)snprintf(warning, TLS_PROBLEM_MAX, "%.300s expires in %d days; renew it",
                       pair->certificate, left);
    else if (pair->name.len > 0 &&
             X509_check_host(leaf, pair->name.data, pair->name.len, 0, NULL) != 1)
        (void)snprintf(warning, TLS_PROBLEM_MAX, "%.300s is not for %.*s; name the one that is",
                       pair->certificate, (int)(pair->name.len < 100 ? pair->name.len : 100),
                       pair->name.data);
    else
        warned = false;
    X509_free(leaf);
    return warned;
}
