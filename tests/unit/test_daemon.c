/*
 * The skeleton is tested from master's side: each test forks a child that runs daemon_main with the
 * calls below and speaks to it through its control socket. What the child saw, it writes into its
 * page, which is shared with the test. The child serves inside the real sandbox of smtpd.
 */
#include "util/daemon/daemon.h"
#include "util/sys/tls_tickets.h"

#include "util/base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 20000, BUFFER = 1 << 16, NOBODY = 65534 };

/* Where the child notes what it saw; any counters will do. */
#define SAW_INDEX          PAGE_CONNECTIONS
#define SAW_GENERATION     PAGE_SESSIONS
#define SAW_LISTENERS      PAGE_MESSAGES_IN
#define SAW_PAGES          PAGE_RECIPIENTS_IN
#define SAW_KEY            PAGE_REFUSED
#define SAW_PEERS          PAGE_QUEUED
#define SAW_PEERS_AT_START PAGE_DEFERRED
#define SAW_PREPARED       PAGE_ACTIVE
#define SAW_NEIGHBOUR      PAGE_DELIVERED
#define SAW_DRAIN          PAGE_BOUNCED
#define SAW_RATCHET        PAGE_HELD /* the period of its secret */
#define SAW_SECRET         PAGE_RETRIED
#define SAW_IMPLICIT_TLS   PAGE_CORRUPT /* listeners */

/* ---- the daemon under test ---- */

static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    (void)sandbox;
    page_add(daemon->page, SAW_PREPARED, 1);
}

static void start(struct daemon *daemon)
{
    struct page *page = daemon->page;
    page_set(page, SAW_INDEX, daemon->index);
    page_set(page, SAW_GENERATION, daemon->generation);
    page_set(page, SAW_LISTENERS, daemon->listener_count);
    page_set(page, SAW_PAGES, daemon->page_count);
    page_set(page, SAW_KEY, daemon->key.len);
    if (daemon->ratchet != NULL) {
        page_set(page, SAW_RATCHET, daemon->ratchet->period);
        page_set(page, SAW_SECRET, daemon->ratchet->secret[0]);
    }
    const struct rates_ask once = {RATE_CONNECTIONS, 7, 1, 0};
    if (daemon->rates != NULL)
        (void)!rates_take(daemon->rates, &once);
    for (size_t i = 0; i < daemon->listener_count; i++)
        page_add(page, SAW_IMPLICIT_TLS, daemon->listeners[i].tls == LISTEN_IMPLICIT);
    page_set(page, SAW_PEERS_AT_START, page_get(page, SAW_PEERS));
    if (daemon->page_count > 0)
        page_set(page, SAW_NEIGHBOUR, page_get(daemon->pages[0].page, PAGE_PRESSURE));
}

/* Answers on the socket it was given, so that the test knows which one it was. The first socket to
 * each lookup is lost at once. */
static void peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    static unsigned lost;
    const char answer[2] = {(char)role, (char)index};
    page_add(daemon->page, SAW_PEERS, 1);
    (void)!write(fd, answer, sizeof(answer));
    if (role == ROLE_LOOKUP && (lost & 1U << index) == 0) {
        lost |= 1U << index;
        daemon_peer_lost(daemon, role, index);
    }
}

static void drain(struct daemon *daemon)
{
    page_add(daemon->page, SAW_DRAIN, 1);
    daemon_exit(daemon);
}

static void run_blocking(struct daemon *daemon)
{
    while (daemon_poll(daemon))
        (void)seqpacket_wait(daemon_control_fd(daemon), -1);
}

static const struct daemon_calls loop_calls = {
    .role = ROLE_SMTPD, .prepare = prepare, .start = start, .peer = peer, .drain = drain};
static const struct daemon_calls blocking_calls = {.role = ROLE_SMTPD,
                                                   .prepare = prepare,
                                                   .start = start,
                                                   .peer = peer,
                                                   .drain = drain,
                                                   .run = run_blocking};

/* ---- master's side ---- */

struct fixture {
    pid_t pid;
    int control;
    struct page *page;
};

/* The child's standard error goes away: what it logs is no part of these tests. */
static void become_child(int control, const struct daemon_calls *calls)
{
    const gid_t group = NOBODY;
    if (geteuid() == 0 && (setgroups(1, &group) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
                           setresuid(NOBODY, NOBODY, NOBODY) != 0))
        _exit(EX_OSERR);
    if (freopen("/dev/null", "w", stderr) == NULL || dup2(control, DAEMON_CONTROL_FD) < 0)
        _exit(EX_OSERR);
    _exit(daemon_main(calls));
}

static void spawn(struct fixture *fixture, const struct daemon_calls *calls)
{
    int pair[2];
    /* A pair far from 0-3, so that the child can put its half to its place. */
    assert_true(seqpacket_pair(pair, BUFFER));
    int far = fcntl(pair[1], F_DUPFD_CLOEXEC, 50);
    assert_true(far >= 0);
    (void)fflush(NULL);
    fixture->pid = fork();
    assert_true(fixture->pid >= 0);
    if (fixture->pid == 0)
        become_child(far, calls);
    (void)close(far);
    (void)close(pair[1]);
    fixture->control = pair[0];
}

static void tell(struct fixture *fixture, const struct ipc_type *type, const void *message, int fd)
{
    struct buf frame = {0};
    struct pollfd room = {.fd = fixture->control, .events = POLLOUT};
    int error;
    assert_true(ipc_encode(type, message, &frame));
    do
        error = seqpacket_send(fixture->control, buf_span(&frame).data, buf_len(&frame), &fd,
                               type->fds);
    while (error == EAGAIN && poll(&room, 1, DEADLINE_MS) == 1);
    assert_int_equal(error, 0);
    buf_free(&frame);
}

static void tell_config(struct fixture *fixture, const char *text)
{
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    tell(fixture, &ipc_control_config, &(struct control_config){.name = SPAN("/etc/veredus.conf")},
         fd);
    (void)close(fd);
}

static void tell_page(struct fixture *fixture)
{
    int fd = page_create();
    assert_true(fd >= 0);
    fixture->page = page_map(fd, true);
    assert_non_null(fixture->page);
    tell(fixture, &ipc_control_page, &(struct control_page){.role = ROLE_SMTPD, .own = 1}, fd);
    (void)close(fd);
}

static void tell_start(struct fixture *fixture)
{
    tell(fixture, &ipc_control_start, &(struct control_start){.index = 5, .generation = 7}, -1);
}

static const char good_text[] = "hostname = \"mx.example.test\"\ndomains = {\"example.test\"}\n";

static void tell_everything_before_start(struct fixture *fixture)
{
    tell_config(fixture, good_text);
    tell_page(fixture);
}

/* The peer's socket; the test keeps the other half. */
static int tell_peer(struct fixture *fixture, enum role role, uint16_t index)
{
    int pair[2];
    assert_true(seqpacket_pair(pair, BUFFER));
    tell(fixture, &ipc_control_peer, &(struct control_peer){.role = (uint8_t)role, .index = index},
         pair[1]);
    (void)close(pair[1]);
    return pair[0];
}

static void assert_peer_answers(int fd, enum role role, unsigned index)
{
    char answer[2] = {0};
    assert_true(seqpacket_wait(fd, DEADLINE_MS));
    assert_int_equal(read(fd, answer, sizeof(answer)), 2);
    assert_int_equal(answer[0], role);
    assert_int_equal(answer[1], index);
    (void)close(fd);
}

/* The one message of the next packet; it must be of `type`. */
static void hear(struct fixture *fixture, const struct ipc_type *type, void *message)
{
    static char packet[SEQPACKET_MAX];
    struct fd_list fds;
    struct span body;
    size_t size;

    assert_true(seqpacket_wait(fixture->control, DEADLINE_MS));
    assert_int_equal(seqpacket_receive(fixture->control, packet, &size, &fds), SEQPACKET_OK);
    struct ipc_cursor cursor = {.rest = span_of(packet, size)};
    assert_ptr_equal(ipc_next(&cursor, &body), type);
    assert_true(ipc_decode(type, body, message));
}

static void wait_until_ready(struct fixture *fixture)
{
    struct control_ready ready;
    hear(fixture, &ipc_control_ready, &ready);
}

static void begin(struct fixture *fixture, const struct daemon_calls *calls)
{
    spawn(fixture, calls);
    tell_everything_before_start(fixture);
    tell_start(fixture);
    wait_until_ready(fixture);
}

/* The child's exit code, or 128 + signal. A child that hangs is ended by the alarm's default. */
static int end_of(struct fixture *fixture)
{
    int status = 0;
    (void)alarm(DEADLINE_MS / 1000);
    assert_int_equal(waitpid(fixture->pid, &status, 0), fixture->pid);
    (void)alarm(0);
    fixture->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void hang_up(struct fixture *fixture)
{
    (void)close(fixture->control);
    fixture->control = -1;
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    fixture->control = -1;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->pid > 0) {
        (void)kill(fixture->pid, SIGKILL);
        (void)waitpid(fixture->pid, NULL, 0);
    }
    if (fixture->control >= 0)
        (void)close(fixture->control);
    page_unmap(fixture->page);
    mem_free(fixture);
    return 0;
}

/* ---- the start ---- */

static void prepares_starts_and_says_ready(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &loop_calls);
    assert_int_equal(page_get(fixture->page, SAW_PREPARED), 1);
    assert_int_equal(page_get(fixture->page, SAW_INDEX), 5);
    assert_int_equal(page_get(fixture->page, SAW_GENERATION), 7);
}

static void gathers_listeners_pages_and_key(void **state)
{
    struct fixture *fixture = *state;
    int neighbour = page_create();
    struct page *page = page_map(neighbour, true);
    page_set(page, PAGE_PRESSURE, PRESSURE_FULL);
    int readonly = page_reopen_readonly(neighbour);

    spawn(fixture, &loop_calls);
    tell_everything_before_start(fixture);
    tell(fixture, &ipc_control_page, &(struct control_page){.role = ROLE_QMGR}, readonly);
    tell(fixture, &ipc_control_key, &(struct control_key){.key = SPAN("0123456789abcdef")}, -1);
    for (uint8_t i = 0; i < 3; i++)
        tell(fixture, &ipc_control_listener,
             &(struct control_listener){.tls = i, .name = SPAN("mx")}, 0);
    tell_start(fixture);
    wait_until_ready(fixture);

    assert_int_equal(page_get(fixture->page, SAW_LISTENERS), 3);
    assert_int_equal(page_get(fixture->page, SAW_IMPLICIT_TLS), 1);
    assert_int_equal(page_get(fixture->page, SAW_PAGES), 1);
    assert_int_equal(page_get(fixture->page, SAW_NEIGHBOUR), PRESSURE_FULL);
    assert_int_equal(page_get(fixture->page, SAW_KEY), 16);
    page_unmap(page);
    (void)close(readonly);
    (void)close(neighbour);
}

static void counts_in_the_memory_of_the_rates_that_master_sent(void **state)
{
    struct fixture *fixture = *state;
    int fd = rates_create();
    struct rates *rates = rates_map(fd);
    const struct rates_ask ask = {RATE_CONNECTIONS, 7, 1, 0};
    spawn(fixture, &loop_calls);
    tell_everything_before_start(fixture);
    tell(fixture, &ipc_control_rates, &(struct control_rates){0}, fd);
    tell_start(fixture);
    wait_until_ready(fixture);
    assert_true(rates_is_full(rates, &ask));
    rates_unmap(rates);
    (void)close(fd);
}

/* A daemon that was told of the ratchet so many periods ago. */
static void begin_with_ratchet(struct fixture *fixture, uint64_t period)
{
    static const char secret[TLS_SECRET] = "secret";
    spawn(fixture, &loop_calls);
    tell_everything_before_start(fixture);
    tell(fixture, &ipc_control_tickets,
         &(struct control_tickets){.period = period, .secret = span_of(secret, TLS_SECRET)}, -1);
    tell_start(fixture);
    wait_until_ready(fixture);
}

static void takes_the_ratchet_of_session_tickets(void **state)
{
    struct fixture *fixture = *state;
    begin_with_ratchet(fixture, tls_period_now() - 1);
    assert_int_equal(page_get(fixture->page, SAW_RATCHET), tls_period_now() - 1);
    assert_int_equal(page_get(fixture->page, SAW_SECRET), 's');
}

static void steps_a_ratchet_that_is_late(void **state)
{
    struct fixture *fixture = *state;
    struct tls_ratchet expected = {.period = tls_period_now() - 2, .secret = "secret"};
    begin_with_ratchet(fixture, expected.period);
    tls_ratchet_step(&expected, tls_period_now());
    assert_int_equal(page_get(fixture->page, SAW_RATCHET), expected.period);
    assert_int_equal(page_get(fixture->page, SAW_SECRET), expected.secret[0]);
}

static void hands_over_early_peers_before_start(void **state)
{
    struct fixture *fixture = *state;
    spawn(fixture, &loop_calls);
    tell_everything_before_start(fixture);
    int qmgr = tell_peer(fixture, ROLE_QMGR, 0);
    int lookup = tell_peer(fixture, ROLE_LOOKUP, 2);
    tell_start(fixture);
    wait_until_ready(fixture);
    assert_int_equal(page_get(fixture->page, SAW_PEERS_AT_START), 2);
    assert_peer_answers(qmgr, ROLE_QMGR, 0);
    assert_peer_answers(lookup, ROLE_LOOKUP, 2);
}

/* Two roles in front of it, with as many processes as may live of each while generations drain. */
static void takes_as_many_early_peers_as_there_may_be(void **state)
{
    static const enum role roles[] = {ROLE_SMTPD, ROLE_SUBMISSION};
    struct fixture *fixture = *state;
    spawn(fixture, &loop_calls);
    tell_everything_before_start(fixture);
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        for (uint16_t index = 0; index < ROLE_INDEXES; index++)
            (void)close(tell_peer(fixture, roles[i], index));
    tell_start(fixture);
    wait_until_ready(fixture);
    assert_int_equal(page_get(fixture->page, SAW_PEERS_AT_START), 2 * ROLE_INDEXES);
}

static void hands_over_late_peers_as_they_come(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &loop_calls);
    assert_peer_answers(tell_peer(fixture, ROLE_QMGR, 1), ROLE_QMGR, 1);
    assert_int_equal(page_get(fixture->page, SAW_PEERS_AT_START), 0);
    assert_int_equal(page_get(fixture->page, SAW_PEERS), 1);
}

static void a_blocking_daemon_is_served_by_poll(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &blocking_calls);
    assert_peer_answers(tell_peer(fixture, ROLE_LOOKUP, 0), ROLE_LOOKUP, 0);
    tell(fixture, &ipc_control_drain, &(struct control_drain){0}, -1);
    assert_int_equal(end_of(fixture), EX_OK);
    assert_int_equal(page_get(fixture->page, SAW_DRAIN), 1);
}

static void a_bad_configuration_ends_it_before_it_serves(void **state)
{
    struct fixture *fixture = *state;
    spawn(fixture, &loop_calls);
    tell_config(fixture, "no_such_setting = 1\n");
    assert_int_equal(end_of(fixture), EX_CONFIG);
}

static void a_start_without_configuration_is_refused(void **state)
{
    struct fixture *fixture = *state;
    spawn(fixture, &loop_calls);
    tell_start(fixture);
    assert_int_equal(end_of(fixture), EX_PROTOCOL);
}

/* ---- the end ---- */

static void drains_when_master_says_so(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &loop_calls);
    tell(fixture, &ipc_control_drain, &(struct control_drain){0}, -1);
    assert_int_equal(end_of(fixture), EX_OK);
    assert_int_equal(page_get(fixture->page, SAW_DRAIN), 1);
}

static void drains_on_sigterm(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &loop_calls);
    assert_int_equal(kill(fixture->pid, SIGTERM), 0);
    assert_int_equal(end_of(fixture), EX_OK);
    assert_int_equal(page_get(fixture->page, SAW_DRAIN), 1);
}

static void drains_when_master_is_gone(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &loop_calls);
    hang_up(fixture);
    assert_int_equal(end_of(fixture), EX_OK);
    assert_int_equal(page_get(fixture->page, SAW_DRAIN), 1);
}

static void drains_when_master_talks_nonsense(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &loop_calls);
    assert_int_equal(seqpacket_send(fixture->control, "hello", 5, NULL, 0), 0);
    assert_int_equal(end_of(fixture), EX_OK);
    assert_int_equal(page_get(fixture->page, SAW_DRAIN), 1);
}

static void ends_when_master_is_gone_before_start(void **state)
{
    struct fixture *fixture = *state;
    spawn(fixture, &loop_calls);
    tell_everything_before_start(fixture);
    hang_up(fixture);
    assert_int_equal(end_of(fixture), EX_OK);
    assert_int_equal(page_get(fixture->page, SAW_PREPARED), 0);
}

static void ends_when_drained_before_start(void **state)
{
    struct fixture *fixture = *state;
    spawn(fixture, &loop_calls);
    tell_everything_before_start(fixture);
    tell(fixture, &ipc_control_drain, &(struct control_drain){0}, -1);
    assert_int_equal(end_of(fixture), EX_OK);
    assert_int_equal(page_get(fixture->page, SAW_PREPARED), 0);
}

static void ignores_the_signals_of_a_terminal_and_of_master(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &loop_calls);
    static const int signals[] = {SIGHUP, SIGINT, SIGPIPE, SIGUSR1};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        assert_int_equal(kill(fixture->pid, signals[i]), 0);
    assert_peer_answers(tell_peer(fixture, ROLE_QMGR, 0), ROLE_QMGR, 0);
}

/* ---- lost peers ---- */

static void asks_for_another_socket_to_a_peer_that_was_lost(void **state)
{
    struct fixture *fixture = *state;
    struct control_unlinked unlinked;
    begin(fixture, &loop_calls);
    assert_peer_answers(tell_peer(fixture, ROLE_LOOKUP, 3), ROLE_LOOKUP, 3);
    hear(fixture, &ipc_control_unlinked, &unlinked);
    assert_int_equal(unlinked.role, ROLE_LOOKUP);
    assert_int_equal(unlinked.index, 3);
}

static void asks_for_nothing_that_came_by_itself(void **state)
{
    struct fixture *fixture = *state;
    struct control_unlinked unlinked;
    begin(fixture, &loop_calls);
    /* Stopped, so that all three come at once. */
    assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
    (void)close(tell_peer(fixture, ROLE_LOOKUP, 3));
    (void)close(tell_peer(fixture, ROLE_LOOKUP, 3));
    (void)close(tell_peer(fixture, ROLE_LOOKUP, 4));
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    hear(fixture, &ipc_control_unlinked, &unlinked);
    assert_int_equal(unlinked.index, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(prepares_starts_and_says_ready),
        TEST(gathers_listeners_pages_and_key),
        TEST(takes_the_ratchet_of_session_tickets),
        TEST(counts_in_the_memory_of_the_rates_that_master_sent),
        TEST(steps_a_ratchet_that_is_late),
        TEST(hands_over_early_peers_before_start),
        TEST(takes_as_many_early_peers_as_there_may_be),
        TEST(hands_over_late_peers_as_they_come),
        TEST(a_blocking_daemon_is_served_by_poll),
        TEST(a_bad_configuration_ends_it_before_it_serves),
        TEST(a_start_without_configuration_is_refused),
        TEST(drains_when_master_says_so),
        TEST(drains_on_sigterm),
        TEST(drains_when_master_is_gone),
        TEST(drains_when_master_talks_nonsense),
        TEST(ends_when_master_is_gone_before_start),
        TEST(ends_when_drained_before_start),
        TEST(ignores_the_signals_of_a_terminal_and_of_master),
        TEST(asks_for_another_socket_to_a_peer_that_was_lost),
        TEST(asks_for_nothing_that_came_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
