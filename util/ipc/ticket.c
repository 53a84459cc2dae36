/*
 * Why the fields of fixed size come before the user: nothing of variable length precedes them, so
 * two different (session, expiry, user) never give the same octets to the HMAC. The label in front
 * keeps a ticket from being taken for anything else that may be made under the same key one day.
 */
#include "util/ipc/ticket.h"

#include "util/base/octets.h"
#include "util/base/panic.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sysexits.h>

enum {
    EXPIRY_AT = 0,
    SESSION_AT = 8,
    MAC_AT = 16,
    MAC_SIZE = TICKET_SIZE - MAC_AT,
    USER_MOST = 512 /* far above what an address can have (RFC 5321 §4.5.3.1.3) */
};

static const char label[16] = "veredus-ticket1";

/* RFC 2104 over label, the head of the ticket and the user. False: the name is too long for one. */
static bool authenticate(struct span key, struct span user, const uint8_t head[MAC_AT],
                         uint8_t mac[MAC_SIZE])
{
    require(key.len == TICKET_KEY_SIZE);
    if (user.len == 0 || user.len > USER_MOST)
        return false;

    uint8_t text[sizeof label + MAC_AT + USER_MOST];
    memcpy(text, label, sizeof label);
    memcpy(text + sizeof label, head, MAC_AT);
    memcpy(text + sizeof label + MAC_AT, user.data, user.len);

    unsigned size = 0;
    if (!HMAC(EVP_sha256(), key.data, (int)key.len, text, sizeof label + MAC_AT + user.len, mac,
              &size) ||
        size != MAC_SIZE)
        fatal(EX_SOFTWARE, "OpenSSL does not compute HMAC-SHA-256");
    return true;
}

/* With a key of zeros and for nobody: only the loading counts. */
void ticket_warm_up(void)
{
    static const char key[TICKET_KEY_SIZE] = {0};
    uint8_t unused[TICKET_SIZE];
    ticket_make(span_of(key, sizeof key), SPAN("warm-up"), 0, 0, unused);
}

/* A user too long for a ticket is a bug: no address gets that long. */
void ticket_make(struct span key, struct span user, uint64_t session, uint64_t expiry,
                 uint8_t out[TICKET_SIZE])
{
    octets_put(out + EXPIRY_AT, expiry, 8);
    octets_put(out + SESSION_AT, session, 8);
    require(authenticate(key, user, out, out + MAC_AT));
}

bool ticket_check(struct span key, struct span user, uint64_t session, uint64_t now,
                  struct span ticket)
{
    if (ticket.len != TICKET_SIZE)
        return false;
    const uint8_t *octets = (const uint8_t *)ticket.data;
    uint8_t mac[MAC_SIZE];
    /* Computed from the ticket's own head: only then may expiry and session be believed. */
    if (!authenticate(key, user, octets, mac))
        return false;
    return CRYPTO_memcmp(mac, octets + MAC_AT, MAC_SIZE) == 0 &&
           octets_get(octets + SESSION_AT, 8) == session &&
           now <= octets_get(octets + EXPIRY_AT, 8);
}
