#include "util/mail/originator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define DATE        "Date: Mon, 02 Nov 2026 08:15:30 +0000\r\n"
#define ID          "Message-ID: <u1@mx.example.test>\r\n"
#define SENDER      "Sender: alice@example.test\r\n"
#define GIVEN       "Date: d\r\nMessage-Id: i\r\n"

static const struct originator_facts alice = {
    .login = SPAN_INIT("alice@example.test"),
    .hostname = SPAN_INIT("mx.example.test"),
    .unique = SPAN_INIT("u1"),
    .time_us = 1793607330000000,
};

/* What comes out, for a message that comes in pieces of `size` octets. */
static void complete(struct buf *out, const struct originator_facts *facts, struct span message,
                     size_t size)
{
    struct originator originator = {0};
    buf_reset(out);
    for (struct span rest = message; rest.len > 0; rest = span_skip(rest, size)) {
        originator_take(&originator, facts, span_first(rest, size), out);
        assert_true(buf_len(&originator.held) <= ORIGINATOR_HELD + 2);
    }
    originator_end(&originator, facts, out);
    assert_true(originator.ended);
    assert_int_equal(buf_len(&originator.held), 0);
    originator_free(&originator);
}

struct row {
    struct span in, out;
};

static void check(const struct originator_facts *facts, const struct row *rows, size_t count)
{
    struct buf out = {0};
    for (size_t i = 0; i < count; i++)
        for (size_t size = 1; size <= rows[i].in.len + 1; size++) {
            complete(&out, facts, rows[i].in, size);
            if (!span_equal(buf_span(&out), rows[i].out))
                fail_msg("in pieces of %zu:\n%.*s\nwanted:\n%.*s", size, SPAN_ARG(buf_span(&out)),
                         SPAN_ARG(rows[i].out));
        }
    buf_free(&out);
}

static void what_is_there_passes_untouched(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT("From: alice@example.test\r\n" GIVEN "\r\nbody\r\n"),
         SPAN_INIT("From: alice@example.test\r\n" GIVEN "\r\nbody\r\n")},
        {SPAN_INIT("DATE : d\r\nmessage-id\t:\r\n folded\r\nFROM  : Alice\r\n\t<ALICE@example.test>"
                   "\r\n\r\nSender: x\r\n\r\nDate\r\n"),
         SPAN_INIT("DATE : d\r\nmessage-id\t:\r\n folded\r\nFROM  : Alice\r\n\t<ALICE@example.test>"
                   "\r\n\r\nSender: x\r\n\r\nDate\r\n")},
        {SPAN_INIT("From: bob@example.org\r\n" GIVEN SENDER "X: \xff\x80\r\n\r\n\x00\r\n"),
         SPAN_INIT("From: bob@example.org\r\n" GIVEN SENDER "X: \xff\x80\r\n\r\n\x00\r\n")},
        {SPAN_INIT("Sender: \"A\" <Alice@Example.Test> (me)\r\n" GIVEN "From: x\r\n\r\n"),
         SPAN_INIT("Sender: \"A\" <Alice@Example.Test> (me)\r\n" GIVEN "From: x\r\n\r\n")},
        {SPAN_INIT(GIVEN "From: alice@example.test\n\nbody\n"),
         SPAN_INIT(GIVEN "From: alice@example.test\n\nbody\n")},
    };
    check(&alice, rows, COUNT(rows));
}

static void what_is_missing_is_added_at_the_end_of_the_header(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT("From: alice@example.test\r\n\r\nbody\r\n"),
         SPAN_INIT("From: alice@example.test\r\n" DATE ID "\r\nbody\r\n")},
        {SPAN_INIT("From: alice@example.test\r\nDate: d\r\n\r\n"),
         SPAN_INIT("From: alice@example.test\r\nDate: d\r\n" ID "\r\n")},
        {SPAN_INIT("Message-ID: x\r\nFrom: alice@example.test\r\n\r\n"),
         SPAN_INIT("Message-ID: x\r\nFrom: alice@example.test\r\n" DATE "\r\n")},
        {SPAN_INIT("Resent-Date: x\r\nX-Message-ID: y\r\nDates: z\r\nFrom: alice@example.test\r\n"
                   "\r\n"),
         SPAN_INIT(
             "Resent-Date: x\r\nX-Message-ID: y\r\nDates: z\r\nFrom: alice@example.test\r\n" DATE ID
             "\r\n")},
        /* no empty line, no end of the last line, nothing at all */
        {SPAN_INIT("From: alice@example.test\r\n"),
         SPAN_INIT("From: alice@example.test\r\n" DATE ID)},
        {SPAN_INIT("From: alice@example.test"), SPAN_INIT("From: alice@example.test\r\n" DATE ID)},
        {SPAN_INIT("Subject: x"), SPAN_INIT("Subject: x\r\n" DATE ID SENDER)},
        {SPAN_INIT("Subj"), SPAN_INIT(DATE ID SENDER "Subj")},
        {SPAN_INIT("Subject  "), SPAN_INIT(DATE ID SENDER "Subject  ")},
        {SPAN_INIT("\r"), SPAN_INIT(DATE ID SENDER "\r")},
        {SPAN_INIT(GIVEN SENDER "X: y"), SPAN_INIT(GIVEN SENDER "X: y")},
        {SPAN_INIT(GIVEN "From: alice@example.test"), SPAN_INIT(GIVEN "From: alice@example.test")},
        {SPAN_INIT(""), SPAN_INIT(DATE ID SENDER)},
        {SPAN_INIT("\r\nbody\r\n"), SPAN_INIT(DATE ID SENDER "\r\nbody\r\n")},
    };
    check(&alice, rows, COUNT(rows));
}

static void the_sender_is_said_where_from_is_another(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT("From: bob@example.org\r\n" GIVEN "\r\n"),
         SPAN_INIT("From: bob@example.org\r\n" GIVEN SENDER "\r\n")},
        {SPAN_INIT("From: alice@example.test, bob@example.org\r\n" GIVEN "\r\n"),
         SPAN_INIT("From: alice@example.test, bob@example.org\r\n" GIVEN SENDER "\r\n")},
        {SPAN_INIT("From: us:alice@example.test;\r\n" GIVEN "\r\n"),
         SPAN_INIT("From: us:alice@example.test;\r\n" GIVEN SENDER "\r\n")},
        {SPAN_INIT("From: alice@example.test\r\nFrom: alice@example.test\r\n" GIVEN "\r\n"),
         SPAN_INIT("From: alice@example.test\r\nFrom: alice@example.test\r\n" GIVEN SENDER "\r\n")},
        {SPAN_INIT("From: alice@example.test\r\n ,bob@example.org\r\n" GIVEN "\r\n"),
         SPAN_INIT("From: alice@example.test\r\n ,bob@example.org\r\n" GIVEN SENDER "\r\n")},
        {SPAN_INIT("From: alice@example.testing\r\n" GIVEN "\r\n"),
         SPAN_INIT("From: alice@example.testing\r\n" GIVEN SENDER "\r\n")},
        {SPAN_INIT(GIVEN "\r\n"), SPAN_INIT(GIVEN SENDER "\r\n")},
    };
    check(&alice, rows, COUNT(rows));
}

static void a_forged_sender_is_taken_out(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT("Sender: bob@example.org\r\nFrom: bob@example.org\r\n" GIVEN "\r\n"),
         SPAN_INIT("From: bob@example.org\r\n" GIVEN SENDER "\r\n")},
        {SPAN_INIT(GIVEN "From: alice@example.test\r\nsender : bob@example.org\r\n\r\n"),
         SPAN_INIT(GIVEN "From: alice@example.test\r\n\r\n")},
        {SPAN_INIT(GIVEN "Sender: bob\r\n\t@example.org\r\n (x)\r\nX: y\r\n z\r\n\r\n"),
         SPAN_INIT(GIVEN "X: y\r\n z\r\n" SENDER "\r\n")},
        {SPAN_INIT(GIVEN "Sender: alice@example.test, bob@example.org\r\n\r\n"),
         SPAN_INIT(GIVEN SENDER "\r\n")},
        {SPAN_INIT(GIVEN "SENDER: x\r\nSender: alice@example.test\r\nsender: y\r\n\r\n"),
         SPAN_INIT(GIVEN "Sender: alice@example.test\r\n\r\n")},
        {SPAN_INIT(GIVEN "Sender: x"), SPAN_INIT(GIVEN SENDER)},
        {SPAN_INIT(GIVEN "Sender:\r\n"), SPAN_INIT(GIVEN SENDER)},
        {SPAN_INIT(GIVEN "Senders: x\r\nX-Sender: y\r\n\r\n"),
         SPAN_INIT(GIVEN "Senders: x\r\nX-Sender: y\r\n" SENDER "\r\n")},
    };
    check(&alice, rows, COUNT(rows));
}

static void lines_that_are_no_fields_have_all_before_them(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT("hello\r\n\r\nbody\r\n"), SPAN_INIT(DATE ID SENDER "hello\r\n\r\nbody\r\n")},
        {SPAN_INIT("From bob Mon Nov  2\r\nFrom: alice@example.test\r\n\r\n"),
         SPAN_INIT(DATE ID SENDER "From bob Mon Nov  2\r\nFrom: alice@example.test\r\n\r\n")},
        {SPAN_INIT("From: alice@example.test\r\nodd\r\nSender: x\r\nFrom: bob@example.org\r\n\r\n"),
         SPAN_INIT("From: alice@example.test\r\n" DATE ID "odd\r\nFrom: bob@example.org\r\n" SENDER
                   "\r\n")},
        {SPAN_INIT(GIVEN ": x\r\n\r\n"), SPAN_INIT(GIVEN SENDER ": x\r\n\r\n")},
        {SPAN_INIT(GIVEN "S\xc3\xa9: x\r\n\r\n"), SPAN_INIT(GIVEN SENDER "S\xc3\xa9: x\r\n\r\n")},
        {SPAN_INIT(GIVEN "Sender\0: x\r\n\r\n"), SPAN_INIT(GIVEN SENDER "Sender\0: x\r\n\r\n")},
        {SPAN_INIT(GIVEN "Sender\r\n : x\r\n\r\n"),
         SPAN_INIT(GIVEN SENDER "Sender\r\n : x\r\n\r\n")},
        {SPAN_INIT(GIVEN "\rSender: x\r\n\r\n"), SPAN_INIT(GIVEN SENDER "\rSender: x\r\n\r\n")},
    };
    check(&alice, rows, COUNT(rows));
}

/* It would become a part of what is added. */
static void nothing_is_added_before_a_line_with_a_blank_in_front(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT(" ,bob@example.org\r\nX: y\r\n\r\n"),
         SPAN_INIT(" ,bob@example.org\r\nX: y\r\n" DATE ID SENDER "\r\n")},
        {SPAN_INIT("odd\r\n odd\r\n\r\n"), SPAN_INIT(DATE ID SENDER "odd\r\n odd\r\n\r\n")},
        {SPAN_INIT("X: y\r\n \r\n\t\r\n\r\n"),
         SPAN_INIT("X: y\r\n \r\n\t\r\n" DATE ID SENDER "\r\n")},
        {SPAN_INIT("Sender: x\r\n \r\n , y\r\n\r\n"), SPAN_INIT(DATE ID SENDER "\r\n")},
    };
    check(&alice, rows, COUNT(rows));
}

static void without_a_login_nobody_is_named(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT("From: bob@example.org\r\nSender: x\r\n\r\n"),
         SPAN_INIT("From: bob@example.org\r\nSender: x\r\n" DATE ID "\r\n")},
        {SPAN_INIT(""), SPAN_INIT(DATE ID)},
    };
    struct originator_facts nobody = alice;
    nobody.login = SPAN("");
    check(&nobody, rows, COUNT(rows));
}

static void a_login_is_quoted_where_it_must_be(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT(GIVEN "\r\n"), SPAN_INIT(GIVEN "Sender: \"a, b\"@example.test\r\n\r\n")},
        {SPAN_INIT(GIVEN "From: \"A, b\"@example.test\r\n\r\n"),
         SPAN_INIT(GIVEN "From: \"A, b\"@example.test\r\n\r\n")},
    };
    struct originator_facts facts = alice;
    facts.login = SPAN("a, b@example.test");
    check(&facts, rows, COUNT(rows));
}

/* "name", then so many fillers, then "\r\n" and an empty line. */
static void long_field(struct buf *message, struct span name, size_t fillers)
{
    buf_reset(message);
    buf_add(message, name);
    for (size_t i = 0; i < fillers; i++)
        buf_add(message, SPAN("0123456789"));
    buf_add(message, SPAN("\r\n (more)\r\n\r\nbody\r\n"));
}

static void fields_too_long_to_hold_are_others(void **state)
{
    (void)state;
    static const size_t fillers[] = {405, 406, 407, 408, 409, 410, 411, 5000};
    struct buf in = {0}, out = {0};
    for (size_t i = 0; i < COUNT(fillers); i++)
        for (size_t size = 1; size < 100000; size *= 7) {
            long_field(&in, SPAN("From:"), fillers[i]);
            complete(&out, &alice, buf_span(&in), size);
            struct span from = span_first(buf_span(&in), 5 + 10 * fillers[i] + 11);
            assert_true(span_has_prefix(buf_span(&out), from));
            assert_true(span_equal(span_skip(buf_span(&out), from.len),
                                   SPAN(DATE ID SENDER "\r\nbody\r\n")));

            long_field(&in, SPAN("Sender: alice@example.test ("), fillers[i]);
            complete(&out, &alice, buf_span(&in), size);
            assert_true(span_equal(buf_span(&out), SPAN(DATE ID SENDER "\r\nbody\r\n")));
        }
    buf_free(&in);
    buf_free(&out);
}

/* A line of any length without a colon: it is no field, and never held as a whole. */
static void a_name_without_an_end_is_no_field(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0};
    for (size_t i = 0; i < 100000; i++)
        buf_add(&in, SPAN("abcdefghij"));
    for (size_t size = 1; size < 2000000; size *= 11) {
        complete(&out, &alice, buf_span(&in), size);
        struct span added = SPAN(DATE ID SENDER);
        assert_true(span_has_prefix(buf_span(&out), added));
        struct span rest = span_skip(buf_span(&out), added.len);
        assert_true(span_has_prefix(rest, buf_span(&in)));
        assert_int_equal(rest.len, buf_len(&in));
    }
    buf_free(&in);
    buf_free(&out);
}

static void half_a_million_fields_pass(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0};
    for (size_t i = 0; i < 500000; i++)
        buf_add(&in, i % 2 == 0 ? SPAN("From: bob@example.org\r\n") : SPAN("Sender: x@y.test\r\n"));
    complete(&out, &alice, buf_span(&in), 4096);
    struct span added = SPAN(DATE ID SENDER);
    assert_int_equal(buf_len(&out), 250000 * 23 + added.len);
    assert_true(span_has_suffix(buf_span(&out), added));
    buf_free(&in);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_passes_untouched),
        cmocka_unit_test(what_is_missing_is_added_at_the_end_of_the_header),
        cmocka_unit_test(the_sender_is_said_where_from_is_another),
        cmocka_unit_test(a_forged_sender_is_taken_out),
        cmocka_unit_test(lines_that_are_no_fields_have_all_before_them),
        cmocka_unit_test(nothing_is_added_before_a_line_with_a_blank_in_front),
        cmocka_unit_test(without_a_login_nobody_is_named),
        cmocka_unit_test(a_login_is_quoted_where_it_must_be),
        cmocka_unit_test(fields_too_long_to_hold_are_others),
        cmocka_unit_test(a_name_without_an_end_is_no_field),
        cmocka_unit_test(half_a_million_fields_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
