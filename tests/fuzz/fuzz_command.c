/*
 * Octets of an SMTP client as smtpd takes them apart: lines, verbs, paths, parameters; behind a
 * DATA line message data. However the octets are cut on their way, the same is read in them. The
 * first octet is the length of the pieces.
 */
#include "smtpd/path.h"
#include "smtpd/verbs.h"
#include "tests/fuzz/fuzz.h"
#include "util/mail/line.h"

enum { COMMAND_MOST = 512 };

struct reading {
    struct buf in;    /* octets not read yet */
    struct buf trace; /* what was read in those before */
    struct dot_decoder decoder;
    bool in_data, swallowing, ended;
};

static void note(struct reading *reading, const char *what, struct span octets)
{
    buf_add(&reading->trace, span_cstr(what));
    buf_add(&reading->trace, octets);
    buf_add(&reading->trace, SPAN("\n"));
}

static void read_parameters(struct reading *reading, struct span rest)
{
    struct span word;
    while (path_next_parameter(&rest, &word)) {
        require(word.len > 0 && span_find(word, ' ') == word.len);
        note(reading, "parameter ", word);
    }
}

static void read_path(struct reading *reading, struct span arguments)
{
    char text[ADDRESS_TEXT_MAX];
    struct address address;
    struct span rest;
    if (!path_argument(&arguments, SPAN("FROM:")) && !path_argument(&arguments, SPAN("TO:")))
        return;
    enum address_result result = address_parse_path(arguments, SPAN(""), &address, &rest);
    if (result == ADDRESS_OK || result == ADDRESS_EMPTY) {
        note(reading, "path ", address_text(&address, text));
        read_parameters(reading, rest);
    } else {
        struct reply refusal = path_refusal(result, "5.1.7");
        require(refusal.code >= 500 && refusal.text != NULL);
        note(reading, "refused ", span_cstr(refusal.text));
    }
}

static void read_line(struct reading *reading, struct span line)
{
    struct span arguments, name = verb_name(line, &arguments);
    require(fuzz_within(name, line) && fuzz_within(arguments, line));
    require(span_equal(arguments, span_trim(arguments)));
    const struct verb *verb = verb_find(name);
    note(reading, "line ", line);
    note(reading, "verb ", span_cstr(verb != NULL ? verb->name : "?"));
    read_path(reading, arguments);
    reading->in_data = verb != NULL && span_equal(span_cstr(verb->name), SPAN("DATA"));
}

/* False when more octets are needed. */
static bool read_data(struct reading *reading)
{
    struct buf out = {0};
    size_t used;
    enum dot_result result = dot_decode(&reading->decoder, buf_span(&reading->in), &out, &used);
    buf_consume(&reading->in, used);
    if (result != DOT_BARE)
        buf_add(&reading->trace, buf_span(&out));
    buf_free(&out);
    reading->in_data = result == DOT_MORE;
    reading->ended = result == DOT_BARE;
    return result == DOT_END;
}

/* As the reader of smtpd: a line that is too long is dropped up to its end. */
static bool swallow(struct reading *reading, size_t used)
{
    struct span dropped = span_first(buf_span(&reading->in), used);
    reading->swallowing = !span_has_suffix(dropped, SPAN("\n"));
    if (!reading->swallowing)
        note(reading, "too long", SPAN(""));
    buf_consume(&reading->in, used);
    return true;
}

static bool read_command(struct reading *reading)
{
    struct span in = buf_span(&reading->in), line;
    size_t used = 0, feed = span_find(in, '\n');
    if (reading->swallowing)
        return swallow(reading, feed < in.len ? feed + 1 : in.len);
    switch (line_cut(in, COMMAND_MOST, &line, &used)) {
    case LINE_MORE:
        require(used == 0 && in.len < COMMAND_MOST);
        return false;
    case LINE_TOO_LONG:
        require(used > 0 && used <= in.len);
        return swallow(reading, used);
    case LINE_OK:
        require(used <= COMMAND_MOST && fuzz_within(line, in));
        break;
    }
    read_line(reading, line);
    buf_consume(&reading->in, used);
    return true;
}

static void read_piece(struct reading *reading, struct span piece)
{
    bool going_on = true;
    buf_add(&reading->in, piece);
    while (going_on && !reading->ended && buf_len(&reading->in) > 0)
        going_on = reading->in_data ? read_data(reading) : read_command(reading);
}

/* The data of a message that is refused may have been noted in part: what is compared ends there.
 */
static void read_all(struct reading *reading, struct span input, size_t piece)
{
    while (input.len > 0 && !reading->ended)
        read_piece(reading, fuzz_take(&input, piece));
    if (reading->in_data && !reading->ended)
        note(reading, "unfinished", SPAN(""));
}

static void check_equal(const struct reading *whole, const struct reading *cut)
{
    struct span a = buf_span(&whole->trace), b = buf_span(&cut->trace);
    require(whole->ended == cut->ended);
    if (whole->ended)
        require(span_has_prefix(b, a));
    else
        require(span_equal(a, b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    struct reading whole = {0}, cut = {0};
    size_t piece = 1 + (size_t)fuzz_octet(&input);
    read_all(&whole, input, input.len);
    read_all(&cut, input, piece);
    check_equal(&whole, &cut);
    buf_free(&whole.in);
    buf_free(&whole.trace);
    buf_free(&cut.in);
    buf_free(&cut.trace);
    return 0;
}
