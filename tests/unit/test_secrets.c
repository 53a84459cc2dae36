/*
 * A secret must not lie in memory when it is not needed any more: all that this process may write
 * to is searched, freed memory included. The secret itself is kept in a disguise and shown only
 * while it is handed over, so that the search does not find itself.
 */
#include "util/ipc/channel.h"

#include "util/base/log.h"
#include "util/ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECRET = 24, DISGUISE = 0x15, REGION_MOST = 1 << 28 };

static const char disguised[SECRET + 1] = "mv7wdcl2|fgya3koy8shdzrq";

/* Shown on the caller's stack, who wipes it. */
static struct span show(char out[SECRET])
{
    for (size_t i = 0; i < SECRET; i++)
        out[i] = (char)(disguised[i] ^ DISGUISE);
    return span_of(out, SECRET);
}

/* Freed memory is poisoned for the sanitizer, and that is what is looked at here. */
__attribute__((no_sanitize("address"))) static bool begins_with_secret(const volatile char *at)
{
    for (size_t i = 0; i < SECRET; i++)
        if ((at[i] ^ DISGUISE) != disguised[i])
            return false;
    return true;
}

/* How often it is there. Regions that no allocator makes so large are the sanitizer's shadow. */
static unsigned occurrences(void)
{
    char line[512];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        uintptr_t from, to;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[1] != 'w' ||
            to - from > REGION_MOST)
            continue;
        for (const char *at = (const char *)from; at + SECRET <= (const char *)to; at++)
            if (begins_with_secret(at))
                count++;
    }
    (void)fclose(maps);
    return count;
}

static void the_search_finds_what_is_there(void **state)
{
    (void)state;
    char shown[SECRET];
    struct buf buf = {0};
    assert_int_equal(occurrences(), 0);
    assert_true(buf_append(&buf, show(shown)));
    assert_int_equal(occurrences(), 2);
    explicit_bzero(shown, sizeof(shown));
    assert_int_equal(occurrences(), 1);
    explicit_bzero(buf.data, SECRET);
    assert_int_equal(occurrences(), 0);
    buf_free(&buf);
}

/* As callers do it: the copy of theirs is wiped. */
static void append_secret(struct buf *buf)
{
    char shown[SECRET];
    assert_true(buf_append(buf, show(shown)));
    explicit_bzero(shown, sizeof(shown));
}

static void append_filling(struct buf *buf, size_t size)
{
    static const char filling[4096];
    assert_true(buf_append(buf, span_of(filling, size)));
}

static void what_a_secret_buffer_consumed_is_gone(void **state)
{
    (void)state;
    struct buf buf = {.secret = true};
    append_secret(&buf);
    append_filling(&buf, 10);
    buf_consume(&buf, SECRET);
    assert_int_equal(occurrences(), 0);
    assert_int_equal(buf_len(&buf), 10);
    append_secret(&buf);
    buf_consume(&buf, 10 + SECRET);
    assert_int_equal(occurrences(), 0);
    append_secret(&buf);
    buf_reset(&buf);
    assert_int_equal(occurrences(), 0);
    append_secret(&buf);
    buf_free(&buf);
    assert_int_equal(occurrences(), 0);
}

static void a_secret_buffer_that_grows_or_moves_leaves_no_copy(void **state)
{
    (void)state;
    struct buf buf = {.secret = true};
    append_filling(&buf, 100);
    append_secret(&buf);
    for (int i = 0; i < 8; i++) {
        append_filling(&buf, 4000);
        assert_int_equal(occurrences(), 1);
    }
    /* Consumed until moving pays. */
    struct buf small = {.secret = true, .limit = 255};
    append_filling(&small, 200);
    append_secret(&small);
    buf_consume(&small, 200);
    append_filling(&small, 200);
    assert_int_equal(occurrences(), 2);
    buf_free(&small);
    buf_free(&buf);
    assert_int_equal(occurrences(), 0);
}

/* ---- a channel ---- */

static void ignore_message(void *arg, struct channel *channel, const struct ipc_type *type,
                           const void *message, struct fd_list *fds)
{
    (void)arg, (void)channel, (void)type, (void)message, (void)fds;
}

static void ignore_end(void *arg, struct channel *channel)
{
    (void)arg, (void)channel;
}

struct fixture {
    struct loop *loop;
    struct channel *channel;
    int far;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    const struct channel_calls calls = {.message = ignore_message, .closed = ignore_end};
    int pair[2];
    fixture.loop = loop_new();
    assert_true(seqpacket_pair(pair, 1 << 16));
    fixture.channel = channel_new(fixture.loop, pair[0], &calls);
    fixture.far = pair[1];
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    channel_free(fixture->channel);
    loop_free(fixture->loop);
    return close(fixture->far);
}

static void send_password(struct fixture *fixture)
{
    char shown[SECRET];
    const struct verify question = {
        .user = SPAN("alice"), .password = show(shown), .client = SPAN("127.0.0.1")};
    assert_true(channel_send(fixture->channel, &ipc_verify, &question, NULL));
    explicit_bzero(shown, sizeof(shown));
}

static void send_others(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(
            channel_send(fixture->channel, &ipc_agent_credit, &(struct agent_credit){0}, NULL));
}

static void a_password_that_was_sent_is_gone(void **state)
{
    struct fixture *fixture = *state;
    send_password(fixture);
    assert_int_equal(occurrences(), 1);
    channel_flush(fixture->channel);
    assert_int_equal(occurrences(), 0);
}

static void passwords_among_other_messages_are_gone_when_they_were_sent(void **state)
{
    struct fixture *fixture = *state;
    send_others(fixture, 3);
    for (int i = 0; i < 20; i++) {
        send_password(fixture);
        send_others(fixture, 20);
    }
    assert_int_equal(occurrences(), 20);
    channel_flush(fixture->channel);
    assert_int_equal(occurrences(), 0);
}

static void a_password_that_could_not_be_sent_is_gone_with_the_channel(void **state)
{
    send_password(*state);
    assert_int_equal(tear_down(state), 0);
    assert_int_equal(occurrences(), 0);
    assert_int_equal(set_up(state), 0);
}

static void a_message_is_told_to_the_debugger_without_its_secret(void **state)
{
    char line[4096];
    int ends[2], saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    log_setup("test", LOG_LOGFMT, LOG_DEBUG);
    send_password(*state);
    channel_flush(((struct fixture *)*state)->channel);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    log_setup("test", LOG_LOGFMT, LOG_INFO);
    (void)close(saved);
    (void)close(ends[1]);

    ssize_t got = read(ends[0], line, sizeof(line) - 1);
    assert_true(got > 0);
    line[got] = '\0';
    (void)close(ends[0]);
    assert_non_null(strstr(line, " event=message-sent message=\"verify "));
    assert_non_null(strstr(line, " user=alice password=- "));
    assert_int_equal(occurrences(), 0);
}

#define with_channel(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_search_finds_what_is_there),
        cmocka_unit_test(what_a_secret_buffer_consumed_is_gone),
        cmocka_unit_test(a_secret_buffer_that_grows_or_moves_leaves_no_copy),
        with_channel(a_password_that_was_sent_is_gone),
        with_channel(passwords_among_other_messages_are_gone_when_they_were_sent),
        with_channel(a_message_is_told_to_the_debugger_without_its_secret),
        with_channel(a_password_that_could_not_be_sent_is_gone_with_the_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
