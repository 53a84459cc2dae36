/*
 * When a batch waits for more letters, and for how long. The clock is the real one: what is tested
 * is who waits, and that every wait ends.
 */
#include "util/spool/gather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    struct loop *loop;
    struct gather gather;
    unsigned over;
};

static void count(void *arg)
{
    ((struct fixture *)arg)->over++;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.loop = loop_new()};
    gather_init(&fixture.gather, fixture.loop, count, &fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    gather_stop(&fixture->gather);
    loop_free(fixture->loop);
    return 0;
}

static void the_first_batch_waits_for_nobody(void **state)
{
    struct fixture *fixture = *state;
    assert_false(gather_waits(&fixture->gather, 1));
}

static void small_batches_are_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    gather_end(&fixture->gather, GATHER_LEAST - 1);
    gather_end(&fixture->gather, GATHER_LEAST - 1);
    assert_false(gather_waits(&fixture->gather, 1));
}

static void fewer_than_usual_wait_and_as_many_do_not(void **state)
{
    struct fixture *fixture = *state;
    gather_end(&fixture->gather, 7);
    assert_true(gather_waits(&fixture->gather, 1));
    assert_true(gather_waits(&fixture->gather, 6));
    assert_false(gather_waits(&fixture->gather, 7));
    assert_false(gather_waits(&fixture->gather, 8));
}

static void the_larger_of_the_last_two_is_what_is_usual(void **state)
{
    static const size_t batches[][2] = {{9, 1}, {1, 9}, {9, 5}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
        gather_end(&fixture->gather, batches[i][0]);
        gather_end(&fixture->gather, batches[i][1]);
        assert_true(gather_waits(&fixture->gather, 8));
        assert_false(gather_waits(&fixture->gather, 9));
    }
}

static void a_client_that_was_left_alone_is_waited_for_no_more(void **state)
{
    struct fixture *fixture = *state;
    gather_end(&fixture->gather, 20);
    assert_true(gather_waits(&fixture->gather, 1));
    gather_end(&fixture->gather, 1);
    assert_true(gather_waits(&fixture->gather, 1));
    gather_end(&fixture->gather, 1);
    assert_false(gather_waits(&fixture->gather, 1));
}

static void every_wait_ends_once_and_holds_until_the_batch(void **state)
{
    struct fixture *fixture = *state;
    gather_end(&fixture->gather, 10);
    assert_true(gather_waits(&fixture->gather, 1));
    assert_true(gather_waits(&fixture->gather, 2)); /* does not begin anew */
    while (fixture->over == 0)
        loop_turn(fixture->loop, -1);
    assert_int_equal(fixture->over, 1);
    assert_false(gather_waits(&fixture->gather, 2));
    assert_false(gather_waits(&fixture->gather, 3));
    gather_end(&fixture->gather, 3);
    assert_true(gather_waits(&fixture->gather, 1));
}

static void a_batch_that_goes_out_before_ends_the_wait(void **state)
{
    struct fixture *fixture = *state;
    gather_end(&fixture->gather, 10);
    assert_true(gather_waits(&fixture->gather, 1));
    gather_end(&fixture->gather, 10);
    assert_false(timer_is_set(&fixture->gather.timer));
    assert_int_equal(fixture->over, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_batch_waits_for_nobody),
        TEST(small_batches_are_not_waited_for),
        TEST(fewer_than_usual_wait_and_as_many_do_not),
        TEST(the_larger_of_the_last_two_is_what_is_usual),
        TEST(a_client_that_was_left_alone_is_waited_for_no_more),
        TEST(every_wait_ends_once_and_holds_until_the_batch),
        TEST(a_batch_that_goes_out_before_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
