/*
 * Headers of submission come from users and from what stole their passwords. So nothing is repaired
 * here, and nothing is judged but what the field names promise: a From that can be read in two ways
 * counts as another's (mailbox.h), and the worst that follows is a Sender that tells the truth.
 *
 * Fields behind a line that is no field are still looked at, until the empty line: readers disagree
 * on whether they belong to the header. What was missing before that line was added there; what
 * they make necessary is added at the end.
 */
#include "util/mail/originator.h"

#include "util/mail/mailbox.h"
#include "util/mail/received.h"

enum { LINE_MOST = 998 /* RFC 5322 §2.1.1; no longer run of octets is looked at as a name */ };

/* What the steps hand to each other. */
struct pass {
    struct originator *originator;
    const struct originator_facts *facts;
    struct buf *out;
};

/* ---- what is added ---- */

static void add_field(struct buf *out, struct span name, struct span value)
{
    buf_add(out, name);
    buf_add(out, SPAN(": "));
    buf_add(out, value);
    buf_add(out, SPAN("\r\n"));
}

static void add_date(const struct pass *pass)
{
    char text[DATE_TEXT_MAX];
    add_field(pass->out, SPAN("Date"), date_write(pass->facts->time_us, text));
}

/* RFC 5322 §3.6.4 */
static void add_message_id(const struct pass *pass)
{
    buf_add(pass->out, SPAN("Message-ID: <"));
    buf_add(pass->out, pass->facts->unique);
    buf_add(pass->out, SPAN("@"));
    buf_add(pass->out, pass->facts->hostname);
    buf_add(pass->out, SPAN(">\r\n"));
}

/* A login is the key of an address: its local part may need the quotes that the key has not. */
static void add_sender(const struct pass *pass)
{
    struct span login = pass->facts->login, local = span_first(login, span_find_last(login, '@'));
    struct span domain = span_skip(login, local.len + 1);
    struct address address = {0};
    char text[ADDRESS_TEXT_MAX];
    bool fits = local.len <= sizeof(address.local) && domain.len <= sizeof(address.domain);
    if (fits && domain.len > 0) {
        memcpy(address.local, local.data, local.len);
        memcpy(address.domain, domain.data, domain.len);
        address.local_len = (uint16_t)local.len;
        address.domain_len = (uint16_t)domain.len;
        login = address_text(&address, text);
    }
    add_field(pass->out, SPAN("Sender"), login);
}

/* RFC 6409 §8.1: unless the one From is the login's, the login has to be said. */
static bool lacks_sender(const struct pass *pass)
{
    const struct originator *originator = pass->originator;
    bool is_from = originator->froms == 1 && !originator->others;
    return pass->facts->login.len > 0 && !is_from && !originator->has_sender;
}

static bool lacks_something(const struct pass *pass)
{
    return !pass->originator->has_date || !pass->originator->has_message_id || lacks_sender(pass);
}

/* Only between two lines, and never before one that begins with a blank: that one would become a
 * part of what is added. */
static void add_missing(const struct pass *pass)
{
    struct originator *originator = pass->originator;
    bool lacks = lacks_sender(pass);
    if (!originator->has_date)
        add_date(pass);
    if (!originator->has_message_id)
        add_message_id(pass);
    if (lacks)
        add_sender(pass);
    originator->has_date = originator->has_message_id = true;
    originator->has_sender = originator->has_sender || lacks;
}

/* ---- what is held ---- */

static void let_pass(const struct pass *pass)
{
    buf_add(pass->out, buf_span(&pass->originator->held));
    buf_reset(&pass->originator->held);
}

/* The field that is held, with its name. */
static bool is_login(const struct pass *pass)
{
    struct span field = buf_span(&pass->originator->held);
    struct address address;
    char key[ADDRESS_TEXT_MAX];
    return mailbox_parse_lone(span_skip(field, span_find(field, ':') + 1), &address) &&
           span_equal_nocase(address_key(&address, key), pass->facts->login);
}

/* A field is over: what was held of it passes, or is forgotten. */
static void conclude(const struct pass *pass)
{
    struct originator *originator = pass->originator;
    if (originator->field == ORIGINATOR_FROM) {
        originator->others = originator->others || !is_login(pass);
        let_pass(pass);
    } else if (originator->field == ORIGINATOR_SENDER && is_login(pass)) {
        originator->has_sender = true;
        let_pass(pass);
    }
    buf_reset(&originator->held);
    originator->field = ORIGINATOR_OTHER;
}

/* Longer than any address: From is another's then, and Sender forged; neither is held further. */
static void give_up(const struct pass *pass)
{
    struct originator *originator = pass->originator;
    bool from = originator->field == ORIGINATOR_FROM;
    if (from) {
        originator->others = true;
        let_pass(pass);
    }
    buf_reset(&originator->held);
    originator->field = from ? ORIGINATOR_OTHER : ORIGINATOR_FORGED;
    originator->place = from ? ORIGINATOR_PASS : ORIGINATOR_DROP;
}

/* The line that has begun is no field. */
static void refuse_field(const struct pass *pass)
{
    add_missing(pass);
    let_pass(pass);
    pass->originator->place = ORIGINATOR_PASS;
}

/* A colon was reached: what is held is a name, with blanks behind it perhaps. */
static void begin_field(const struct pass *pass)
{
    struct originator *originator = pass->originator;
    struct span name = span_trim(buf_span(&originator->held));
    bool judged = pass->facts->login.len > 0;
    if (judged && span_equal_nocase(name, SPAN("From")))
        originator->field = ORIGINATOR_FROM;
    else if (judged && span_equal_nocase(name, SPAN("Sender")))
        originator->field = ORIGINATOR_SENDER;
    else if (span_equal_nocase(name, SPAN("Date")))
        originator->has_date = true;
    else if (span_equal_nocase(name, SPAN("Message-ID")))
        originator->has_message_id = true;
    originator->froms += originator->field == ORIGINATOR_FROM;
    bool held = originator->field != ORIGINATOR_OTHER;
    originator->place = held ? ORIGINATOR_HOLD : ORIGINATOR_PASS;
    if (!held)
        let_pass(pass);
}

/* ---- the steps: each takes octets off the front, and says how many ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The empty line, or its LF. */
static size_t end_header(const struct pass *pass)
{
    add_missing(pass);
    let_pass(pass);
    buf_free(&pass->originator->held);
    pass->originator->ended = true;
    return 0;
}

/* A line with a blank in front goes on with the field before it, taken out or not (RFC 5322
 * §2.2.3). As the first line of all it goes on with our trace field. */
static size_t step_start(const struct pass *pass, struct span piece)
{
    static const enum originator_place goes_on[] = {
        [ORIGINATOR_OTHER] = ORIGINATOR_PASS,
        [ORIGINATOR_FROM] = ORIGINATOR_HOLD,
        [ORIGINATOR_SENDER] = ORIGINATOR_HOLD,
        [ORIGINATOR_FORGED] = ORIGINATOR_DROP,
    };
    struct originator *originator = pass->originator;
    if (is_blank(piece.data[0])) {
        originator->place = goes_on[originator->field];
        return 0;
    }
    conclude(pass);
    if (piece.data[0] == '\n')
        return end_header(pass);
    bool is_cr = piece.data[0] == '\r';
    if (is_cr)
        buf_add(&originator->held, span_first(piece, 1));
    originator->place = is_cr ? ORIGINATOR_START_CR : ORIGINATOR_NAME;
    return is_cr;
}

static size_t step_start_cr(const struct pass *pass, struct span piece)
{
    if (piece.data[0] == '\n')
        return end_header(pass);
    refuse_field(pass);
    return 0;
}

/* ftext, RFC 5322 §3.6.8 */
static bool is_name_octet(char c)
{
    return c > ' ' && c < '\x7f' && c != ':';
}

/* A run of octets of one kind is held; behind it the name is over, one way or the other. */
static size_t hold_name(const struct pass *pass, struct span piece, bool (*is_part)(char))
{
    struct originator *originator = pass->originator;
    size_t run = 0;
    while (run < piece.len && is_part(piece.data[run]))
        run++;
    buf_add(&originator->held, span_first(piece, run));
    size_t size = buf_len(&originator->held);
    if (size > LINE_MOST)
        refuse_field(pass);
    else if (run == piece.len)
        return run;
    else if (piece.data[run] == ':' && size > 0)
        begin_field(pass);
    else if (is_blank(piece.data[run]) && size > 0)
        originator->place = ORIGINATOR_BLANK;
    else
        refuse_field(pass);
    return run;
}

static size_t step_name(const struct pass *pass, struct span piece)
{
    return hold_name(pass, piece, is_name_octet);
}

static size_t step_blank(const struct pass *pass, struct span piece)
{
    return hold_name(pass, piece, is_blank);
}

/* The rest of the line, with its end. */
static struct span rest_of_line(const struct pass *pass, struct span piece)
{
    size_t feed = span_find(piece, '\n');
    if (feed < piece.len)
        pass->originator->place = ORIGINATOR_START;
    return span_first(piece, feed + 1);
}

static size_t step_pass(const struct pass *pass, struct span piece)
{
    struct span line = rest_of_line(pass, piece);
    buf_add(pass->out, line);
    return line.len;
}

/* Places the line anew when it is too much. */
static size_t step_hold(const struct pass *pass, struct span piece)
{
    size_t room = ORIGINATOR_HELD - buf_len(&pass->originator->held);
    if (room == 0) {
        give_up(pass);
        return 0;
    }
    struct span line = rest_of_line(pass, span_first(piece, room));
    buf_add(&pass->originator->held, line);
    return line.len;
}

static size_t step_drop(const struct pass *pass, struct span piece)
{
    return rest_of_line(pass, piece).len;
}

/* ---- the message ---- */

void originator_take(struct originator *originator, const struct originator_facts *facts,
                     struct span piece, struct buf *out)
{
    static size_t (*const steps[])(const struct pass *pass, struct span piece) = {
        [ORIGINATOR_START] = step_start,       [ORIGINATOR_NAME] = step_name,
        [ORIGINATOR_START_CR] = step_start_cr, [ORIGINATOR_BLANK] = step_blank,
        [ORIGINATOR_PASS] = step_pass,         [ORIGINATOR_HOLD] = step_hold,
        [ORIGINATOR_DROP] = step_drop,
    };
    const struct pass pass = {originator, facts, out};
    struct span rest = piece;
    while (rest.len > 0 && !originator->ended)
        rest = span_skip(rest, steps[originator->place](&pass, rest));
    buf_add(out, rest);
}

/* A last line without its end gets one if something is added: that begins a line of its own. */
void originator_end(struct originator *originator, const struct originator_facts *facts,
                    struct buf *out)
{
    const struct pass pass = {originator, facts, out};
    enum originator_place place = originator->place;
    size_t before = buf_len(out);
    if (originator->ended)
        return;
    /* Half a name, or the CR of an empty line, is no field: it stays behind what is added. */
    bool is_name = place == ORIGINATOR_NAME || place == ORIGINATOR_BLANK;
    if (!is_name && place != ORIGINATOR_START_CR)
        conclude(&pass);
    bool held_passed = place == ORIGINATOR_HOLD && buf_len(out) > before;
    if ((place == ORIGINATOR_PASS || held_passed) && lacks_something(&pass))
        buf_add(out, SPAN("\r\n"));
    (void)end_header(&pass);
}

void originator_free(struct originator *originator)
{
    buf_free(&originator->held);
}
