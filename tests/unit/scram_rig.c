/* RFC 5802 §3 and §7, by OpenSSL. */
#include "scram_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "util/base/base64.h"

struct keys {
    uint8_t client[SCRAM_KEY_SIZE], stored[SCRAM_KEY_SIZE], server[SCRAM_KEY_SIZE];
};

static void hmac(const uint8_t key[SCRAM_KEY_SIZE], struct span text, uint8_t out[SCRAM_KEY_SIZE])
{
    unsigned len = 0;
    assert_non_null(HMAC(EVP_sha256(), key, SCRAM_KEY_SIZE, (const unsigned char *)text.data,
                         text.len, out, &len));
    assert_int_equal(len, SCRAM_KEY_SIZE);
}

static struct keys derive(const char *password, struct span salt, uint32_t iterations)
{
    uint8_t salted[SCRAM_KEY_SIZE];
    struct keys keys;
    assert_int_equal(PKCS5_PBKDF2_HMAC(password, (int)strlen(password),
                                       (const unsigned char *)salt.data, (int)salt.len,
                                       (int)iterations, EVP_sha256(), sizeof(salted), salted),
                     1);
    hmac(salted, SPAN("Client Key"), keys.client);
    hmac(salted, SPAN("Server Key"), keys.server);
    assert_int_equal(EVP_Digest(keys.client, SCRAM_KEY_SIZE, keys.stored, NULL, EVP_sha256(), NULL),
                     1);
    return keys;
}

struct scram_keys scram_rig_keys(struct arena *arena, const char *password, struct span salt,
                                 uint32_t iterations)
{
    struct keys keys = derive(password, salt, iterations);
    return (struct scram_keys){.iterations = iterations,
                               .salt = base64_encode(arena, salt),
                               .stored = base64_encode(arena, span_of(keys.stored, SCRAM_KEY_SIZE)),
                               .server =
                                   base64_encode(arena, span_of(keys.server, SCRAM_KEY_SIZE))};
}

struct span scram_client_first(struct scram_client *client)
{
    client->bare = arena_printf(&client->arena, "n=%s,r=%s", client->user, client->nonce);
    return arena_printf(&client->arena, "%s%.*s", client->gs2_header, SPAN_ARG(client->bare));
}

/* "r=...,s=...,i=..." */
static void read_server_first(struct scram_client *client, struct span text)
{
    struct span nonces, salt, iterations = text;
    uint64_t number;
    client->server_first = arena_copy(&client->arena, text);
    assert_true(span_next(&iterations, ',', &nonces));
    assert_true(span_next(&iterations, ',', &salt));
    assert_true(span_has_prefix(nonces, SPAN("r=")) && span_has_prefix(salt, SPAN("s=")) &&
                span_has_prefix(iterations, SPAN("i=")));
    client->nonces = arena_copy(&client->arena, span_skip(nonces, 2));
    assert_true(span_has_prefix(client->nonces, span_cstr(client->nonce)));
    assert_true(base64_decode(&client->arena, span_skip(salt, 2), &client->salt));
    assert_true(span_to_u64(span_skip(iterations, 2), SCRAM_ITERATIONS_MOST, &number));
    client->iterations = (uint32_t)number;
}

/* client-final-message-without-proof */
static struct span without_proof(struct scram_client *client)
{
    const char *header = client->other_header ? client->other_header : client->gs2_header;
    struct span nonces = client->other_nonce ? span_cstr(client->other_nonce) : client->nonces;
    /* A binding may hold NULs, which no format passes on. */
    char *octets = arena_alloc(&client->arena, strlen(header) + client->binding.len + 1);
    memcpy(octets, header, strlen(header));
    if (client->binding.len > 0)
        memcpy(octets + strlen(header), client->binding.data, client->binding.len);
    struct span input = span_of(octets, strlen(header) + client->binding.len);
    return arena_printf(&client->arena, "c=%s,r=%.*s", base64_encode(&client->arena, input).data,
                        SPAN_ARG(nonces));
}

struct span scram_client_final(struct scram_client *client, struct span server_first)
{
    uint8_t proof[SCRAM_KEY_SIZE];
    read_server_first(client, server_first);
    struct keys keys = derive(client->password, client->salt, client->iterations);
    struct span last = without_proof(client);
    struct span message = arena_printf(&client->arena, "%.*s,%.*s,%.*s", SPAN_ARG(client->bare),
                                       SPAN_ARG(client->server_first), SPAN_ARG(last));
    hmac(keys.server, message, client->server_signature);
    hmac(keys.stored, message, proof);
    for (size_t i = 0; i < SCRAM_KEY_SIZE; i++)
        proof[i] ^= keys.client[i];
    struct span text = base64_encode(&client->arena, span_of(proof, SCRAM_KEY_SIZE));
    return arena_printf(&client->arena, "%.*s,p=%.*s", SPAN_ARG(last), SPAN_ARG(text));
}

bool scram_client_accepts(struct scram_client *client, struct span server_final)
{
    struct span octets;
    return span_has_prefix(server_final, SPAN("v=")) &&
           base64_decode(&client->arena, span_skip(server_final, 2), &octets) &&
           span_equal(octets, span_of(client->server_signature, SCRAM_KEY_SIZE));
}

void scram_client_end(struct scram_client *client)
{
    arena_free(&client->arena);
}
