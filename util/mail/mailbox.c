/*
 * One pass, without recursion: comments nest as deep as a stranger likes, and a counter is all that
 * they need. What is outside of comments comes as words, runs of octets that no blank and no
 * comment interrupts; a mailbox is one word, or any words and a last one in angle brackets.
 */
#include "util/mail/mailbox.h"

struct cursor {
    const char *at, *end;
    bool bad;    /* no mailbox, whatever follows; the cursor is at its end */
    bool has_at; /* an "@" was passed that is not quoted */
};

static void fail(struct cursor *cursor)
{
    cursor->at = cursor->end;
    cursor->bad = true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Some readers stop at a NUL, and none shows the others. Octets above 127 are UTF-8, or some older
 * set: names have them (RFC 6532 §3.2). */
static bool has_control(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (((unsigned char)c < ' ' && !is_blank(c)) || c == '\x7f')
            return true;
    }
    return false;
}

/* Behind a backslash any octet is text (RFC 5322 §3.2.1). */
static void skip_escaped(struct cursor *cursor)
{
    if (*cursor->at == '\\')
        cursor->at++;
    if (cursor->at < cursor->end)
        cursor->at++;
}

/* RFC 5322 §3.2.2; at its opening parenthesis. */
static void skip_comment(struct cursor *cursor)
{
    size_t depth = 0;
    do {
        depth += *cursor->at == '(';
        depth -= *cursor->at == ')';
        skip_escaped(cursor);
    } while (depth > 0 && cursor->at < cursor->end);
    if (depth > 0)
        fail(cursor);
}

/* RFC 5322 §3.2.4; at its opening quote. */
static void skip_quoted(struct cursor *cursor)
{
    cursor->at++;
    while (cursor->at < cursor->end && *cursor->at != '"')
        skip_escaped(cursor);
    if (cursor->at == cursor->end)
        fail(cursor);
    else
        cursor->at++;
}

/* CFWS, RFC 5322 §3.2.2 */
static void skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (is_blank(*cursor->at) || *cursor->at == '('))
        if (*cursor->at == '(')
            skip_comment(cursor);
        else
            cursor->at++;
}

/* Sets of a few octets. */
static bool is_one_of(char octet, struct span set)
{
    return span_find(set, octet) < set.len;
}

/* Quoted strings belong to their word: "a b"@example.test is one. */
static struct span next_word(struct cursor *cursor)
{
    const char *start = cursor->at;
    while (cursor->at < cursor->end && !is_blank(*cursor->at) &&
           !is_one_of(*cursor->at, SPAN("(<>"))) {
        cursor->has_at = cursor->has_at || *cursor->at == '@';
        if (is_one_of(*cursor->at, SPAN(",:;)\\")))
            fail(cursor);
        else if (*cursor->at == '"')
            skip_quoted(cursor);
        else
            cursor->at++;
    }
    return span_of(start, (size_t)(cursor->at - start));
}

/* From "<" on to the end of the field. */
static bool parse_angle(struct cursor *cursor, struct address *address)
{
    cursor->at++;
    skip_blanks(cursor);
    struct span word = next_word(cursor);
    skip_blanks(cursor);
    if (cursor->at == cursor->end || *cursor->at != '>')
        return false;
    cursor->at++;
    skip_blanks(cursor);
    return cursor->at == cursor->end && !cursor->bad && address_parse(word, address) == ADDRESS_OK;
}

bool mailbox_parse_lone(struct span value, struct address *address)
{
    struct cursor cursor = {.at = value.data, .end = value.data + value.len};
    struct span word = SPAN("");
    size_t words = 0;
    if (has_control(value))
        return false;
    skip_blanks(&cursor);
    while (cursor.at < cursor.end && *cursor.at != '<' && *cursor.at != '>') {
        word = next_word(&cursor);
        words++;
        skip_blanks(&cursor);
    }
    /* Some readers take an address in a name for the sender. */
    if (cursor.at < cursor.end)
        return !cursor.has_at && *cursor.at == '<' && parse_angle(&cursor, address);
    return !cursor.bad && words == 1 && address_parse(word, address) == ADDRESS_OK;
}
