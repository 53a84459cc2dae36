/*
 * A second spelling of one character is a way around every comparison, so overlong forms,
 * surrogates and what lies beyond U+10FFFF are no characters here (RFC 3629 §3, §10). Neither are
 * the controls U+0080 to U+009F: a terminal may obey them like those of ASCII.
 */
#include "util/mail/utf8.h"

/* How a first octet goes on: the range of the second one is what tells the bad forms (RFC 3629
 * §4); all others are 80 to BF. */
static const struct {
    unsigned char first, last; /* of the first octet */
    unsigned char low, high;   /* of the second */
    unsigned char length;
} forms[] = {
    {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* Octets from the third on. */
static bool is_continued(const unsigned char *octets, size_t length)
{
    for (size_t i = 2; i < length; i++)
        if (octets[i] < 0x80 || octets[i] > 0xbf)
            return false;
    return true;
}

/* RFC 3629 §4: UTF8-2, UTF8-3, UTF8-4 */
size_t utf8_character(struct span text)
{
    const unsigned char *octets = (const unsigned char *)text.data;
    if (text.len < 2)
        return 0;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (octets[0] >= forms[i].first && octets[0] <= forms[i].last) {
            size_t length = forms[i].length;
            bool good = length <= text.len && octets[1] >= forms[i].low &&
                        octets[1] <= forms[i].high && is_continued(octets, length);
            return good ? length : 0;
        }
    return 0;
}

bool utf8_is_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    return true;
}
