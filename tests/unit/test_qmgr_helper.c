/*
 * The helper thread with tasks that touch no disk: order, parts, waiting, and an end that drops
 * nothing.
 */
#include "qmgr/helper.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { TASKS = 500, TURN_MS = 5000 };

struct sum_task {
    struct helper_task task;
    unsigned number, doubled;
    bool with_part;
};

struct fixture {
    struct loop *loop;
    struct helper *helper;
    unsigned done;
    unsigned order[2 * TASKS];
};

static void note(void *arg, struct helper_task *task)
{
    struct fixture *fixture = arg;
    const struct sum_task *sum = (const struct sum_task *)task;
    assert_int_equal(sum->doubled, 2 * sum->number);
    fixture->order[fixture->done++] = sum->number;
    mem_free(task);
}

static void work(struct helper *helper, struct helper_task *task)
{
    struct sum_task *sum = (struct sum_task *)task;
    sum->doubled = 2 * sum->number;
    if (!sum->with_part)
        return;
    struct sum_task *part = mem_new(sizeof *part);
    part->task.done = note;
    part->task.arg = task->arg;
    part->number = sum->number + 1000;
    part->doubled = 2 * part->number;
    helper_return(helper, &part->task);
}

static struct sum_task *task_new(struct fixture *fixture, unsigned number, bool with_part)
{
    struct sum_task *sum = mem_new(sizeof *sum);
    sum->task = (struct helper_task){.work = work, .done = note, .arg = fixture};
    sum->number = number;
    sum->with_part = with_part;
    return sum;
}

static int setup(void **state)
{
    struct fixture *fixture = mem_new(sizeof *fixture);
    fixture->loop = loop_new();
    fixture->helper = helper_new(fixture->loop);
    helper_start(fixture->helper);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->helper != NULL)
        helper_free(fixture->helper);
    loop_free(fixture->loop);
    mem_free(fixture);
    return 0;
}

static void tasks_come_back_in_the_order_they_were_posted(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < TASKS; i++)
        helper_post(fixture->helper, &task_new(fixture, i, false)->task);
    while (fixture->done < TASKS)
        loop_turn(fixture->loop, TURN_MS);
    for (unsigned i = 0; i < TASKS; i++)
        assert_int_equal(fixture->order[i], i);
}

static void parts_come_before_their_task(void **state)
{
    struct fixture *fixture = *state;
    helper_post(fixture->helper, &task_new(fixture, 1, true)->task);
    helper_post(fixture->helper, &task_new(fixture, 2, true)->task);
    while (fixture->done < 4)
        loop_turn(fixture->loop, TURN_MS);
    assert_int_equal(fixture->order[0], 1001);
    assert_int_equal(fixture->order[1], 1);
    assert_int_equal(fixture->order[2], 1002);
    assert_int_equal(fixture->order[3], 2);
}

static void call_waits_for_its_answer_and_gives_nothing_back(void **state)
{
    struct fixture *fixture = *state;
    struct sum_task sum = {.task = {.work = work}, .number = 21};
    helper_call(fixture->helper, &sum.task);
    assert_int_equal(sum.doubled, 42);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->done, 0);
}

static void end_waits_for_every_task_that_was_posted(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < TASKS; i++)
        helper_post(fixture->helper, &task_new(fixture, i, true)->task);
    helper_free(fixture->helper);
    fixture->helper = NULL;
    assert_int_equal(fixture->done, 2 * TASKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tasks_come_back_in_the_order_they_were_posted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(parts_come_before_their_task, setup, teardown),
        cmocka_unit_test_setup_teardown(call_waits_for_its_answer_and_gives_nothing_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(end_waits_for_every_task_that_was_posted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
