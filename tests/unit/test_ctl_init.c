/* init: an instance is whole, or there is none; what exists is never overwritten. */
#include "tests/unit/ctl_rig.h"

#include <crypt.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static unsigned mode_of(struct ctl_rig *rig, const char *name)
{
    struct stat st;
    if (stat(rig_path(rig, name), &st) != 0)
        fail_msg("%s is missing", name);
    return st.st_mode & 07777;
}

static void an_instance_has_everything_with_narrow_modes(void **state)
{
    static const struct {
        const char *name;
        unsigned mode;
    } rows[] = {
        {".", 0700},
        {"spool", 0700},
        {"run", 0700},
        {"tables", 0700},
        {"mail/example.test/alice/tmp", 0700},
        {"mail/example.test/alice/new", 0700},
        {"mail/example.test/alice/cur", 0700},
        {"tables/users", 0644},
        {"tables/users.db", 0644},
        {"tables/aliases", 0644},
        {"tables/aliases.db", 0644},
        {"tables/passwords", 0600},
        {"tables/passwords.db", 0600},
        {"tls", 0700},
        {"tls/cert.pem", 0644},
        {"tls/key.pem", 0600},
        {"veredus.conf", 0644},
    };
    struct ctl_rig *rig = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(mode_of(rig, rows[i].name), rows[i].mode);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_OK);
}

static void the_configuration_listens_at_the_offsets_of_the_port_base(void **state)
{
    static const struct {
        enum conf_service service;
        enum conf_listen_tls tls;
        unsigned port;
    } rows[] = {
        {SERVICE_SMTP, LISTEN_STARTTLS, 3025},
        {SERVICE_SUBMISSION, LISTEN_STARTTLS, 3587},
        {SERVICE_SUBMISSION, LISTEN_IMPLICIT, 3465},
        {SERVICE_POP3, LISTEN_STARTTLS, 3110},
    };
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_CALL(rig, NULL, "init", rig->instance, "--hostname", "mx.example.test",
                              "--domain", "example.test", "--port-base", "3000"),
                     EX_OK);
    struct conf *conf = conf_load(rig->file, NULL, NULL);
    assert_non_null(conf);
    assert_int_equal(conf->listens.count, sizeof rows / sizeof *rows);
    for (size_t i = 0; i < conf->listens.count; i++) {
        assert_int_equal(conf->listens.items[i].service, rows[i].service);
        assert_int_equal(conf->listens.items[i].tls, rows[i].tls);
        assert_int_equal(net_port(&conf->listens.items[i].address), rows[i].port);
    }
    assert_string_equal(conf->spool_directory.data, rig_path(rig, "spool"));
    assert_string_equal(conf->run_directory.data, rig_path(rig, "run"));
    conf_free(conf);
}

static X509 *read_certificate(struct ctl_rig *rig)
{
    FILE *in = fopen(rig_path(rig, "tls/cert.pem"), "r");
    assert_non_null(in);
    X509 *certificate = PEM_read_X509(in, NULL, NULL, NULL);
    fclose(in);
    assert_non_null(certificate);
    return certificate;
}

static void the_certificate_is_for_the_host_and_for_loopback(void **state)
{
    struct ctl_rig *rig = *state;
    X509 *certificate = read_certificate(rig);
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    char group[32];
    assert_int_equal(X509_check_host(certificate, "mx.example.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(certificate, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_host(certificate, "example.test", 0, 0, NULL), 0);
    assert_int_equal(EVP_PKEY_get_base_id(key), EVP_PKEY_EC);
    assert_int_equal(EVP_PKEY_get_group_name(key, group, sizeof group, NULL), 1);
    assert_string_equal(group, "prime256v1");
    assert_int_equal(X509_verify(certificate, key), 1);
    assert_true(X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0);
    assert_int_equal(X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, 0), 1);
    X509_free(certificate);
}

static void a_client_that_trusts_the_certificate_verifies_it(void **state)
{
    struct ctl_rig *rig = *state;
    X509 *certificate = read_certificate(rig);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, certificate), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, certificate, NULL), 1);
    assert_int_equal(X509_STORE_CTX_set_default(context, "ssl_server"), 1);
    if (X509_verify_cert(context) != 1)
        fail_msg("%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(certificate);
}

static void a_repeated_init_keeps_the_certificate_that_is_there(void **state)
{
    struct ctl_rig *rig = *state;
    char certificate[4096], key[4096];
    snprintf(certificate, sizeof certificate, "%s", rig_text(rig, "tls/cert.pem"));
    snprintf(key, sizeof key, "%s", rig_text(rig, "tls/key.pem"));
    assert_int_equal(unlink(rig->file), 0);
    assert_int_equal(RIG_CALL(rig, NULL, "init", rig->instance, "--hostname", "mx.example.test",
                              "--domain", "example.test"),
                     EX_OK);
    assert_string_equal(rig_text(rig, "tls/cert.pem"), certificate);
    assert_string_equal(rig_text(rig, "tls/key.pem"), key);
    /* Without its certificate a key is of no use: both are new then. */
    assert_int_equal(unlink(rig->file), 0);
    assert_int_equal(unlink(rig_path(rig, "tls/cert.pem")), 0);
    assert_int_equal(RIG_CALL(rig, NULL, "init", rig->instance, "--hostname", "mx.example.test",
                              "--domain", "example.test"),
                     EX_OK);
    assert_string_not_equal(rig_text(rig, "tls/key.pem"), key);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_OK);
}

static void users_aliases_and_passwords_are_entered(void **state)
{
    struct ctl_rig *rig = *state;
    assert_holds(rig_text(rig, "tables/users"), "\nalice@example.test\n");
    assert_holds(rig_text(rig, "tables/aliases"), "\npostmaster alice@example.test\n");
    const char *entry = strstr(rig_text(rig, "tables/passwords"), "\nalice@example.test $y$");
    assert_non_null(entry);
    char stored[256];
    assert_int_equal(sscanf(entry, " alice@example.test %255s", stored), 1);
    assert_string_equal(crypt("secret", stored), stored);
    assert_string_not_equal(crypt("Secret", stored), stored);
}

static void without_a_user_there_is_no_postmaster(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(
        RIG_CALL(rig, NULL, "init", rig->instance, "--hostname", "h.test", "--domain", "d.test"),
        EX_OK);
    assert_lacks(rig_text(rig, "tables/aliases"), "postmaster");
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_OK);
}

static void passwords_that_are_not_given_are_read_line_by_line(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_CALL(rig, "one\r\ntwo\n", "init", rig->instance, "--hostname", "h.test",
                              "--domain", "D.test", "--user", "Ann@d.test", "--user", "bob@d.test"),
                     EX_OK);
    char stored[256];
    const char *entry = strstr(rig_text(rig, "tables/passwords"), "\nann@d.test ");
    assert_non_null(entry);
    assert_int_equal(sscanf(entry, " ann@d.test %255s", stored), 1);
    assert_string_equal(crypt("one", stored), stored);
    assert_int_equal(access(rig_path(rig, "mail/d.test/ann/new"), F_OK), 0);
}

static void an_existing_instance_is_refused_and_kept(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_CALL(rig, NULL, "init", rig->instance, "--hostname", "other.test",
                              "--domain", "other.test"),
                     EX_CANTCREAT);
    assert_holds(rig->err, "exists");
    assert_lacks(rig_text(rig, "veredus.conf"), "other.test");
}

static void an_interrupted_init_can_be_repeated_and_loses_nothing(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(unlink(rig->file), 0);
    rig_write(rig, "tables/aliases", "sales alice\npostmaster root\n");
    assert_int_equal(RIG_CALL(rig, NULL, "init", rig->instance, "--hostname", "mx.example.test",
                              "--domain", "example.test", "--user", "bob@example.test:word"),
                     EX_OK);
    assert_string_equal(rig_text(rig, "tables/aliases"), "sales alice\npostmaster root\n");
    assert_holds(rig_text(rig, "tables/users"), "\nalice@example.test\nbob@example.test\n");
}

static void a_user_that_can_not_be_one_leaves_no_instance(void **state)
{
    static const struct {
        const char *word, *hint;
    } rows[] = {
        {"alice:secret", "no address"},
        {"alice@other.test:secret", "not in the domain"},
        {"alice@d.test:", "empty"},
        {"alice@d.test", "empty"},
        {"a/b@d.test:secret", "can not be a user"},
        {"#a@d.test:secret", "can not be a user"},
        {"\"a b\"@d.test:secret", "can not be a user"},
        {"\"..\"@d.test:secret", "can not be a user"},
        {"a@[127.0.0.1]:secret", "no address"},
    };
    struct ctl_rig *rig = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(RIG_CALL(rig, NULL, "init", rig->instance, "--hostname", "h.test",
                                  "--domain", "d.test", "--user", rows[i].word),
                         EX_DATAERR);
        assert_holds(rig->err, rows[i].hint);
        assert_int_not_equal(access(rig->instance, F_OK), 0);
    }
}

static void a_directory_that_can_not_be_made_is_reported(void **state)
{
    struct ctl_rig *rig = *state;
    char path[2 * RIG_PATH];
    snprintf(path, sizeof path, "%s/missing/instance", rig->directory);
    assert_int_equal(
        RIG_CALL(rig, NULL, "init", path, "--hostname", "h.test", "--domain", "d.test"),
        EX_CANTCREAT);
    assert_holds(rig->err, "can not be made");
}

int main(void)
{
#define EMPTY(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
#define WITH_INSTANCE(test)                                                                        \
    cmocka_unit_test_setup_teardown(test, rig_setup_with_instance, rig_teardown)
    static const struct CMUnitTest tests[] = {
        WITH_INSTANCE(an_instance_has_everything_with_narrow_modes),
        EMPTY(the_configuration_listens_at_the_offsets_of_the_port_base),
        WITH_INSTANCE(the_certificate_is_for_the_host_and_for_loopback),
        WITH_INSTANCE(a_client_that_trusts_the_certificate_verifies_it),
        WITH_INSTANCE(a_repeated_init_keeps_the_certificate_that_is_there),
        WITH_INSTANCE(users_aliases_and_passwords_are_entered),
        EMPTY(without_a_user_there_is_no_postmaster),
        EMPTY(passwords_that_are_not_given_are_read_line_by_line),
        WITH_INSTANCE(an_existing_instance_is_refused_and_kept),
        WITH_INSTANCE(an_interrupted_init_can_be_repeated_and_loses_nothing),
        EMPTY(a_user_that_can_not_be_one_leaves_no_instance),
        EMPTY(a_directory_that_can_not_be_made_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
