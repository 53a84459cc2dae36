/*
 * Why the sizes stand in the name: a mailbox of a hundred thousand messages is listed from its
 * directory alone, without a stat(2) a message; the letters S and W are the ones that other servers
 * use. Why a name of ours can be foreseen from the job: a delivery that is repeated after a crash
 * finds its own file there, or overwrites it with the same octets.
 */
#include "local/maildir_name.h"

#include "util/base/octets.h"
#include "util/base/panic.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sysexits.h>

enum { MICRO_DIGITS = 6, HASH_DIGITS = 20, SHA256_SIZE = 32, UIDL_DIGITS = 40 };

/* OpenSSL was warmed up before the sandbox (mail_root.c). */
static void sha256(struct span text, uint8_t out[SHA256_SIZE])
{
    if (EVP_Digest(text.data, text.len, out, NULL, EVP_sha256(), NULL) != 1)
        fatal(EX_SOFTWARE, "OpenSSL does not compute SHA-256");
}

/* Two digits an octet, the higher half first. */
static void put_hex(const uint8_t *octets, size_t digits, char *out)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < digits; i++)
        out[i] = hex[i % 2 == 0 ? octets[i / 2] >> 4 : octets[i / 2] & 15];
    out[digits] = '\0';
}

/* 80 bits of it: enough that no two letters meet, and nobody outside knows the salt. */
static void hash_place(const struct letter_place *place, char out[HASH_DIGITS + 1])
{
    uint8_t text[SPOOL_SALT + 24];
    uint8_t digest[SHA256_SIZE];
    /* The salt, which is secret, then the place, which is not. */
    memcpy(text, place->salt.octets, SPOOL_SALT);
    /* The same name on every machine that reads the spool. */
    octets_put(text + SPOOL_SALT, place->number, 8);
    octets_put(text + SPOOL_SALT + 8, place->offset, 8);
    octets_put(text + SPOOL_SALT + 16, place->recipient, 8);
    sha256(span_of(text, sizeof text), digest);
    put_hex(digest, HASH_DIGITS, out);
}

/* The host name without the octets that have a meaning in a name. */
static void escape_host(struct span hostname, char out[MAILDIR_HOST_MOST + 1])
{
    size_t used = 0;
    for (size_t i = 0; i < hostname.len; i++) {
        char octet = hostname.data[i];
        bool special = octet == '/' || octet == ':' || octet == ',' || octet == '\0';
        /* An escape is put in whole or not at all. */
        size_t needed = special ? 4 : 1;
        if (used + needed > MAILDIR_HOST_MOST)
            break;
        if (special)
            (void)snprintf(out + used, 5, "\\%03o", (unsigned)(unsigned char)octet & 0777U);
        else
            out[used] = octet;
        used += needed;
    }
    out[used] = '\0';
}

/* The time of arrival, not of delivery: a repeated delivery must get the same name. Microseconds of
 * a fixed width, so that names sort as the letters came. */
void maildir_name_unique(const struct letter_place *place, struct span hostname,
                         char out[MAILDIR_NAME_SIZE])
{
    char hash[HASH_DIGITS + 1];
    char host[MAILDIR_HOST_MOST + 1];
    hash_place(place, hash);
    escape_host(hostname, host);
    int length = snprintf(out, MAILDIR_NAME_SIZE, "%" PRIu64 ".M%06" PRIu64 "V%s.%s",
                          place->arrival_us / 1000000, place->arrival_us % 1000000, hash, host);
    require(length > 0 && length < MAILDIR_NAME_SIZE);
}

/* Sizes come last: they are known when the letter is written. */
void maildir_name_final(const char *unique, uint64_t disk, uint64_t wire,
                        char out[MAILDIR_NAME_SIZE])
{
    int length =
        snprintf(out, MAILDIR_NAME_SIZE, "%s,S=%" PRIu64 ",W=%" PRIu64, unique, disk, wire);
    require(length > 0 && length < MAILDIR_NAME_SIZE);
}

/* Up to the first ',' (fields) or ':' (flags). */
struct span maildir_name_unique_part(struct span name)
{
    size_t length = 0;
    while (length < name.len && name.data[length] != ',' && name.data[length] != ':')
        length++;
    return span_first(name, length);
}

/* ASCII digits alone. */
static size_t digits_at(struct span text)
{
    size_t count = 0;
    while (count < text.len && text.data[count] >= '0' && text.data[count] <= '9')
        count++;
    return count;
}

/* As put_hex writes them. */
static bool is_hex(char octet)
{
    return (octet >= '0' && octet <= '9') || (octet >= 'a' && octet <= 'f');
}

/* Cleaning removes nothing that another program may have put there. */
bool maildir_name_is_ours(struct span name)
{
    size_t seconds = digits_at(name);
    struct span rest = span_skip(name, seconds);
    if (seconds == 0 || !span_has_prefix(rest, SPAN(".M")))
        return false;
    rest = span_skip(rest, 2);
    if (digits_at(rest) != MICRO_DIGITS || rest.len <= MICRO_DIGITS ||
        rest.data[MICRO_DIGITS] != 'V')
        return false;
    rest = span_skip(rest, MICRO_DIGITS + 1);
    for (size_t i = 0; i < HASH_DIGITS; i++)
        if (i >= rest.len || !is_hex(rest.data[i]))
            return false;
    return rest.len > HASH_DIGITS + 1 && rest.data[HASH_DIGITS] == '.';
}

/* The number of the field `,<letter>=` in the part of the name before the flags. */
static bool field_of(struct span name, struct span letter, uint64_t *number)
{
    struct span rest = span_first(name, span_find(name, ':'));
    struct span word;
    while (span_next(&rest, ',', &word))
        if (span_has_prefix(word, letter))
            return span_to_u64(span_skip(word, letter.len), INT64_MAX, number);
    return false;
}

/* A size that the stored one contradicts is not believed. */
bool maildir_name_wire_size(struct span name, uint64_t *octets)
{
    uint64_t disk = 0;
    if (!field_of(name, SPAN("W="), octets))
        return false;
    /* A line grows by one octet at most, and the last one may lack its end. */
    return !field_of(name, SPAN("S="), &disk) || (*octets >= disk && *octets - disk <= disk + 2);
}

/* 0 for a name that does not begin with a number: it sorts first. */
uint64_t maildir_name_arrival(struct span name)
{
    uint64_t seconds = 0;
    return span_to_u64(span_first(name, digits_at(name)), INT64_MAX, &seconds) ? seconds : 0;
}

/* RFC 1939 §7: 1 to 70 characters from 0x21 to 0x7E. */
static bool is_uidl(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x21 || text.data[i] > 0x7e)
            return false;
    return text.len > 0 && text.len <= MAILDIR_UIDL_MOST;
}

/* A name that is no uidl is hashed: the same name gives the same uidl in every session. */
struct span maildir_name_uidl(struct span unique, struct arena *arena)
{
    if (is_uidl(unique))
        return unique;
    uint8_t digest[SHA256_SIZE];
    char *out = arena_alloc(arena, UIDL_DIGITS + 1);
    sha256(unique, digest);
    put_hex(digest, UIDL_DIGITS, out);
    return span_of(out, UIDL_DIGITS);
}
