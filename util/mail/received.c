/*
 * The one field that we add, and the one that people read when they look for a forgery: so the name
 * a client gave itself, the name that was verified and its address always stand side by side. The
 * first comes from a stranger: what is not part of a host name is written as \xNN, and it is
 * bounded, so that nobody can write a line of our header.
 */
#include "util/mail/received.h"

#include <time.h>

enum { FOREIGN_MAX = 300 /* octets printed of a foreign word */ };

/* Letters, digits and what names and addresses need: everything else could close a comment or
 * begin a new one. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._:[]", c) != NULL);
}

/* Pieces are added whole: an escape is never cut in its middle. */
static void add_foreign(struct buf *out, struct span word)
{
    size_t printed = 0;
    if (word.len == 0)
        buf_add(out, SPAN("unknown"));
    for (size_t i = 0; i < word.len; i++) {
        char escape[SPAN_ESCAPE];
        span_escape(word.data[i], escape);
        struct span piece =
            is_word(word.data[i]) ? span_of(word.data + i, 1) : span_of(escape, SPAN_ESCAPE);
        if (printed + piece.len > FOREIGN_MAX) {
            buf_add(out, SPAN("..."));
            return;
        }
        buf_add(out, piece);
        printed += piece.len;
    }
}

/* TCP-info, RFC 5321 §4.4, with the address in the form of an address-literal (§4.1.3); of a client
 * that has no address, whose process it is, as a comment. */
static void add_client(struct buf *out, const struct received *facts)
{
    bool six = span_find(facts->client_address, ':') < facts->client_address.len;
    buf_add(out, SPAN("Received: from "));
    add_foreign(out, facts->helo);
    buf_add(out, SPAN(" ("));
    if (facts->local_user.len > 0) {
        buf_add(out, facts->local_user);
        buf_add(out, SPAN(")\r\n"));
        return;
    }
    add_foreign(out, facts->client_name);
    buf_add(out, six ? SPAN(" [IPv6:") : SPAN(" ["));
    add_foreign(out, facts->client_address);
    buf_add(out, SPAN("])\r\n"));
}

/* From, by, with, id, for, date: the order of RFC 5321 §4.4. `by` and `id` are ours, the
 * recipient was parsed: only the client's words are foreign. */
void received_write(struct buf *out, const struct received *facts)
{
    char date[DATE_TEXT_MAX];
    add_client(out, facts);
    if (facts->tls.len > 0) {
        buf_add(out, SPAN("\t(using "));
        buf_add(out, facts->tls);
        buf_add(out, SPAN(")\r\n"));
    }
    buf_add(out, SPAN("\tby "));
    buf_add(out, facts->by);
    buf_add(out, SPAN(" with "));
    buf_add(out, facts->protocol);
    buf_add(out, SPAN(" id "));
    buf_add(out, facts->id);
    if (facts->recipient.len > 0) {
        buf_add(out, SPAN("\r\n\tfor <"));
        buf_add(out, facts->recipient);
        buf_add(out, SPAN(">"));
    }
    buf_add(out, SPAN(";\r\n\t"));
    buf_add(out, date_write(facts->time_us, date));
    buf_add(out, SPAN("\r\n"));
}

/* With zeros in front: dates have columns. */
static char *put_number(char *at, unsigned number, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--, number /= 10)
        at[i - 1] = (char)('0' + number % 10);
    return at + digits;
}

/* Room is DATE_TEXT_MAX: the longest date has 31 octets. */
static char *put_text(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

/* RFC 5322 §3.3, in UTC, in English whatever the locale: strftime(3) would ask it. */
struct span date_write(uint64_t time_us, char out[DATE_TEXT_MAX])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);

    char *at = put_text(out, days + 3 * tm.tm_wday, 3);
    at = put_text(at, ", ", 2);
    at = put_number(at, (unsigned)tm.tm_mday, 2);
    *at++ = ' ';
    at = put_text(at, months + 3 * tm.tm_mon, 3);
    *at++ = ' ';
    at = put_number(at, (unsigned)tm.tm_year + 1900, 4);
    *at++ = ' ';
    at = put_number(at, (unsigned)tm.tm_hour, 2);
    *at++ = ':';
    at = put_number(at, (unsigned)tm.tm_min, 2);
    *at++ = ':';
    at = put_number(at, (unsigned)tm.tm_sec, 2);
    at = put_text(at, " +0000", 6);
    return span_of(out, (size_t)(at - out));
}
