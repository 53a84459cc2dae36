/*
 * Strict on purpose: two texts must never mean the same octets (RFC 4648 §12), or what was compared
 * as text and what was compared after decoding would disagree. So no line breaks, no second
 * alphabet, no padding left out, no stray bits.
 */
#include "util/base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Three octets (those missing are 0) as four digits. */
static void encode_group(const unsigned char in[3], char out[4])
{
    uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
    for (int i = 0; i < 4; i++)
        out[i] = alphabet[bits >> (18 - 6 * i) & 63];
}

struct span base64_encode(struct arena *arena, struct span octets)
{
    size_t len = octets.len / 3 * 4 + (octets.len % 3 > 0 ? 4 : 0);
    /* RFC 4648 §4: four digits for each three octets, the last group filled up with '='. */
    char *text = arena_alloc(arena, len + 1);
    char *out = text;

    while (octets.len > 0) {
        unsigned char group[3] = {0};
        size_t count = octets.len < 3 ? octets.len : 3;
        memcpy(group, octets.data, count);
        encode_group(group, out);
        memset(out + 1 + count, '=', 3 - count);
        octets = span_skip(octets, count);
        out += 4;
    }
    text[len] = '\0';
    return span_of(text, len);
}

/* The value of a digit; negative for what is none. */
static int digit_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    if (digit == '+')
        return 62;
    return digit == '/' ? 63 : -1;
}

/* The first `count` digits of a group (2 to 4) as count - 1 octets; false for a foreign digit and
 * for bits behind the last octet (RFC 4648 §3.5). */
static bool decode_group(const char *in, size_t count, char *out)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < count ? digit_value(in[i]) : 0;
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
    }
    uint32_t behind = count == 4 ? 0 : count == 3 ? 0xff : 0xffff;
    if (bits & behind)
        return false;
    for (size_t i = 0; i + 1 < count; i++)
        out[i] = (char)(bits >> (16 - 8 * i) & 0xff);
    return true;
}

/* RFC 4648 §4: at most two '=', and only at the very end. */
static size_t padding_of(struct span text)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    return padding;
}

bool base64_decode(struct arena *arena, struct span text, struct span *octets)
{
    if (text.len % 4 != 0)
        return false;
    /* Digits are what stands before the padding; a '=' any earlier is a foreign octet to
     * decode_group, and refused. */
    size_t digits = text.len - padding_of(text);
    size_t len = text.len / 4 * 3 - (text.len - digits);
    char *out = arena_alloc(arena, len + 1);

    for (size_t at = 0, done = 0; at < text.len; at += 4, done += 3) {
        size_t count = digits - at < 4 ? digits - at : 4;
        if (!decode_group(text.data + at, count, out + done))
            return false;
    }
    out[len] = '\0';
    *octets = span_of(out, len);
    return true;
}

/* The digits and the consonants are 31; A makes them 32. In the order of ASCII, so that of two ids
 * of one length the greater number sorts behind. */
static const char base32_digits[] = "0123456789ABCDFGHJKLMNPQRSTVWXYZ";

/* The count is known before the first digit is written, so the number is written from its end
 * and never reversed. */
size_t base32_u64(uint64_t number, char out[BASE32_U64_MAX])
{
    size_t count = 1;
    for (uint64_t rest = number >> 5; rest > 0; rest >>= 5)
        count++;
    for (size_t i = count; i-- > 0; number >>= 5)
        out[i] = base32_digits[number & 31];
    return count;
}

bool base32_to_u64(struct span text, uint64_t *number)
{
    if (text.len == 0 || text.len > BASE32_U64_MAX)
        return false;

    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char digit = text.data[i];
        if (digit >= 'a' && digit <= 'z')
            digit = (char)(digit - 'a' + 'A');
        const char *found = memchr(base32_digits, digit, sizeof(base32_digits) - 1);
        /* The upper five bits must be free before the next digit moves in;
         * else it overflows. */
        if (found == NULL || value >> 59 != 0)
            return false;
        value = value << 5 | (uint64_t)(found - base32_digits);
    }
    *number = value;
    return true;
}
