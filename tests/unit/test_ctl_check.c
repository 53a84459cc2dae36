/* check: each problem is found, and all of them at once. */
#include "tests/unit/ctl_rig.h"

#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static void a_fresh_instance_has_no_problems(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_OK);
    assert_holds(rig->out, "no problems");
    assert_string_equal(rig->err, "");
}

static void a_directory_that_everybody_may_write_is_a_problem(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(chmod(rig_path(rig, "spool"), 0777), 0);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_CONFIG);
    assert_holds(rig->err, "spool_directory: everybody may write");
}

static void a_missing_directory_is_a_problem(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(rmdir(rig_path(rig, "run")), 0);
    rig_write(rig, "run", "a file\n");
    assert_int_equal(rmdir(rig_path(rig, "spool")), 0);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_CONFIG);
    assert_holds(rig->err, "run is no directory");
    assert_holds(rig->err, "spool_directory: ");
}

static void passwords_that_others_may_read_are_a_problem(void **state)
{
    static const char *const names[] = {"tables/passwords", "tables/passwords.db"};
    struct ctl_rig *rig = *state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(chmod(rig_path(rig, names[i]), 0640), 0);
        assert_int_equal(RIG_DO(rig, NULL, "check"), EX_CONFIG);
        assert_holds(rig->err, "has mode 0640");
        assert_int_equal(chmod(rig_path(rig, names[i]), 0600), 0);
    }
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_OK);
}

static void a_table_older_than_its_text_is_a_problem(void **state)
{
    struct ctl_rig *rig = *state;
    struct timespec later[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 4000000000}};
    assert_int_equal(utimensat(-1, rig_path(rig, "tables/aliases"), later, 0), 0);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_CONFIG);
    assert_holds(rig->err, "`veredus table build aliases`");
}

static void a_table_that_is_corrupt_or_missing_is_a_problem(void **state)
{
    struct ctl_rig *rig = *state;
    rig_write(rig, "tables/users.db", "this is not a table\n");
    assert_int_equal(unlink(rig_path(rig, "tables/aliases.db")), 0);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_CONFIG);
    assert_holds(rig->err, "users.db can not be read");
    assert_holds(rig->err, "aliases.db: No such file");
}

/* ---- a server that changes users: for root alone ---- */

static void separate_users(struct ctl_rig *rig, const char *auth)
{
    char text[RIG_TEXT];
    (void)snprintf(text, sizeof text,
                   "hostname = mx.example.test\ndomains = {example.test}\n"
                   "spool_directory = spool\nmail_root = mail\ntable_directory = tables\n"
                   "run_directory = run\nservice_user = nobody\nqueue_user = nobody\n"
                   "mail_user = nobody\nauth_user = %s\n",
                   auth);
    rig_write(rig, "veredus.conf", text);
}

static void every_wrong_owner_is_a_problem_when_users_are_separate(void **state)
{
    static const char *const words[] = {
        "spool: belongs to user 0 and must belong to nobody; chown -R nobody: ",
        "mail: belongs to user 0 and must belong to nobody; chown -R nobody: ",
        "passwords: belongs to user 0 and must belong to nobody; chown nobody: ",
        "passwords.db: belongs to user 0 and must belong to nobody; chown nobody: ",
        "users.db: nobody can not get there, ",
    };
    struct ctl_rig *rig = *state;
    separate_users(rig, "nobody");
    int code = RIG_DO(rig, NULL, "check");
    assert_int_equal(code, geteuid() == 0 ? EX_CONFIG : EX_OK);
    for (size_t i = 0; geteuid() == 0 && i < sizeof words / sizeof *words; i++)
        assert_holds(rig->err, words[i]);
}

static void a_missing_system_user_is_a_problem_when_users_are_separate(void **state)
{
    struct ctl_rig *rig = *state;
    separate_users(rig, "veredus-nobody-has");
    int code = RIG_DO(rig, NULL, "check");
    assert_int_equal(code, geteuid() == 0 ? EX_CONFIG : EX_OK);
    if (geteuid() == 0)
        assert_holds(rig->err, "no such system user (auth_user); make it with useradd");
}

static void no_problem_is_said_twice_when_users_are_separate(void **state)
{
    struct ctl_rig *rig = *state;
    separate_users(rig, "nobody");
    assert_int_equal(chmod(rig_path(rig, "tables/passwords"), 0644), 0);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_CONFIG);
    const char *first = strstr(rig->err, "mode 0644");
    assert_non_null(first);
    assert_null(strstr(first + 1, "mode 0644"));
}

static void a_key_that_others_may_read_is_a_problem(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(chmod(rig_path(rig, "tls/key.pem"), 0644), 0);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_CONFIG);
    assert_holds(rig->err, "veredus.conf:");
    assert_holds(rig->err, "tls/key.pem can be used by others (mode 0644)");
}

static void a_certificate_that_is_missing_is_a_problem(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(unlink(rig_path(rig, "tls/cert.pem")), 0);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_CONFIG);
    assert_holds(rig->err, "tls/cert.pem can not be opened: No such file");
}

int main(void)
{
#define WITH_INSTANCE(test)                                                                        \
    cmocka_unit_test_setup_teardown(test, rig_setup_with_instance, rig_teardown)
    static const struct CMUnitTest tests[] = {
        WITH_INSTANCE(a_fresh_instance_has_no_problems),
        WITH_INSTANCE(a_directory_that_everybody_may_write_is_a_problem),
        WITH_INSTANCE(a_missing_directory_is_a_problem),
        WITH_INSTANCE(passwords_that_others_may_read_are_a_problem),
        WITH_INSTANCE(a_table_older_than_its_text_is_a_problem),
        WITH_INSTANCE(a_table_that_is_corrupt_or_missing_is_a_problem),
        WITH_INSTANCE(every_wrong_owner_is_a_problem_when_users_are_separate),
        WITH_INSTANCE(a_missing_system_user_is_a_problem_when_users_are_separate),
        WITH_INSTANCE(no_problem_is_said_twice_when_users_are_separate),
        WITH_INSTANCE(a_key_that_others_may_read_is_a_problem),
        WITH_INSTANCE(a_certificate_that_is_missing_is_a_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
