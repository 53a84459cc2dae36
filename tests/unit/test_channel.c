/*
 * Two channels on one loop, or one channel and a bare socket where the packets themselves matter.
 */
#include "util/ipc/channel.h"

#include "util/base/arena.h"
#include "util/ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { TURNS = 2000, BUFFER = 1 << 16 };

/* What one end has heard. */
struct heard {
    size_t count;
    uint64_t sum;
    size_t fds;
    ino_t files[4]; /* of the first descriptors, in order */
    int closed;
    bool free_in_message, free_in_closed, leave_descriptors;
    bool freed;
};

struct fixture {
    struct loop *loop;
    int pair[2];
    struct heard left, right;
    struct channel *a, *b;
};

static ino_t file_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return status.st_ino;
}

static void take_descriptors(struct heard *heard, struct fd_list *fds)
{
    int fd;
    while (!heard->leave_descriptors && (fd = fd_list_take(fds)) >= 0) {
        if (heard->fds < 4)
            heard->files[heard->fds] = file_of(fd);
        heard->fds++;
        (void)close(fd);
    }
}

static void on_message(void *arg, struct channel *channel, const struct ipc_type *type,
                       const void *message, struct fd_list *fds)
{
    struct heard *heard = arg;
    heard->count++;
    if (type == &ipc_agent_credit)
        heard->sum += ((const struct agent_credit *)message)->jobs;
    take_descriptors(heard, fds);
    if (heard->free_in_message) {
        heard->freed = true;
        channel_free(channel);
    }
}

static void on_closed(void *arg, struct channel *channel)
{
    struct heard *heard = arg;
    heard->closed++;
    if (heard->free_in_closed) {
        heard->freed = true;
        channel_free(channel);
    }
}

static struct channel *channel_for(struct fixture *fixture, int fd, struct heard *heard)
{
    const struct channel_calls calls = {.message = on_message, .closed = on_closed, .arg = heard};
    return channel_new(fixture->loop, fd, &calls);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    fixture->loop = loop_new();
    assert_true(seqpacket_pair(fixture->pair, BUFFER));
    fixture->a = channel_for(fixture, fixture->pair[0], &fixture->left);
    *state = fixture;
    return 0;
}

/* The other end as a channel too. */
static void join(struct fixture *fixture)
{
    fixture->b = channel_for(fixture, fixture->pair[1], &fixture->right);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (!fixture->left.freed)
        channel_free(fixture->a);
    if (!fixture->right.freed)
        channel_free(fixture->b);
    loop_turn(fixture->loop, 0);
    loop_free(fixture->loop);
    mem_free(fixture);
    return 0;
}

static bool send_credit(struct channel *channel, uint16_t jobs)
{
    return channel_send(channel, &ipc_agent_credit, &(struct agent_credit){.jobs = jobs}, NULL);
}

static bool send_file(struct channel *channel, uint32_t index, int fd)
{
    return channel_send(channel, &ipc_mailbox_message, &(struct mailbox_message){.index = index},
                        &fd);
}

static void turn_until(struct fixture *fixture, const size_t *count, size_t wanted)
{
    for (int i = 0; i < TURNS && *count < wanted; i++)
        loop_turn(fixture->loop, 10);
    assert_int_equal(*count, wanted);
}

static void turn_until_closed(struct fixture *fixture, const struct heard *heard)
{
    for (int i = 0; i < TURNS && heard->closed == 0; i++)
        loop_turn(fixture->loop, 10);
    assert_int_equal(heard->closed, 1);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        struct stat status;
        count += fstat(fd, &status) == 0;
    }
    return count;
}

/* ---- sending ---- */

static void messages_arrive_in_order_and_both_ways(void **state)
{
    struct fixture *fixture = *state;
    join(fixture);
    assert_true(send_credit(fixture->a, 3));
    assert_true(send_credit(fixture->b, 4));
    turn_until(fixture, &fixture->right.count, 1);
    turn_until(fixture, &fixture->left.count, 1);
    assert_int_equal(fixture->right.sum, 3);
    assert_int_equal(fixture->left.sum, 4);
}

static void messages_of_a_turn_leave_in_one_packet(void **state)
{
    struct fixture *fixture = *state;
    static char packet[SEQPACKET_MAX];
    struct fd_list fds;
    size_t size;

    for (uint16_t i = 0; i < 100; i++)
        assert_true(send_credit(fixture->a, i));
    assert_int_equal(seqpacket_receive(fixture->pair[1], packet, &size, &fds), SEQPACKET_AGAIN);
    loop_turn(fixture->loop, 0);
    assert_int_equal(seqpacket_receive(fixture->pair[1], packet, &size, &fds), SEQPACKET_OK);
    assert_int_equal(size, 100 * 8);
    assert_int_equal(seqpacket_receive(fixture->pair[1], packet, &size, &fds), SEQPACKET_AGAIN);
    (void)close(fixture->pair[1]);
}

static void flush_does_not_wait_for_the_end_of_the_turn(void **state)
{
    struct fixture *fixture = *state;
    static char packet[SEQPACKET_MAX];
    struct fd_list fds;
    size_t size;

    assert_true(send_credit(fixture->a, 1));
    channel_flush(fixture->a);
    assert_int_equal(seqpacket_receive(fixture->pair[1], packet, &size, &fds), SEQPACKET_OK);
    (void)close(fixture->pair[1]);
}

static void large_messages_are_spread_over_packets(void **state)
{
    struct fixture *fixture = *state;
    static char names[MAILBOX_NAMES_MAX];
    struct mailbox_delete request = {.names = span_of(names, sizeof(names))};
    join(fixture);
    for (int i = 0; i < 5; i++)
        assert_true(channel_send(fixture->a, &ipc_mailbox_delete, &request, &(int){0}));
    turn_until(fixture, &fixture->right.count, 5);
    assert_int_equal(fixture->right.fds, 5);
}

static void waits_when_the_other_side_does_not_read(void **state)
{
    struct fixture *fixture = *state;
    size_t sent = 0;
    while (send_credit(fixture->a, 1)) {
        channel_flush(fixture->a);
        sent++;
    }
    assert_true(sent > CHANNEL_BACKLOG / 8);
    assert_int_equal(fixture->left.closed, 0);
    join(fixture);
    turn_until(fixture, &fixture->right.count, sent);
    assert_int_equal(fixture->right.sum, sent);
    assert_true(send_credit(fixture->a, 1));
    turn_until(fixture, &fixture->right.count, sent + 1);
}

static void a_value_over_its_bound_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    join(fixture);
    assert_false(
        channel_send(fixture->a, &ipc_operator_ask, &(struct operator_ask){.what = 99}, NULL));
    assert_true(send_credit(fixture->a, 5));
    turn_until(fixture, &fixture->right.count, 1);
    assert_int_equal(fixture->right.sum, 5);
}

/* ---- descriptors ---- */

static void descriptors_reach_their_messages_in_order(void **state)
{
    struct fixture *fixture = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    join(fixture);
    assert_true(send_file(fixture->a, 1, ends[0]));
    assert_true(send_credit(fixture->a, 1));
    assert_true(send_file(fixture->a, 2, 0));
    const int both[2] = {0, ends[1]};
    assert_true(
        channel_send(fixture->a, &ipc_mailbox_opened, &(struct mailbox_opened){.count = 1}, both));
    turn_until(fixture, &fixture->right.count, 4);
    assert_int_equal(fixture->right.fds, 4);
    assert_int_equal(fixture->right.files[0], file_of(ends[0]));
    assert_int_equal(fixture->right.files[1], file_of(0));
    assert_int_equal(fixture->right.files[2], file_of(0));
    assert_int_equal(fixture->right.files[3], file_of(ends[1]));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void the_sender_keeps_its_descriptor(void **state)
{
    struct fixture *fixture = *state;
    int ends[2];
    join(fixture);
    assert_int_equal(pipe(ends), 0);
    assert_true(send_file(fixture->a, 1, ends[0]));
    ino_t file = file_of(ends[0]);
    turn_until(fixture, &fixture->right.count, 1);
    assert_int_equal(file_of(ends[0]), file);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void sixty_four_descriptors_ride_in_one_packet(void **state)
{
    struct fixture *fixture = *state;
    static char packet[SEQPACKET_MAX];
    struct fd_list fds;
    size_t size;

    for (uint32_t i = 0; i < SEQPACKET_FDS + 1; i++)
        assert_true(send_file(fixture->a, i, 0));
    loop_turn(fixture->loop, 0);
    assert_int_equal(seqpacket_receive(fixture->pair[1], packet, &size, &fds), SEQPACKET_OK);
    assert_int_equal(fds.count, SEQPACKET_FDS);
    fd_list_close(&fds);
    assert_int_equal(seqpacket_receive(fixture->pair[1], packet, &size, &fds), SEQPACKET_OK);
    assert_int_equal(fds.count, 1);
    fd_list_close(&fds);
    (void)close(fixture->pair[1]);
}

static void descriptors_nobody_took_are_closed(void **state)
{
    struct fixture *fixture = *state;
    join(fixture);
    fixture->right.leave_descriptors = true;
    int before = open_descriptors();
    for (uint32_t i = 0; i < 20; i++)
        assert_true(send_file(fixture->a, i, 0));
    turn_until(fixture, &fixture->right.count, 20);
    assert_int_equal(open_descriptors(), before);
}

static void unsent_descriptors_are_closed_with_the_channel(void **state)
{
    struct fixture *fixture = *state;
    int before = open_descriptors();
    for (uint32_t i = 0; i < 20; i++)
        assert_true(send_file(fixture->a, i, 0));
    assert_int_equal(open_descriptors(), before + 20);
    channel_free(fixture->a);
    fixture->a = NULL;
    assert_int_equal(open_descriptors(), before - 1);
    (void)close(fixture->pair[1]);
}

static void descriptors_that_wait_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    uint32_t queued = 0;
    while (queued < 2000 && send_file(fixture->a, queued, 0))
        queued++;
    assert_true(queued >= SEQPACKET_FDS && queued < 1000);
    join(fixture);
    turn_until(fixture, &fixture->right.count, queued);
    assert_int_equal(fixture->right.fds, queued);
}

/* ---- the end ---- */

static void hears_the_last_words_before_the_end(void **state)
{
    struct fixture *fixture = *state;
    join(fixture);
    assert_true(send_credit(fixture->b, 9));
    channel_flush(fixture->b);
    channel_free(fixture->b);
    fixture->b = NULL;
    turn_until_closed(fixture, &fixture->left);
    assert_int_equal(fixture->left.sum, 9);
}

static void nothing_is_sent_after_the_end(void **state)
{
    struct fixture *fixture = *state;
    (void)close(fixture->pair[1]);
    assert_true(send_credit(fixture->a, 1));
    turn_until_closed(fixture, &fixture->left);
    assert_false(send_credit(fixture->a, 1));
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->left.closed, 1);
}

static void may_be_freed_in_its_own_callbacks(void **state)
{
    struct fixture *fixture = *state;
    fixture->left.free_in_message = true;
    fixture->right.free_in_closed = true;
    join(fixture);
    assert_true(send_credit(fixture->b, 1));
    assert_true(send_credit(fixture->b, 2));
    turn_until_closed(fixture, &fixture->right);
    assert_int_equal(fixture->left.count, 1);
    assert_int_equal(fixture->left.closed, 0);
}

static void freeing_nothing_is_fine(void **state)
{
    struct fixture *fixture = *state;
    channel_free(NULL);
    join(fixture);
    assert_true(send_credit(fixture->a, 1));
    turn_until(fixture, &fixture->right.count, 1);
}

static void a_malformed_packet_closes_the_channel(void **state)
{
    static const struct {
        const char *what;
        struct span packet;
        size_t fds;
    } rows[] = {
        {"noise", SPAN_INIT("hello, world"), 0},
        {"a good frame, then a bad one", SPAN_INIT("\x30\0\x02\0\0\0\x02\x01\xff"), 0},
        {"a descriptor missing", SPAN_INIT("\x46\0\x08\0\0\0\0\0\0\0\0\0\0\0"), 0},
        {"a descriptor too many", SPAN_INIT("\x30\0\x02\0\0\0\x02\x01"), 1},
        {"a value over its bound", SPAN_INIT("\x50\0\x01\0\0\0\xc8"), 0},
    };
    struct fixture *fixture = *state;
    (void)close(fixture->pair[1]);
    turn_until_closed(fixture, &fixture->left);
    int before = open_descriptors();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct heard heard = {0};
        int pair[2], zero = 0;
        assert_true(seqpacket_pair(pair, BUFFER));
        struct channel *channel = channel_for(fixture, pair[0], &heard);
        assert_int_equal(
            seqpacket_send(pair[1], rows[i].packet.data, rows[i].packet.len, &zero, rows[i].fds),
            0);
        turn_until_closed(fixture, &heard);
        if (heard.count != 0)
            fail_msg("delivered: %s", rows[i].what);
        channel_free(channel);
        (void)close(pair[1]);
        assert_int_equal(open_descriptors(), before);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(messages_arrive_in_order_and_both_ways),
        TEST(messages_of_a_turn_leave_in_one_packet),
        TEST(flush_does_not_wait_for_the_end_of_the_turn),
        TEST(large_messages_are_spread_over_packets),
        TEST(waits_when_the_other_side_does_not_read),
        TEST(a_value_over_its_bound_is_not_sent),
        TEST(descriptors_reach_their_messages_in_order),
        TEST(the_sender_keeps_its_descriptor),
        TEST(sixty_four_descriptors_ride_in_one_packet),
        TEST(descriptors_nobody_took_are_closed),
        TEST(unsent_descriptors_are_closed_with_the_channel),
        TEST(descriptors_that_wait_are_bounded),
        TEST(hears_the_last_words_before_the_end),
        TEST(nothing_is_sent_after_the_end),
        TEST(may_be_freed_in_its_own_callbacks),
        TEST(freeing_nothing_is_fine),
        TEST(a_malformed_packet_closes_the_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
