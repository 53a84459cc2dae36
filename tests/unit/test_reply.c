#include "util/mail/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_written(struct reply reply, struct span expected)
{
    struct buf out = {0};
    assert_true(reply_write(&out, reply));
    assert_int_equal(buf_len(&out), expected.len);
    assert_memory_equal(buf_span(&out).data, expected.data, expected.len);
    buf_free(&out);
}

static void one_line_has_code_and_text(void **state)
{
    (void)state;
    assert_written((struct reply){.code = 354, .enhanced = NULL, .text = "Go on"},
                   SPAN("354 Go on\r\n"));
}

static void enhanced_status_stands_before_the_text(void **state)
{
    (void)state;
    assert_written((struct reply){.code = 550, .enhanced = "5.1.1", .text = "unknown user"},
                   SPAN("550 5.1.1 unknown user\r\n"));
}

static void each_line_repeats_code_and_status(void **state)
{
    (void)state;
    assert_written((struct reply){.code = 250, .enhanced = NULL, .text = "mx\nPIPELINING\nHELP"},
                   SPAN("250-mx\r\n250-PIPELINING\r\n250 HELP\r\n"));
    assert_written((struct reply){.code = 214, .enhanced = "2.0.0", .text = "a\nb"},
                   SPAN("214-2.0.0 a\r\n214 2.0.0 b\r\n"));
}

static void empty_text_leaves_the_blank(void **state)
{
    (void)state;
    assert_written((struct reply){.code = 250, .enhanced = NULL, .text = ""}, SPAN("250 \r\n"));
    assert_written((struct reply){.code = 250, .enhanced = NULL, .text = NULL}, SPAN("250 \r\n"));
}

static void limit_refuses_the_whole_reply(void **state)
{
    (void)state;
    const struct reply reply = {.code = 250, .enhanced = "2.0.0", .text = "Ok\nOk"};
    struct buf out = {.limit = 27};
    assert_false(reply_write(&out, reply));
    assert_int_equal(buf_len(&out), 0);
    out.limit = 28;
    assert_true(reply_write(&out, reply));
    assert_int_equal(buf_len(&out), 28);
    buf_free(&out);
}

static void pending_is_known_by_its_code(void **state)
{
    (void)state;
    assert_true(reply_is_pending(REPLY_PENDING));
    assert_false(reply_is_pending((struct reply){.code = 250, .enhanced = NULL, .text = NULL}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_has_code_and_text),
        cmocka_unit_test(enhanced_status_stands_before_the_text),
        cmocka_unit_test(each_line_repeats_code_and_status),
        cmocka_unit_test(empty_text_leaves_the_blank),
        cmocka_unit_test(limit_refuses_the_whole_reply),
        cmocka_unit_test(pending_is_known_by_its_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
