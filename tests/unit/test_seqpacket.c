/* Packets and descriptors through a real pair; what a peer could do wrong is sent past
 * seqpacket_send. */
#include "util/sys/seqpacket.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BUFFER = 1 << 18 };

struct fixture {
    int pair[2];
    char data[SEQPACKET_MAX];
    size_t size;
    struct fd_list fds;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    assert_true(seqpacket_pair(fixture.pair, BUFFER));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fd_list_close(&fixture->fds);
    (void)close(fixture->pair[0]);
    (void)close(fixture->pair[1]);
    return 0;
}

static enum seqpacket_result receive(struct fixture *fixture)
{
    return seqpacket_receive(fixture->pair[1], fixture->data, &fixture->size, &fixture->fds);
}

/* The lowest free descriptor: tells whether something was left open. */
static int next_descriptor(void)
{
    int fd = dup(STDIN_FILENO);
    assert_true(fd >= 0);
    (void)close(fd);
    return fd;
}

static void test_a_pair_does_not_block_and_is_not_inherited(void **state)
{
    const struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        assert_true(fcntl(fixture->pair[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fixture->pair[i], F_GETFD) & FD_CLOEXEC);
    }
}

static void test_packets_keep_their_boundaries(void **state)
{
    static const char *const packets[] = {"a", "bcd", "ef"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(seqpacket_send(fixture->pair[0], packets[i], strlen(packets[i]), NULL, 0),
                         0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(receive(fixture), SEQPACKET_OK);
        assert_int_equal(fixture->size, strlen(packets[i]));
        assert_memory_equal(fixture->data, packets[i], fixture->size);
        assert_int_equal(fixture->fds.count, 0);
    }
}

static void test_the_largest_packet_arrives_whole(void **state)
{
    static char data[SEQPACKET_MAX];
    struct fixture *fixture = *state;
    memset(data, 'x', sizeof(data));
    data[SEQPACKET_MAX - 1] = 'y';
    assert_int_equal(seqpacket_send(fixture->pair[0], data, sizeof(data), NULL, 0), 0);
    assert_int_equal(receive(fixture), SEQPACKET_OK);
    assert_int_equal(fixture->size, sizeof(data));
    assert_memory_equal(fixture->data, data, sizeof(data));
}

static void test_a_packet_that_is_too_long_is_malformed(void **state)
{
    static char data[SEQPACKET_MAX + 1];
    struct fixture *fixture = *state;
    assert_int_equal(send(fixture->pair[0], data, sizeof(data), 0), sizeof(data));
    assert_int_equal(receive(fixture), SEQPACKET_MALFORMED);
    assert_int_equal(fixture->size, 0);
}

static void test_nothing_there_says_again(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(receive(fixture), SEQPACKET_AGAIN);
}

static void test_the_end_of_the_peer_says_closed(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(shutdown(fixture->pair[0], SHUT_WR), 0);
    assert_int_equal(receive(fixture), SEQPACKET_CLOSED);
}

static void test_what_was_sent_before_the_end_still_arrives(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(seqpacket_send(fixture->pair[0], "x", 1, NULL, 0), 0);
    assert_int_equal(shutdown(fixture->pair[0], SHUT_WR), 0);
    assert_int_equal(receive(fixture), SEQPACKET_OK);
    assert_int_equal(receive(fixture), SEQPACKET_CLOSED);
}

static void test_sending_to_nobody_is_an_error_and_no_signal(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(shutdown(fixture->pair[1], SHUT_RD), 0);
    assert_int_equal(seqpacket_send(fixture->pair[0], "x", 1, NULL, 0), EPIPE);
}

static void test_a_full_queue_says_eagain_and_takes_more_when_read(void **state)
{
    static char data[SEQPACKET_MAX];
    struct fixture *fixture = *state;
    int error = 0;
    for (int i = 0; i < 1000 && error == 0; i++)
        error = seqpacket_send(fixture->pair[0], data, sizeof(data), NULL, 0);
    assert_int_equal(error, EAGAIN);
    assert_int_equal(receive(fixture), SEQPACKET_OK);
    assert_int_equal(seqpacket_send(fixture->pair[0], data, sizeof(data), NULL, 0), 0);
}

/* ---- descriptors ---- */

/* Sends `count` copies of one descriptor of a pipe that holds one octet. */
static void send_pipes(struct fixture *fixture, size_t count)
{
    int ends[2];
    int fds[SEQPACKET_FDS];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "p", 1), 1);
    for (size_t i = 0; i < count; i++)
        fds[i] = ends[0];
    assert_int_equal(seqpacket_send(fixture->pair[0], "x", 1, fds, count), 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void test_a_descriptor_travels_and_works(void **state)
{
    struct fixture *fixture = *state;
    char octet = 0;
    send_pipes(fixture, 1);
    assert_int_equal(receive(fixture), SEQPACKET_OK);
    assert_int_equal(fixture->fds.count, 1);

    int fd = fd_list_take(&fixture->fds);
    assert_int_equal(read(fd, &octet, 1), 1);
    assert_int_equal(octet, 'p');
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    (void)close(fd);
}

static void test_sent_descriptors_stay_the_senders(void **state)
{
    struct fixture *fixture = *state;
    int fd = dup(STDIN_FILENO);
    assert_int_equal(seqpacket_send(fixture->pair[0], "x", 1, &fd, 1), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(receive(fixture), SEQPACKET_OK);
}

static void test_as_many_descriptors_as_allowed_arrive(void **state)
{
    struct fixture *fixture = *state;
    send_pipes(fixture, SEQPACKET_FDS);
    assert_int_equal(receive(fixture), SEQPACKET_OK);
    assert_int_equal(fixture->fds.count, SEQPACKET_FDS);
}

static void test_descriptors_are_taken_in_the_order_sent(void **state)
{
    struct fd_list fds = {.count = 3, .fds = {7, 8, 9}};
    (void)state;
    for (int fd = 7; fd <= 9; fd++)
        assert_int_equal(fd_list_take(&fds), fd);
    assert_int_equal(fd_list_take(&fds), -1);
}

static void test_closing_the_list_closes_what_nobody_took(void **state)
{
    struct fixture *fixture = *state;
    int before = next_descriptor();
    send_pipes(fixture, 5);
    assert_int_equal(receive(fixture), SEQPACKET_OK);
    (void)close(fd_list_take(&fixture->fds));
    fd_list_close(&fixture->fds);
    assert_int_equal(fixture->fds.count, 0);
    assert_int_equal(next_descriptor(), before);
}

/* Sends more descriptors than a packet may carry, past seqpacket_send. */
static void send_too_many(int fd)
{
    enum { COUNT = SEQPACKET_FDS + 1 };
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(COUNT * sizeof(int))];
    } control = {0};
    int fds[COUNT] = {0};
    struct iovec octet = {.iov_base = (void *)"x", .iov_len = 1};
    struct msghdr message = {.msg_iov = &octet,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(header), fds, sizeof(fds));
    assert_int_equal(sendmsg(fd, &message, 0), 1);
}

static void test_too_many_descriptors_are_malformed_and_closed(void **state)
{
    struct fixture *fixture = *state;
    int before = next_descriptor();
    send_too_many(fixture->pair[0]);
    assert_int_equal(receive(fixture), SEQPACKET_MALFORMED);
    assert_int_equal(fixture->fds.count, 0);
    assert_int_equal(next_descriptor(), before);
}

static void test_descriptors_of_a_long_packet_are_closed(void **state)
{
    static char data[SEQPACKET_MAX + 1];
    struct fixture *fixture = *state;
    int before = next_descriptor();
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec octets = {.iov_base = data, .iov_len = sizeof(data)};
    struct msghdr message = {.msg_iov = &octets,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    assert_int_equal(sendmsg(fixture->pair[0], &message, 0), sizeof(data));
    assert_int_equal(receive(fixture), SEQPACKET_MALFORMED);
    assert_int_equal(next_descriptor(), before);
}

/* ---- waiting ---- */

static void test_waiting_tells_what_is_readable(void **state)
{
    struct fixture *fixture = *state;
    assert_false(seqpacket_wait(fixture->pair[1], 0));
    assert_int_equal(seqpacket_send(fixture->pair[0], "x", 1, NULL, 0), 0);
    assert_true(seqpacket_wait(fixture->pair[1], -1));
}

static void test_waiting_ends_with_the_peer(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(shutdown(fixture->pair[0], SHUT_RDWR), 0);
    assert_true(seqpacket_wait(fixture->pair[1], -1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_pair_does_not_block_and_is_not_inherited),
        TEST(test_packets_keep_their_boundaries),
        TEST(test_the_largest_packet_arrives_whole),
        TEST(test_a_packet_that_is_too_long_is_malformed),
        TEST(test_nothing_there_says_again),
        TEST(test_the_end_of_the_peer_says_closed),
        TEST(test_what_was_sent_before_the_end_still_arrives),
        TEST(test_sending_to_nobody_is_an_error_and_no_signal),
        TEST(test_a_full_queue_says_eagain_and_takes_more_when_read),
        TEST(test_a_descriptor_travels_and_works),
        TEST(test_sent_descriptors_stay_the_senders),
        TEST(test_as_many_descriptors_as_allowed_arrive),
        TEST(test_descriptors_are_taken_in_the_order_sent),
        TEST(test_closing_the_list_closes_what_nobody_took),
        TEST(test_too_many_descriptors_are_malformed_and_closed),
        TEST(test_descriptors_of_a_long_packet_are_closed),
        TEST(test_waiting_tells_what_is_readable),
        TEST(test_waiting_ends_with_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
