/*
 * Why a ratchet and not keys that are handed out again and again: rotation then needs no message,
 * and a process that nobody talks to forgets its old keys like the others. A machine that slept
 * makes all steps at once; they cost a microsecond each.
 *
 * From the secret of a period come the name of the key, which stands in the ticket, and the two
 * keys, each under a label of its own. They are derived at each use: the contexts of OpenSSL do
 * not outlive a ticket, so nothing that has to be wiped is left in them.
 */
#include "util/sys/tls_parts.h"

#include "util/base/panic.h"
#include "util/base/random.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sysexits.h>
#include <time.h>

enum { KEY_NAME = 16 /* octets, fixed by OpenSSL; RFC 5077 §4 recommends as many */ };

/* What a period's tickets are made with. */
struct ticket_keys {
    uint8_t name[TLS_SECRET]; /* of which KEY_NAME octets are used */
    uint8_t cipher[TLS_SECRET];
    uint8_t mac[TLS_SECRET];
};

/* ---- the ratchet ---- */

/* BOOTTIME: it counts the time that the machine slept, and nobody can set it. */
static struct timespec now(void)
{
    struct timespec time;
    require(clock_gettime(CLOCK_BOOTTIME, &time) == 0);
    return time;
}

/* Two periods are added, so that there is a period before the present one even right after boot. */
uint64_t tls_period_now(void)
{
    return (uint64_t)now().tv_sec / TLS_PERIOD_SECONDS + 2;
}

/* At least a second, so that a timer that fires a little early does not spin. */
int64_t tls_period_left_ms(void)
{
    return (TLS_PERIOD_SECONDS - now().tv_sec % TLS_PERIOD_SECONDS) * 1000;
}

/* RFC 2104; `out` may be the secret itself. */
static void derive(const uint8_t secret[TLS_SECRET], struct span label, uint8_t out[TLS_SECRET])
{
    uint8_t derived[TLS_SECRET];
    unsigned size = 0;
    if (!HMAC(EVP_sha256(), secret, TLS_SECRET, (const uint8_t *)label.data, label.len, derived,
              &size) ||
        size != TLS_SECRET)
        fatal(EX_SOFTWARE, "OpenSSL does not compute HMAC-SHA-256");
    memcpy(out, derived, sizeof(derived));
    OPENSSL_cleanse(derived, sizeof(derived));
}

void tls_ratchet_draw(struct tls_ratchet *ratchet)
{
    random_fill(ratchet->secret, sizeof(ratchet->secret));
    ratchet->period = tls_period_now() - 1;
}

/* The old secret is overwritten by what comes of it. */
void tls_ratchet_step(struct tls_ratchet *ratchet, uint64_t period)
{
    while (ratchet->period + 1 < period) {
        derive(ratchet->secret, SPAN("next"), ratchet->secret);
        ratchet->period++;
    }
}

/* A timer runs on another clock and may be a little early: then it is set once more. */
static void on_turn(void *arg)
{
    struct tls_tickets *tickets = arg;
    tls_ratchet_step(&tickets->ratchet, tls_period_now());
    timer_set(&tickets->turn, tls_period_left_ms());
}

void tls_tickets_keep(struct tls_tickets *tickets, struct loop *loop)
{
    timer_init(&tickets->turn, loop, on_turn, tickets);
    on_turn(tickets);
}

void tls_tickets_forget(struct tls_tickets *tickets)
{
    timer_cancel(&tickets->turn);
    OPENSSL_cleanse(&tickets->ratchet, sizeof(tickets->ratchet));
}

/* ---- what OpenSSL asks ---- */

/* The present period's keys, or those of the one before. */
static void find_keys(const struct tls_ratchet *ratchet, bool present, struct ticket_keys *keys)
{
    uint8_t secret[TLS_SECRET];
    memcpy(secret, ratchet->secret, sizeof(secret));
    if (present)
        derive(secret, SPAN("next"), secret);
    derive(secret, SPAN("name"), keys->name);
    derive(secret, SPAN("encrypt"), keys->cipher);
    derive(secret, SPAN("authenticate"), keys->mac);
    OPENSSL_cleanse(secret, sizeof(secret));
}

/* Encrypt, then authenticate: RFC 5077 §4. */
static bool use_keys(const struct ticket_keys *keys, const uint8_t *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)keys->mac,
                                          sizeof(keys->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys->cipher, iv, encrypt) == 1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* 1 when the ticket can be made. */
static int seal_ticket(const struct tls_ratchet *ratchet, uint8_t *name, uint8_t *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_keys keys;
    find_keys(ratchet, true, &keys);
    memcpy(name, keys.name, KEY_NAME);
    random_fill(iv, EVP_MAX_IV_LENGTH);
    bool good = use_keys(&keys, iv, cipher, mac, 1);
    OPENSSL_cleanse(&keys, sizeof(keys));
    return good ? 1 : -1;
}

/* 1: taken; 2: taken, and a new one is due; 0: not ours any more, a full handshake follows. */
static int open_ticket(const struct tls_ratchet *ratchet, const uint8_t *name, const uint8_t *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_keys keys;
    int result = 0;
    for (int age = 0; age < 2 && result == 0; age++) {
        find_keys(ratchet, age == 0, &keys);
        if (CRYPTO_memcmp(name, keys.name, KEY_NAME) == 0)
            result = use_keys(&keys, iv, cipher, mac, 0) ? 1 + age : -1;
    }
    OPENSSL_cleanse(&keys, sizeof(keys));
    return result;
}

/* The ratchet is stepped first: a ticket is never made with a key that is over. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    /* Of the first context, whichever certificate was chosen since. */
    struct tls_ratchet *ratchet = tls_server_of(ssl)->ratchet;
    tls_ratchet_step(ratchet, tls_period_now());
    if (encrypt)
        return seal_ticket(ratchet, name, iv, cipher, mac);
    return open_ticket(ratchet, name, iv, cipher, mac);
}

void tls_tickets_attach(SSL_CTX *context)
{
    if (SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) != 1)
        fatal(EX_SOFTWARE, "OpenSSL makes no tickets");
    (void)SSL_CTX_set_num_tickets(context, 1);
    (void)SSL_CTX_set_timeout(context, TLS_PERIOD_SECONDS);
}
