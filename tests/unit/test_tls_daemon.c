/* What a daemon makes of the certificates of its configuration. */
#include "tests/unit/tls_rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "util/daemon/daemon_tls.h"

static void hear(void *arg, const char *message)
{
    (void)arg;
    fail_msg("%s", message);
}

/* The text behind a host name, as DIRECTORY/v.conf. */
static struct conf *configure(const struct tls_rig *rig, const char *text)
{
    char whole[1024], name[64];
    int size = snprintf(whole, sizeof whole, "hostname = mx.example.test\n%s", text);
    snprintf(name, sizeof name, "%s/v.conf", rig->directory);
    FILE *in = fmemopen(whole, (size_t)size, "r");
    assert_non_null(in);
    struct conf *conf = conf_parse(in, name, hear, NULL);
    fclose(in);
    assert_non_null(conf);
    return conf;
}

static void without_a_certificate_there_is_no_server(void **state)
{
    struct tls_rig *rig = *state;
    struct conf *conf = configure(rig, "");
    const struct daemon daemon = {.conf = conf};
    assert_null(daemon_tls_new(&daemon, SPAN("smtp")));
    conf_free(conf);
}

static void the_certificates_are_served_with_the_tickets_of_all(void **state)
{
    struct tls_rig *rig = *state;
    struct conf *conf = configure(rig, "tls { certificate = \"ec.pem\" key = \"ec.key\" }\n");
    const struct daemon daemon = {.conf = conf, .ratchet = &rig->ratchet};
    struct tls_server *server = daemon_tls_new(&daemon, SPAN("smtp"));
    assert_non_null(server);
    tls_rig_connect(rig, server);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    tls_rig_assert_talk(rig);
    tls_server_free(server);
    conf_free(conf);
}

/* Never plaintext where encryption was wanted. */
static void a_certificate_that_can_not_be_served_ends_the_process(void **state)
{
    static const char *const broken[] = {
        "tls { certificate = \"missing.pem\" key = \"ec.key\" }\n",
        "tls { certificate = \"ec.pem\" key = \"rsa.key\" }\n",
    };
    struct tls_rig *rig = *state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct conf *conf = configure(rig, broken[i]);
        const struct daemon daemon = {.conf = conf, .ratchet = &rig->ratchet};
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(freopen("/dev/null", "w", stderr) != NULL &&
                  daemon_tls_new(&daemon, SPAN("smtp")) != NULL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EX_CONFIG);
        conf_free(conf);
    }
}

int main(void)
{
#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, tls_rig_setup, tls_rig_teardown)
    const struct CMUnitTest tests[] = {
        TLS_TEST(without_a_certificate_there_is_no_server),
        TLS_TEST(the_certificates_are_served_with_the_tickets_of_all),
        TLS_TEST(a_certificate_that_can_not_be_served_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
