/*
 * A span may come from anywhere, also as {NULL, 0}. The C library does not take NULL even for zero
 * octets, so every function here asks for the length before it touches the data.
 */
#include "util/base/span.h"

#include <string.h>

struct span span_cstr(const char *text)
{
    return text ? span_of(text, strlen(text)) : SPAN("");
}

/* Not for secrets: memcmp(3) tells by its time where they differ. */
bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Mail compares ASCII letters only, whatever the locale says: strncasecmp(3) would ask it. */
static unsigned char ascii_lower(char octet)
{
    unsigned char c = (unsigned char)octet;
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

bool span_has_prefix(struct span s, struct span part)
{
    return s.len >= part.len && span_equal(span_first(s, part.len), part);
}

bool span_has_prefix_nocase(struct span s, struct span part)
{
    return s.len >= part.len && span_equal_nocase(span_first(s, part.len), part);
}

/* The length first: only then may the rest be counted from the end. */
bool span_has_suffix(struct span s, struct span part)
{
    return s.len >= part.len && span_equal(span_skip(s, s.len - part.len), part);
}

/* More than there is leaves nothing, so a parser may skip a separator that is not there. */
struct span span_skip(struct span s, size_t count)
{
    if (count == 0)
        return s;
    if (count > s.len)
        count = s.len;
    return span_of(s.len > 0 ? s.data + count : s.data, s.len - count);
}

struct span span_first(struct span s, size_t count)
{
    return span_of(s.data, count < s.len ? count : s.len);
}

size_t span_find(struct span s, char octet)
{
    const char *found = s.len > 0 ? memchr(s.data, octet, s.len) : NULL;
    return found ? (size_t)(found - s.data) : s.len;
}

size_t span_find_last(struct span s, char octet)
{
    const char *found = s.len > 0 ? memrchr(s.data, octet, s.len) : NULL;
    return found ? (size_t)(found - s.data) : s.len;
}

/* WSP of RFC 5234 appendix B.1; isblank(3) would ask the locale. */
static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s = span_skip(s, 1);
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* A separator at the very end yields no empty last word: "a,b," are two words. */
bool span_next(struct span *rest, char separator, struct span *word)
{
    if (rest->len == 0)
        return false;
    size_t end = span_find(*rest, separator);
    *word = span_first(*rest, end);
    *rest = span_skip(*rest, end + 1);
    return true;
}

/* No sign, no blanks, no hexadecimal: what strtoull(3) forgives has opened holes elsewhere. */
bool span_to_u64(struct span s, uint64_t max, uint64_t *number)
{
    enum { DIGITS_MAX = 20 };
    if (s.len == 0 || s.len > DIGITS_MAX)
        return false;

    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        unsigned digit = (unsigned)(s.data[i] - '0');
        /* Checked before the multiplication, so that it can not wrap. */
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *number = value;
    return true;
}

void span_escape(char octet, char out[SPAN_ESCAPE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned number = (unsigned char)octet;
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[number >> 4];
    out[3] = digits[number & 15];
}

/* A NUL inside would make the copy mean less than the span says. */
bool span_to_cstr(struct span s, char *out, size_t size)
{
    if (size == 0)
        return false;
    /* Whoever overlooks the result finds an empty string, not an old one. */
    out[0] = '\0';
    if (s.len >= size || span_find(s, '\0') < s.len)
        return false;
    if (s.len > 0)
        memcpy(out, s.data, s.len);
    out[s.len] = '\0';
    return true;
}
