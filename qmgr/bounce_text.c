/*
 * Plain text for a person: full delivery status notifications are another matter. The letter is
 * marked as automatic (RFC 3834 §5), so that no vacation program answers it.
 */
#include "qmgr/bounce_text.h"

#include "util/mail/header.h"
#include "util/mail/received.h"
#include "util/mail/xtext.h"

enum { ADDRESS_MOST = 400, REASON_MOST = 512, LINE_MOST = 998 /* RFC 5322 §2.1.1 */ };

/* Text of our own, which needs no escape. */
static void add(struct buf *out, const char *text)
{
    buf_add(out, span_cstr(text));
}

/* CR and LF become \x0D and \x0A: nothing foreign can begin a line of this letter. */
void bounce_text_escape(struct buf *out, struct span text, size_t most)
{
    static const char digits[] = "0123456789ABCDEF";
    struct span bounded = span_first(text, most);
    for (size_t i = 0; i < bounded.len; i++) {
        unsigned char octet = (unsigned char)bounded.data[i];
        /* Made for every octet, used for few: it costs nothing. */
        char coded[4] = {'\\', 'x', digits[octet >> 4], digits[octet & 15]};
        bool plain = octet >= 0x20 && octet < 0x7f;
        buf_add(out, plain ? span_of(&bounded.data[i], 1) : span_of(coded, sizeof coded));
    }
    if (text.len > most)
        add(out, "...");
}

/* One line: name, opening, the escaped value, closing. */
static void add_field(struct buf *out, const char *name, const char *before, struct span value,
                      const char *after)
{
    add(out, name);
    add(out, before);
    bounce_text_escape(out, value, ADDRESS_MOST);
    add(out, after);
    add(out, "\r\n");
}

/* A value that came in xtext, as people read it. */
static void add_xtext_field(struct buf *out, const char *name, struct span xtext, const char *after)
{
    struct buf text = {.limit = ADDRESS_MOST};
    bool decoded = xtext_decode(xtext, &text);
    add_field(out, name, "", decoded ? buf_span(&text) : xtext, after);
    buf_free(&text);
}

/* True when somebody on the list has that outcome. */
static bool has(const struct bounce_failure *failure, bool delivered)
{
    while (failure != NULL && failure->delivered != delivered)
        failure = failure->next;
    return failure != NULL;
}

/* RFC 5322 §3.6; the text is plain US-ASCII by construction. */
static void write_header(struct buf *out, const struct bounce_facts *facts)
{
    char date[DATE_TEXT_MAX];
    add_field(out, "From: Mail delivery <MAILER-DAEMON", "@", facts->hostname, ">");
    add_field(out, "To: ", "<", facts->to, ">");
    add(out, has(facts->failures, false) || !has(facts->failures, true)
                 ? "Subject: Your message could not be delivered\r\n"
                 : "Subject: Your message was delivered\r\n");
    add_field(out, "Date: ", "", date_write(facts->now_us, date), "");
    add(out, "Message-ID: <");
    bounce_text_escape(out, facts->unique, ADDRESS_MOST);
    add_field(out, "", "@", facts->hostname, ">");
    /* RFC 3834 §5: an answer to a message, made by a program. */
    add(out, "Auto-Submitted: auto-replied\r\n"
             "MIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=us-ascii\r\n"
             "\r\n");
}

/* Address, the one he wrote to if he said it, status and reason, each on its own, as the log had
 * them. */
static void write_one(struct buf *out, const struct bounce_failure *failure)
{
    add_field(out, "  ", "<", failure->address, ">");
    struct span type = span_first(failure->orcpt, span_find(failure->orcpt, ';'));
    if (failure->orcpt.len > 0)
        add_xtext_field(out, "    sent to ", span_skip(failure->orcpt, type.len + 1), "");
    add(out, "    ");
    bounce_text_escape(out, failure->enhanced, ADDRESS_MOST);
    add(out, " ");
    bounce_text_escape(out, failure->text, REASON_MOST);
    add(out, "\r\n\r\n");
}

/* Those of one outcome, behind what they have in common. */
static void write_list(struct buf *out, const struct bounce_facts *facts, bool delivered)
{
    const struct bounce_failure *failure = facts->failures;
    if (has(failure, delivered))
        add(out, delivered ? "Your message was delivered to the recipients below; you asked to be "
                             "told.\r\n\r\n"
                           : "Your message could not be delivered to the recipients below.\r\n"
                             "It will not be tried again.\r\n\r\n");
    for (; failure != NULL; failure = failure->next)
        if (failure->delivered == delivered)
            write_one(out, failure);
}

/* A foreign line, as far as a line may reach and with what a terminal can be trusted with: the
 * letter says that it is plain US-ASCII text. */
static void write_line(struct buf *out, struct span line)
{
    struct span bounded = span_first(line, LINE_MOST);
    for (size_t i = 0; i < bounded.len; i++) {
        bool plain = (bounded.data[i] >= 0x20 && bounded.data[i] < 0x7f) || bounded.data[i] == '\t';
        buf_add(out, plain ? span_of(&bounded.data[i], 1) : SPAN("?"));
    }
    add(out, "\r\n");
}

/* The header block, or as many whole lines of it as were read; or everything. */
static void write_original(struct buf *out, struct span original, bool full)
{
    struct span rest = full ? original : span_first(original, header_end(original));
    struct span line;
    /* The bound on what was read may have cut the last line: it is left out. */
    if (!full && rest.len > 0 && rest.data[rest.len - 1] != '\n')
        rest.len = span_find_last(rest, '\n') < rest.len ? span_find_last(rest, '\n') + 1 : 0;
    while (span_next(&rest, '\n', &line)) {
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        write_line(out, line);
    }
}

/* What a sender needs: to whom, why, and which message it was. */
void bounce_text_write(struct buf *out, const struct bounce_facts *facts)
{
    write_header(out, facts);
    add_field(out, "This is the mail system at ", "", facts->hostname, ".");
    add(out, "\r\n");
    write_list(out, facts, false);
    write_list(out, facts, true);
    add_field(out, "Queue id of the message: ", "", facts->id, "");
    add_field(out, "Its sender: ", "<", facts->sender, ">");
    if (facts->envid.len > 0)
        add_xtext_field(out, "Your name for it: ", facts->envid, "");
    add(out, facts->full ? "\r\nThe message:\r\n\r\n" : "\r\nThe header of the message:\r\n\r\n");
    write_original(out, facts->original, facts->full);
}
