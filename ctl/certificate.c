/*
 * Made with the library, so that no program has to be installed and no key passes through a pipe.
 * The key is written before the certificate: a pair is there when its certificate is, and an init
 * that was interrupted between the two makes both anew.
 */
#include "ctl/certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "ctl/files.h"

enum { LIFE_DAYS = 3650, SERIAL_BITS = 127 /* positive in 16 octets: RFC 5280 §4.1.2.2 */ };

/* Adds one extension as OpenSSL's texts have it. */
static bool add_extension(X509 *certificate, int number, const char *text)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, number, text);
    bool good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

/* The host's name stands among the alternative names alone: nobody looks at the common name any
 * more (RFC 9525 §2), which could not hold a long one (64 octets, RFC 5280 §A.1). */
static bool name_it(struct ctl *ctl, X509 *certificate, struct span hostname)
{
    static const unsigned char subject[] = "Veredus, self-signed";
    struct span names =
        arena_printf(&ctl->arena, "DNS:%.*s,DNS:localhost,IP:127.0.0.1", SPAN_ARG(hostname));
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, subject, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 &&
           add_extension(certificate, NID_subject_alt_name, names.data);
}

/* Another number each time: clients remember them by issuer. */
static bool number_it(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool good = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
                BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return good;
}

/* What a server's certificate says about its use. */
static bool add_purposes(X509 *certificate)
{
    static const struct {
        int number;
        const char *text;
    } rows[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth"},
        {NID_subject_key_identifier, "hash"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!add_extension(certificate, rows[i].number, rows[i].text))
            return false;
    }
    return true;
}

/* Valid from an hour ago: clocks differ. NULL when OpenSSL refuses. */
static X509 *sign(struct ctl *ctl, EVP_PKEY *key, struct span hostname)
{
    X509 *certificate = X509_new();
    if (certificate && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        number_it(certificate) && X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
        X509_time_adj_ex(X509_getm_notAfter(certificate), LIFE_DAYS, 0, NULL) &&
        X509_set_pubkey(certificate, key) == 1 && name_it(ctl, certificate, hostname) &&
        add_purposes(certificate) && X509_sign(certificate, key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

/* What was written into `text` becomes the file. False after a message. */
static bool keep(struct ctl *ctl, BIO *text, const char *path, unsigned mode)
{
    char *octets;
    long size = BIO_get_mem_data(text, &octets);
    if (size > 0 && files_replace(path, span_of(octets, (size_t)size), mode, NULL))
        return true;
    ctl_say(ctl, "%s can not be written: %s", path, log_errno_text(errno));
    return false;
}

/* Both as PEM. Secure memory is no help here: the key goes to a file at once. */
static bool write_pair(struct ctl *ctl, struct span directory, EVP_PKEY *key, X509 *certificate)
{
    const char *key_path = arena_printf(&ctl->arena, "%.*s/key.pem", SPAN_ARG(directory)).data;
    const char *path = arena_printf(&ctl->arena, "%.*s/cert.pem", SPAN_ARG(directory)).data;
    BIO *key_text = BIO_new(BIO_s_mem()), *text = BIO_new(BIO_s_mem());
    bool good = key_text && text &&
                PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                PEM_write_bio_X509(text, certificate) == 1;
    if (!good)
        ctl_say(ctl, "OpenSSL can not write a certificate");
    good = good && keep(ctl, key_text, key_path, 0600) && keep(ctl, text, path, 0644);
    /* A memory BIO wipes what it frees. */
    BIO_free(key_text);
    BIO_free(text);
    return good;
}

bool certificate_make(struct ctl *ctl, struct span directory, struct span hostname)
{
    const char *path = arena_printf(&ctl->arena, "%.*s/cert.pem", SPAN_ARG(directory)).data;
    if (access(path, F_OK) == 0)
        return true;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? sign(ctl, key, hostname) : NULL;
    bool good = certificate && write_pair(ctl, directory, key, certificate);
    if (!certificate)
        ctl_say(ctl, "OpenSSL can not make a certificate: %s",
                ERR_reason_error_string(ERR_peek_error()));
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good;
}
