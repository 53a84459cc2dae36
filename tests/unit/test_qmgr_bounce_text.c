/*
 * The letter a sender gets. It is compared as a whole once; then everything foreign that could
 * break out of its line is tried.
 */
#include "qmgr/bounce_text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct bounce_facts plain_facts(const struct bounce_failure *failures)
{
    return (struct bounce_facts){
        .hostname = SPAN("mx.example.test"),
        .to = SPAN("alice@example.test"),
        .id = SPAN("1ABC"),
        .sender = SPAN("alice@example.test"),
        .unique = SPAN("0011.2233"),
        .now_us = UINT64_C(1793607330000000),
        .failures = failures,
        .original = SPAN("Subject: hello\r\nX: y\r\n\r\nbody\r\n"),
    };
}

static void assert_has(const struct buf *letter, const char *part)
{
    struct span all = buf_span(letter);
    assert_non_null(memmem(all.data, all.len, part, strlen(part)));
}

static void assert_has_not(const struct buf *letter, const char *part)
{
    struct span all = buf_span(letter);
    assert_null(memmem(all.data, all.len, part, strlen(part)));
}

/* Every line ends in CR LF, holds no other control octet, nothing above 127, and is not too long.
 */
static void assert_wire_form(const struct buf *letter)
{
    struct span all = buf_span(letter);
    size_t line = 0;
    for (size_t i = 0; i < all.len; i++) {
        unsigned char octet = (unsigned char)all.data[i];
        assert_true(octet < 0x80);
        if (octet == '\n')
            assert_int_equal(all.data[i - 1], '\r');
        if (octet == '\r')
            assert_int_equal(all.data[i + 1], '\n');
        line = octet == '\n' ? 0 : line + 1;
        assert_true(line <= 4000);
    }
    assert_true(span_has_suffix(all, SPAN("\r\n")));
}

static void letter_has_all_that_a_person_needs(void **state)
{
    (void)state;
    struct bounce_failure second = {.next = NULL,
                                    .address = SPAN("carol@example.test"),
                                    .enhanced = SPAN("5.2.2"),
                                    .text = SPAN("mailbox full")};
    struct bounce_failure first = {.next = &second,
                                   .address = SPAN("bob@example.test"),
                                   .enhanced = SPAN("5.1.1"),
                                   .text = SPAN("user unknown")};
    struct bounce_facts facts = plain_facts(&first);
    struct buf letter = {0};
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "From: Mail delivery <MAILER-DAEMON@mx.example.test>\r\n");
    assert_has(&letter, "To: <alice@example.test>\r\n");
    assert_has(&letter, "Subject: ");
    assert_has(&letter, "Date: ");
    assert_has(&letter, "Message-ID: <0011.2233@mx.example.test>\r\n");
    assert_has(&letter, "Auto-Submitted: auto-replied\r\n");
    assert_has(&letter, "  <bob@example.test>\r\n    5.1.1 user unknown\r\n");
    assert_has(&letter, "  <carol@example.test>\r\n    5.2.2 mailbox full\r\n");
    assert_has(&letter, "Queue id of the message: 1ABC\r\n");
    assert_wire_form(&letter);
    buf_free(&letter);
}

static void header_of_the_original_is_copied_and_its_body_is_not(void **state)
{
    (void)state;
    struct bounce_facts facts = plain_facts(NULL);
    struct buf letter = {0};
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "Subject: hello\r\nX: y\r\n");
    assert_has_not(&letter, "body");
    buf_free(&letter);
}

static void header_cut_amid_a_line_ends_before_that_line(void **state)
{
    (void)state;
    struct bounce_facts facts = plain_facts(NULL);
    struct buf letter = {0};
    facts.original = SPAN("Subject: hello\r\nX-Long: half of i");
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "Subject: hello\r\n");
    assert_has_not(&letter, "X-Long");
    assert_wire_form(&letter);
    buf_free(&letter);
}

static void original_without_a_line_end_gives_no_header(void **state)
{
    (void)state;
    struct bounce_facts facts = plain_facts(NULL);
    struct buf letter = {0};
    facts.original = SPAN("no line end at all");
    bounce_text_write(&letter, &facts);
    assert_has_not(&letter, "no line end");
    assert_wire_form(&letter);
    buf_free(&letter);
}

/* A remote's words are escaped and bounded. */
static void foreign_octets_never_make_a_line_of_their_own(void **state)
{
    (void)state;
    struct bounce_failure failure = {.next = NULL,
                                     .address = SPAN("x@y\r\nBcc: all@y"),
                                     .enhanced = SPAN("5.0.0"),
                                     .text = SPAN("no\r\n\r\nfake: \x1b[2J\xff\0end")};
    struct bounce_facts facts = plain_facts(&failure);
    struct buf letter = {0};
    facts.sender = SPAN("a\r\nb@c");
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "x@y\\x0D\\x0ABcc: all@y");
    assert_has(&letter, "\\x1B[2J\\xFF\\x00end");
    assert_wire_form(&letter);
    buf_free(&letter);
}

static void eight_bit_header_becomes_ascii(void **state)
{
    (void)state;
    struct bounce_facts facts = plain_facts(NULL);
    struct buf letter = {0};
    facts.original = SPAN("Subject: gr\xc3\xbc\xc3\x9f"
                          "e\r\n\r\n");
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "Subject: gr????e\r\n");
    assert_wire_form(&letter);
    buf_free(&letter);
}

static void header_of_the_original_brings_no_control_octet_and_no_endless_line(void **state)
{
    (void)state;
    struct bounce_facts facts = plain_facts(NULL);
    struct buf letter = {0}, original = {0};
    buf_add(&original, SPAN("Subject: a\x1b[2J\0b\x7f\tc\rd\r\nX-Long: "));
    for (int i = 0; i < 3000; i++)
        buf_add(&original, SPAN("y"));
    buf_add(&original, SPAN("\r\nTo: z\r\n\r\n"));
    facts.original = buf_span(&original);
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "Subject: a?[2J?b?\tc?d\r\n");
    assert_has(&letter, "yyy\r\nTo: z\r\n");
    struct span rest = buf_span(&letter), line;
    while (span_next(&rest, '\n', &line))
        assert_in_range(line.len, 1, 998 + 1);
    buf_free(&original);
    buf_free(&letter);
}

static void escaping_is_bounded_and_says_so(void **state)
{
    (void)state;
    static const struct {
        struct span in;
        size_t most;
        struct span out;
    } rows[] = {
        {SPAN_INIT(""), 5, SPAN_INIT("")},
        {SPAN_INIT("plain"), 5, SPAN_INIT("plain")},
        {SPAN_INIT("longer"), 5, SPAN_INIT("longe...")},
        {SPAN_INIT("a\tb"), 5,
         SPAN_INIT("a\\x09"
                   "b")},
        {SPAN_INIT("\x7f"), 5, SPAN_INIT("\\x7F")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};
        bounce_text_escape(&out, rows[i].in, rows[i].most);
        assert_true(span_equal(buf_span(&out), rows[i].out));
        buf_free(&out);
    }
}

static void letter_says_what_the_sender_called_it(void **state)
{
    (void)state;
    struct bounce_failure failure = {.address = SPAN("bob@example.test"),
                                     .enhanced = SPAN("5.1.1"),
                                     .text = SPAN("user unknown"),
                                     .orcpt = SPAN("rfc822;bob+2Bold@example.org")};
    struct bounce_facts facts = plain_facts(&failure);
    struct buf letter = {0};
    facts.envid = SPAN("QQ+20314+3D");
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "    sent to bob+old@example.org\r\n    5.1.1 user unknown\r\n");
    assert_has(&letter, "Your name for it: QQ 314=\r\n");
    assert_wire_form(&letter);
    buf_free(&letter);
}

static void values_that_are_no_xtext_are_escaped(void **state)
{
    (void)state;
    struct bounce_failure failure = {.address = SPAN("bob@example.test"),
                                     .enhanced = SPAN("5.1.1"),
                                     .text = SPAN("user unknown"),
                                     .orcpt = SPAN("utf-8;\xc3\xa9@example.org")};
    struct bounce_facts facts = plain_facts(&failure);
    struct buf letter = {0};
    facts.envid = SPAN("a+0D+0ABcc: x");
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "    sent to \\xC3\\xA9@example.org\r\n");
    assert_has(&letter, "Your name for it: a+0D+0ABcc: x\r\n");
    assert_wire_form(&letter);
    buf_free(&letter);
}

static void successes_are_told_apart_from_failures(void **state)
{
    (void)state;
    struct bounce_failure failed = {.address = SPAN("bob@example.test"),
                                    .enhanced = SPAN("5.1.1"),
                                    .text = SPAN("user unknown")};
    struct bounce_failure delivered = {.address = SPAN("carol@example.test"),
                                       .enhanced = SPAN("2.0.0"),
                                       .text = SPAN("delivered"),
                                       .delivered = true};
    struct bounce_facts facts = plain_facts(&delivered);
    struct buf letter = {0};
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "Subject: Your message was delivered\r\n");
    assert_has(&letter,
               "you asked to be told.\r\n\r\n  <carol@example.test>\r\n    2.0.0 delivered\r\n");
    assert_has_not(&letter, "could not be delivered");
    assert_wire_form(&letter);
    buf_reset(&letter);

    delivered.next = &failed;
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "Subject: Your message could not be delivered\r\n");
    assert_has(&letter, "It will not be tried again.\r\n\r\n  <bob@example.test>\r\n");
    assert_has(&letter, "you asked to be told.\r\n\r\n  <carol@example.test>\r\n");
    buf_free(&letter);
}

static void whole_message_is_copied_when_it_is_wanted(void **state)
{
    (void)state;
    struct bounce_facts facts = plain_facts(NULL);
    struct buf letter = {0};
    facts.original = SPAN("Subject: hello\r\n\r\nbody \xc3\xa9\nlast");
    facts.full = true;
    bounce_text_write(&letter, &facts);
    assert_has(&letter, "The message:\r\n\r\nSubject: hello\r\n\r\nbody ??\r\nlast\r\n");
    assert_wire_form(&letter);
    buf_free(&letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letter_has_all_that_a_person_needs),
        cmocka_unit_test(header_of_the_original_is_copied_and_its_body_is_not),
        cmocka_unit_test(header_cut_amid_a_line_ends_before_that_line),
        cmocka_unit_test(original_without_a_line_end_gives_no_header),
        cmocka_unit_test(foreign_octets_never_make_a_line_of_their_own),
        cmocka_unit_test(eight_bit_header_becomes_ascii),
        cmocka_unit_test(header_of_the_original_brings_no_control_octet_and_no_endless_line),
        cmocka_unit_test(escaping_is_bounded_and_says_so),
        cmocka_unit_test(letter_says_what_the_sender_called_it),
        cmocka_unit_test(values_that_are_no_xtext_are_escaped),
        cmocka_unit_test(successes_are_told_apart_from_failures),
        cmocka_unit_test(whole_message_is_copied_when_it_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
