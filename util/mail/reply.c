/*
 * A reply is measured first and then written in one piece: a client that reads half a reply and
 * waits for the rest would hang, so a buffer with a limit takes all of it or nothing.
 */
#include "util/mail/reply.h"

#include "util/base/panic.h"

enum { CODE_AND_SEPARATOR = 4, LINE_END = 2 };

/* Room was measured by reply_write. */
static char *put(char *at, struct span s)
{
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

/* Reply-line, RFC 5321 §4.2: the code, a hyphen or on the last line a blank, the text. */
static char *put_line(char *at, struct reply reply, struct span line, bool last)
{
    *at++ = (char)('0' + reply.code / 100);
    *at++ = (char)('0' + reply.code / 10 % 10);
    *at++ = (char)('0' + reply.code % 10);
    *at++ = last ? ' ' : '-';
    if (reply.enhanced != NULL) {
        at = put(at, span_cstr(reply.enhanced));
        *at++ = ' ';
    }
    at = put(at, line);
    return put(at, SPAN("\r\n"));
}

/* At least one: a reply without text is still a line. */
static size_t line_count(struct span text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    return lines;
}

/* A code outside 2yz to 5yz (RFC 5321 §4.2.1 knows no 1yz for us) is a bug of its handler. */
bool reply_write(struct buf *out, struct reply reply)
{
    require(reply.code >= 200 && reply.code <= 599);
    struct span text = span_cstr(reply.text);
    size_t enhanced = reply.enhanced != NULL ? strlen(reply.enhanced) + 1 : 0;
    size_t lines = line_count(text);
    size_t size = text.len - (lines - 1) + lines * (CODE_AND_SEPARATOR + enhanced + LINE_END);
    char *start = buf_room(out, size);
    if (start == NULL)
        return false;

    char *at = start;
    for (; lines > 0; lines--) {
        struct span line = span_first(text, span_find(text, '\n'));
        at = put_line(at, reply, line, lines == 1);
        text = span_skip(text, line.len + 1);
    }
    require((size_t)(at - start) == size);
    buf_filled(out, size);
    return true;
}
