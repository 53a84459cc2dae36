/*
 * Which paths may name a mailbox.
 */
#include "util/mail/mailbox_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void takes_paths_that_stay_beneath_the_root(void **state)
{
    (void)state;
    static const struct span good[] = {
        SPAN_INIT("a"),          SPAN_INIT("example.test/alice"),
        SPAN_INIT("a/b."),       SPAN_INIT("a/b..c"),
        SPAN_INIT("a b/c"),      SPAN_INIT("1/2/3/4/5/6/7/8"),
        SPAN_INIT("a/\xc3\xa9"),
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(mailbox_path_is_sound(good[i]));
}

static void refuses_paths_that_lead_elsewhere(void **state)
{
    (void)state;
    static const struct span bad[] = {
        SPAN_INIT(""),       SPAN_INIT("/"),
        SPAN_INIT("/etc"),   SPAN_INIT(".."),
        SPAN_INIT("."),      SPAN_INIT("a/.."),
        SPAN_INIT("a/../b"), SPAN_INIT("a//b"),
        SPAN_INIT("a/"),     SPAN_INIT("./a"),
        SPAN_INIT("a/.b"),   SPAN_INIT("a/\n"),
        SPAN_INIT("a/b\0c"), SPAN_INIT("a/\x7f"),
        SPAN_INIT("\x1f"),   SPAN_INIT("1/2/3/4/5/6/7/8/9"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(mailbox_path_is_sound(bad[i]));
}

static void bounds_each_part_and_the_whole(void **state)
{
    (void)state;
    char path[MAILBOX_PATH_MOST + 2];
    memset(path, 'a', sizeof(path));
    assert_true(mailbox_path_is_sound(span_of(path, MAILBOX_PATH_PART_MOST)));
    assert_false(mailbox_path_is_sound(span_of(path, MAILBOX_PATH_PART_MOST + 1)));
    path[200] = path[400] = '/';
    assert_true(mailbox_path_is_sound(span_of(path, MAILBOX_PATH_MOST)));
    assert_false(mailbox_path_is_sound(span_of(path, MAILBOX_PATH_MOST + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_paths_that_stay_beneath_the_root),
        cmocka_unit_test(refuses_paths_that_lead_elsewhere),
        cmocka_unit_test(bounds_each_part_and_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
