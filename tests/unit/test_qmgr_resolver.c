/*
 * Questions to lookup: every one is answered once, whatever lookup does.
 */
#include "qmgr/resolver.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "util/base/arena.h"
#include "util/sys/loop.h"
#include "util/sys/seqpacket.h"

enum { QUESTIONS = 8 };

struct fixture {
    struct loop *loop;
    struct resolver *resolver;
    struct channel *lookup;
    struct resolve asked[QUESTIONS];
    char locals[QUESTIONS][64];
    size_t asked_count;
    unsigned answered;
    enum resolve_status status;
    size_t targets;
    char transport[32];
};

static void on_question(void *arg, struct channel *channel, const struct ipc_type *type,
                        const void *message, struct fd_list *fds)
{
    struct fixture *fixture = arg;
    (void)channel;
    (void)fds;
    assert_ptr_equal(type, &ipc_resolve);
    const struct resolve *words = message;
    assert_true(fixture->asked_count < QUESTIONS);
    assert_true(span_to_cstr(words->local, fixture->locals[fixture->asked_count], 64));
    fixture->asked[fixture->asked_count++] = *words;
}

static void on_gone(void *arg, struct channel *channel)
{
    (void)arg;
    (void)channel;
}

static void on_answer(void *arg, const struct resolver_answer *answer)
{
    struct fixture *fixture = arg;
    fixture->answered++;
    fixture->status = answer->status;
    fixture->targets = answer->count;
    const struct resolver_target *target = resolver_pick(answer, SPAN("bob@example.test"));
    assert_true(span_to_cstr(target != NULL ? target->transport : SPAN("none"), fixture->transport,
                             sizeof fixture->transport));
}

static void connect_lookup(struct fixture *fixture)
{
    const struct channel_calls calls = {on_question, on_gone, fixture};
    int pair[2];
    assert_true(seqpacket_pair(pair, 65536));
    fixture->lookup = channel_new(fixture->loop, pair[0], &calls);
    resolver_connect(fixture->resolver, pair[1]);
}

static void wait_asked(struct fixture *fixture, size_t count)
{
    for (int i = 0; i < 100 && fixture->asked_count < count; i++)
        loop_turn(fixture->loop, 50);
    assert_int_equal(fixture->asked_count, count);
}

static void wait_answered(struct fixture *fixture, unsigned count)
{
    for (int i = 0; i < 100 && fixture->answered < count; i++)
        loop_turn(fixture->loop, 50);
    assert_int_equal(fixture->answered, count);
}

static void say(struct fixture *fixture, uint32_t query, enum resolve_status status, bool more,
                const char *address, const char *transport)
{
    struct resolved words = {
        query, (uint8_t)status, more, span_cstr(address), span_cstr(transport), SPAN("next")};
    assert_true(channel_send(fixture->lookup, &ipc_resolved, &words, NULL));
}

static void ask_bob(struct fixture *fixture)
{
    resolver_ask(fixture->resolver, SPAN("bob@example.test"), on_answer, fixture);
}

static int setup(void **state)
{
    struct fixture *fixture = mem_new(sizeof *fixture);
    fixture->loop = loop_new();
    fixture->resolver = resolver_new(fixture->loop);
    connect_lookup(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    resolver_free(fixture->resolver);
    channel_free(fixture->lookup);
    loop_turn(fixture->loop, 0);
    loop_free(fixture->loop);
    mem_free(fixture);
    return 0;
}

static void question_names_address_and_trust(void **state)
{
    struct fixture *fixture = *state;
    ask_bob(fixture);
    wait_asked(fixture, 1);
    assert_string_equal(fixture->locals[0], "bob");
    assert_int_equal(fixture->asked[0].flags, RESOLVE_TRUSTED);
    assert_int_equal(fixture->answered, 0);
}

static void answer_of_several_parts_is_given_once(void **state)
{
    struct fixture *fixture = *state;
    ask_bob(fixture);
    wait_asked(fixture, 1);
    uint32_t query = fixture->asked[0].query;
    say(fixture, query, RESOLVE_OK, true, "carol@example.test", "smtp");
    say(fixture, query, RESOLVE_OK, false, "Bob@example.test", "local");
    wait_answered(fixture, 1);
    assert_int_equal(fixture->targets, 2);
    assert_string_equal(fixture->transport, "local");
}

static void several_targets_of_which_none_is_its_own_leave_the_route_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    ask_bob(fixture);
    wait_asked(fixture, 1);
    uint32_t query = fixture->asked[0].query;
    say(fixture, query, RESOLVE_OK, true, "carol@example.test", "smtp");
    say(fixture, query, RESOLVE_OK, false, "dave@example.test", "local");
    wait_answered(fixture, 1);
    assert_string_equal(fixture->transport, "none");
}

static void only_target_counts_whatever_its_name(void **state)
{
    struct fixture *fixture = *state;
    ask_bob(fixture);
    wait_asked(fixture, 1);
    say(fixture, fixture->asked[0].query, RESOLVE_OK, false, "carol@example.test", "smtp");
    wait_answered(fixture, 1);
    assert_string_equal(fixture->transport, "smtp");
}

static void refusal_is_passed_on(void **state)
{
    struct fixture *fixture = *state;
    ask_bob(fixture);
    wait_asked(fixture, 1);
    say(fixture, fixture->asked[0].query, RESOLVE_UNKNOWN_USER, false, "", "");
    wait_answered(fixture, 1);
    assert_int_equal(fixture->status, RESOLVE_UNKNOWN_USER);
}

static void answers_may_come_in_any_order_and_strange_ones_are_ignored(void **state)
{
    struct fixture *fixture = *state;
    ask_bob(fixture);
    ask_bob(fixture);
    wait_asked(fixture, 2);
    say(fixture, 4711, RESOLVE_OK, false, "x@y.test", "smtp");
    say(fixture, fixture->asked[1].query, RESOLVE_DENIED, false, "", "");
    wait_answered(fixture, 1);
    assert_int_equal(fixture->status, RESOLVE_DENIED);
    say(fixture, fixture->asked[0].query, RESOLVE_LOOP, false, "", "");
    wait_answered(fixture, 2);
    assert_int_equal(fixture->status, RESOLVE_LOOP);
}

static void new_lookup_is_asked_what_the_old_one_left_open(void **state)
{
    struct fixture *fixture = *state;
    ask_bob(fixture);
    wait_asked(fixture, 1);
    say(fixture, fixture->asked[0].query, RESOLVE_OK, true, "bob@example.test", "smtp");
    loop_turn(fixture->loop, 10);
    channel_free(fixture->lookup);
    loop_turn(fixture->loop, 10);
    connect_lookup(fixture);
    wait_asked(fixture, 2);
    say(fixture, fixture->asked[1].query, RESOLVE_OK, false, "bob@example.test", "local");
    wait_answered(fixture, 1);
    assert_int_equal(fixture->targets, 1);
    assert_string_equal(fixture->transport, "local");
}

static void no_address_at_all_is_an_unknown_user_and_not_asked(void **state)
{
    struct fixture *fixture = *state;
    resolver_ask(fixture->resolver, SPAN("no address"), on_answer, fixture);
    assert_int_equal(fixture->answered, 0);
    wait_answered(fixture, 1);
    assert_int_equal(fixture->status, RESOLVE_UNKNOWN_USER);
    assert_int_equal(fixture->asked_count, 0);
}

int main(void)
{
#define RESOLVER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        RESOLVER_TEST(question_names_address_and_trust),
        RESOLVER_TEST(answer_of_several_parts_is_given_once),
        RESOLVER_TEST(several_targets_of_which_none_is_its_own_leave_the_route_as_it_was),
        RESOLVER_TEST(only_target_counts_whatever_its_name),
        RESOLVER_TEST(refusal_is_passed_on),
        RESOLVER_TEST(answers_may_come_in_any_order_and_strange_ones_are_ignored),
        RESOLVER_TEST(new_lookup_is_asked_what_the_old_one_left_open),
        RESOLVER_TEST(no_address_at_all_is_an_unknown_user_and_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
