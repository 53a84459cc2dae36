/*
 * smtpd as master sees it, in its real sandbox: which peers a worker of which role takes.
 */
#include "daemon_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/worker.h"

static const char text[] = "hostname = \"mx.example.test\"\ndomains = {\"example.test\"}\n";

static int set_up(void **state)
{
    *state = mem_new(sizeof(struct daemon_rig));
    return 0;
}

static int tear_down(void **state)
{
    daemon_rig_end(*state);
    mem_free(*state);
    return 0;
}

/* With an error of its own: the filter killed nobody. Which one, the sanitizers have a say in. */
static void assert_gave_up(struct daemon_rig *rig)
{
    int status = 0;
    assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
    rig->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), EX_OK);
}

/* Whoever owns a worker of port 25 gains nothing by a socket that came by mistake. */
static void worker_of_port_25_ends_rather_than_have_a_socket_to_auth(void **state)
{
    struct daemon_rig *rig = *state;
    daemon_rig_begin(rig, &smtpd_calls, text);
    int auth = daemon_rig_peer(rig, ROLE_AUTH);
    assert_true(daemon_rig_is_hung_up(auth));
    assert_gave_up(rig);
    (void)close(auth);
}

static void worker_for_submission_takes_one_and_another(void **state)
{
    struct daemon_rig *rig = *state;
    daemon_rig_begin(rig, &submission_calls, text);
    int first = daemon_rig_peer(rig, ROLE_AUTH);
    int second = daemon_rig_peer(rig, ROLE_AUTH);
    assert_true(daemon_rig_is_hung_up(first));
    assert_int_equal(daemon_rig_drain(rig), EX_OK);
    (void)close(first);
    (void)close(second);
}

/* A mailbox is nobody's business here. */
static void neither_takes_a_peer_that_it_has_no_use_for(void **state)
{
    static const struct daemon_calls *const both[] = {&smtpd_calls, &submission_calls};
    static const enum role strangers[] = {ROLE_MAILBOX, ROLE_DELIVER, ROLE_POP3D, ROLE_SMTPD};
    struct daemon_rig *rig = *state;
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < sizeof strangers / sizeof *strangers; k++) {
            daemon_rig_begin(rig, both[i], text);
            int peer = daemon_rig_peer(rig, strangers[k]);
            assert_true(daemon_rig_is_hung_up(peer));
            assert_gave_up(rig);
            daemon_rig_end(rig);
            (void)close(peer);
        }
    daemon_rig_begin(rig, &smtpd_calls, text); /* for the end */
}

int main(void)
{
#define DAEMON_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DAEMON_TEST(worker_of_port_25_ends_rather_than_have_a_socket_to_auth),
        DAEMON_TEST(worker_for_submission_takes_one_and_another),
        DAEMON_TEST(neither_takes_a_peer_that_it_has_no_use_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
