/*
 * status, reload and stop against a master that is played by a child of the test: it answers one
 * request from a script and ends.
 */
#include "tests/unit/ctl_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "util/ipc/messages.h"
#include "util/sys/seqpacket.h"

/* The packets that the child sends; an entry with `raw` goes out as it is. */
struct script {
    enum operator_request expected;
    struct operator_answer answers[4];
    size_t count;
    const char *raw;
};

static int listen_as_master(struct ctl_rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.64s/run/master.sock", rig->instance);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd; /* nobody listens yet */
}

static bool request_is(struct span packet, enum operator_request expected)
{
    struct ipc_cursor cursor = {.rest = packet};
    struct operator_ask ask;
    struct span body;
    return ipc_next(&cursor, &body) == &ipc_operator_ask &&
           ipc_decode(&ipc_operator_ask, body, &ask) && ask.what == expected;
}

/* Exits with 0 when it was asked what the script expects. */
__attribute__((noreturn)) static void play(int listener, const struct script *script)
{
    static char packet[SEQPACKET_MAX];
    struct fd_list fds;
    size_t size;
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || !seqpacket_wait(fd, 10000) ||
        seqpacket_receive(fd, packet, &size, &fds) != SEQPACKET_OK ||
        !request_is(span_of(packet, size), script->expected))
        _exit(3);
    for (size_t i = 0; i < script->count; i++) {
        struct buf out = {0};
        if (!ipc_encode(&ipc_operator_answer, &script->answers[i], &out) ||
            seqpacket_send(fd, buf_span(&out).data, buf_len(&out), NULL, 0) != 0)
            _exit(4);
        buf_free(&out);
    }
    if (script->raw && seqpacket_send(fd, script->raw, strlen(script->raw), NULL, 0) != 0)
        _exit(5);
    _exit(0);
}

static pid_t start_master(struct ctl_rig *rig, const struct script *script)
{
    int listener = listen_as_master(rig);
    assert_int_equal(listen(listener, 1), 0);
    pid_t child = fork();
    if (child == 0)
        play(listener, script);
    close(listener);
    return child;
}

static void end_master(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void what_is_not_running_is_69(void **state)
{
    static const char *const verbs[] = {"status", "reload", "stop"};
    struct ctl_rig *rig = *state;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        assert_int_equal(RIG_DO(rig, NULL, verbs[i]), EX_UNAVAILABLE);
        assert_holds(rig->err, "is not running");
    }
}

static void a_socket_that_nobody_serves_is_not_running(void **state)
{
    struct ctl_rig *rig = *state;
    close(listen_as_master(rig));
    assert_int_equal(RIG_DO(rig, NULL, "status"), EX_UNAVAILABLE);
    assert_holds(rig->err, "is not running");
}

static void status_prints_all_parts_of_the_answer(void **state)
{
    static const struct script script = {
        .expected = OPERATOR_STATUS,
        .answers = {{1, 1, SPAN_INIT("queued 0\n")}, {1, 0, SPAN_INIT("sessions 2\n")}},
        .count = 2,
    };
    struct ctl_rig *rig = *state;
    pid_t master = start_master(rig, &script);
    assert_int_equal(RIG_DO(rig, NULL, "status"), EX_OK);
    assert_string_equal(rig->out, "queued 0\nsessions 2\n");
    end_master(master);
}

static void a_refused_reload_is_a_message_and_a_failure(void **state)
{
    static const struct script script = {
        .expected = OPERATOR_RELOAD,
        .answers = {{0, 0, SPAN_INIT("veredus.conf:2: no such setting\n")}},
        .count = 1,
    };
    struct ctl_rig *rig = *state;
    pid_t master = start_master(rig, &script);
    assert_int_equal(RIG_DO(rig, NULL, "reload"), EXIT_FAILURE);
    assert_string_equal(rig->out, "");
    assert_string_equal(rig->err, "veredus: veredus.conf:2: no such setting\n");
    end_master(master);
}

static const struct script reload_goes_well = {
    .expected = OPERATOR_RELOAD, .answers = {{1, 0, SPAN_INIT("")}}, .count = 1};

static void a_reload_compiles_the_tables_that_were_edited(void **state)
{
    struct ctl_rig *rig = *state;
    rig_write(rig, "tables/aliases", "team alice\n");
    pid_t master = start_master(rig, &reload_goes_well);
    assert_int_equal(RIG_DO(rig, NULL, "reload"), EX_OK);
    end_master(master);
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "aliases", "team"), EX_OK);
    assert_string_equal(rig->out, "alice\n");
}

static void a_reload_leaves_alone_what_was_not_edited(void **state)
{
    struct ctl_rig *rig = *state;
    const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    struct stat before, after;
    assert_int_equal(utimensat(AT_FDCWD, rig_path(rig, "tables/users"), long_ago, 0), 0);
    assert_int_equal(stat(rig_path(rig, "tables/users.db"), &before), 0);
    pid_t master = start_master(rig, &reload_goes_well);
    assert_int_equal(RIG_DO(rig, NULL, "reload"), EX_OK);
    end_master(master);
    assert_int_equal(stat(rig_path(rig, "tables/users.db"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

/* Nobody is asked: the server goes on with the tables and the settings that it has. */
static void a_table_that_makes_no_sense_is_no_reload(void **state)
{
    struct ctl_rig *rig = *state;
    rig_write(rig, "tables/access", "client:192.0.2.1 PERHAPS\n");
    assert_int_equal(RIG_DO(rig, NULL, "reload"), EX_DATAERR);
    assert_holds(rig->err, "access:1:");
    assert_lacks(rig->err, "is not running");
}

static void an_answer_that_breaks_off_is_a_failure(void **state)
{
    static const struct script script = {
        .expected = OPERATOR_STATUS,
        .answers = {{1, 1, SPAN_INIT("queued 0\n")}},
        .count = 1,
    };
    struct ctl_rig *rig = *state;
    pid_t master = start_master(rig, &script);
    assert_int_equal(RIG_DO(rig, NULL, "status"), EX_UNAVAILABLE);
    assert_holds(rig->err, "did not answer");
    end_master(master);
}

static void nonsense_for_an_answer_is_a_failure(void **state)
{
    static const struct script script = {.expected = OPERATOR_STATUS, .raw = "nonsense"};
    struct ctl_rig *rig = *state;
    pid_t master = start_master(rig, &script);
    assert_int_equal(RIG_DO(rig, NULL, "status"), EX_UNAVAILABLE);
    assert_holds(rig->err, "did not answer");
    end_master(master);
}

static void a_stale_process_number_stops_nobody(void **state)
{
    struct ctl_rig *rig = *state;
    char number[32];
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    snprintf(number, sizeof number, "%d\n", (int)child);
    rig_write(rig, "run/master.pid", number);
    assert_int_equal(RIG_DO(rig, NULL, "stop"), EX_UNAVAILABLE);
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
#define WITH_INSTANCE(test)                                                                        \
    cmocka_unit_test_setup_teardown(test, rig_setup_with_instance, rig_teardown)
    static const struct CMUnitTest tests[] = {
        WITH_INSTANCE(what_is_not_running_is_69),
        WITH_INSTANCE(a_socket_that_nobody_serves_is_not_running),
        WITH_INSTANCE(status_prints_all_parts_of_the_answer),
        WITH_INSTANCE(a_refused_reload_is_a_message_and_a_failure),
        WITH_INSTANCE(a_reload_compiles_the_tables_that_were_edited),
        WITH_INSTANCE(a_reload_leaves_alone_what_was_not_edited),
        WITH_INSTANCE(a_table_that_makes_no_sense_is_no_reload),
        WITH_INSTANCE(an_answer_that_breaks_off_is_a_failure),
        WITH_INSTANCE(nonsense_for_an_answer_is_a_failure),
        WITH_INSTANCE(a_stale_process_number_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
