/*
 * Root given up: who a process is afterwards, what leads back, and what another user would be
 * allowed. Without root there is nothing to give up, and each test holds the weaker promise that is
 * left.
 */
#include "util/sys/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

static bool is_root(void)
{
    return geteuid() == 0;
}

/* The exit code of a child that runs `run`; 128 + signal for a violent end. */
static int code_of(int (*run)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(run());
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Nobody for root; else the caller himself, whom nothing has to be taken from. */
static struct privileges target(void)
{
    struct privileges user = {.uid = geteuid(), .gid = getegid()};
    if (is_root())
        assert_true(privileges_of("nobody", &user));
    return user;
}

/* ---- who there is ---- */

static void a_user_is_found_with_his_ids(void **state)
{
    struct privileges root = {.uid = 1, .gid = 1};
    (void)state;
    assert_true(privileges_of("root", &root));
    assert_int_equal(root.uid, 0);
    assert_int_equal(root.gid, 0);
}

static void a_user_who_does_not_exist_is_not_found(void **state)
{
    struct privileges unused;
    (void)state;
    assert_false(privileges_of("veredus-nobody-has", &unused));
}

/* ---- dropping ---- */

static int drop_and_compare_ids(void)
{
    struct privileges user = target();
    uid_t uid[3];
    gid_t gid[3];
    privileges_drop(&user);
    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return 1;
    for (int i = 0; i < 3; i++)
        if (uid[i] != user.uid || gid[i] != user.gid)
            return 2;
    return 0;
}

static void all_three_of_uid_and_gid_are_the_users(void **state)
{
    (void)state;
    assert_int_equal(code_of(drop_and_compare_ids), 0);
}

static int drop_and_count_foreign_groups(void)
{
    bool root = is_root();
    struct privileges user = target();
    const gid_t many[] = {0, user.gid, 4, 27};
    gid_t left[64];
    if (root && setgroups(4, many) != 0)
        return 100;
    privileges_drop(&user);
    int count = getgroups(64, left), foreign = 0;
    for (int i = 0; root && i < count; i++)
        foreign += left[i] != user.gid;
    return foreign;
}

static void no_group_of_roots_is_kept(void **state)
{
    (void)state;
    assert_int_equal(code_of(drop_and_count_foreign_groups), 0);
}

static int drop_and_try_to_return(void)
{
    struct privileges user = target();
    privileges_drop(&user);
    return setresuid(0, 0, 0) == 0 || seteuid(0) == 0 || setresgid(0, 0, 0) == 0;
}

static void root_can_not_be_had_back(void **state)
{
    (void)state;
    assert_int_equal(code_of(drop_and_try_to_return), 0);
}

static int drop_and_ask_for_no_new_privs(void)
{
    struct privileges user = target();
    privileges_drop(&user);
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void a_dropped_process_executes_nothing_with_more_rights(void **state)
{
    (void)state;
    assert_int_equal(code_of(drop_and_ask_for_no_new_privs), 1);
}

static int drop_and_ask_whether_dumpable(void)
{
    bool root = is_root();
    struct privileges user = target();
    privileges_drop(&user);
    return root ? prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) : 0;
}

static void what_root_had_read_gets_into_no_core_file(void **state)
{
    (void)state;
    assert_int_equal(code_of(drop_and_ask_whether_dumpable), 0);
}

static int drop_to_root(void)
{
    const struct privileges root = {.uid = 0, .gid = 0};
    if (freopen("/dev/null", "w", stderr) == NULL)
        return 1;
    privileges_drop(&root);
    return 0;
}

static void dropping_to_root_is_refused(void **state)
{
    (void)state;
    assert_int_equal(code_of(drop_to_root), is_root() ? EX_CONFIG : 0);
}

/* ---- staying who one is ---- */

/* From the line "CapEff:" of /proc/self/status. */
static bool has_capabilities(void)
{
    char line[256];
    unsigned long long effective = 1;
    FILE *in = fopen("/proc/self/status", "r");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        if (strncmp(line, "CapEff:", 7) == 0)
            effective = strtoull(line + 7, NULL, 16);
    if (in != NULL)
        (void)fclose(in);
    return effective != 0;
}

static int keep_and_look(void)
{
    uid_t before = geteuid();
    privileges_keep_user();
    if (geteuid() != before)
        return 1;
    return has_capabilities() ? 2 : prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 3;
}

static void a_process_that_stays_root_has_no_capability_left(void **state)
{
    (void)state;
    assert_int_equal(code_of(keep_and_look), 0);
}

/* ---- what another user would be allowed ---- */

struct scene {
    char directory[64], file[128];
};

static int set_scene(void **state)
{
    struct scene *scene = test_calloc(1, sizeof(*scene));
    (void)snprintf(scene->directory, sizeof(scene->directory), "/tmp/veredus-privileges-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    (void)snprintf(scene->file, sizeof(scene->file), "%s/file", scene->directory);
    int fd = open(scene->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    *state = scene;
    return 0;
}

static int clear_scene(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(unlink(scene->file), 0);
    assert_int_equal(rmdir(scene->directory), 0);
    test_free(scene);
    return 0;
}

/* For the caller himself the file is open either way. */
static int other_or_self(int other)
{
    return is_root() ? other : 0;
}

static void the_mode_decides_what_another_user_may(void **state)
{
    struct scene *scene = *state;
    const struct {
        mode_t directory, file;
        int need, answer;
    } rows[] = {
        {0755, 0644, R_OK, 0},        {0755, 0644, W_OK, EACCES}, {0755, 0600, R_OK, EACCES},
        {0755, 0666, R_OK | W_OK, 0}, {0711, 0644, R_OK, 0},      {0700, 0644, R_OK, EACCES},
    };
    struct privileges user = target();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(chmod(scene->directory, rows[i].directory), 0);
        assert_int_equal(chmod(scene->file, rows[i].file), 0);
        assert_int_equal(privileges_access(&user, scene->file, rows[i].need),
                         other_or_self(rows[i].answer));
    }
}

static void a_group_of_the_callers_does_not_count(void **state)
{
    struct scene *scene = *state;
    struct privileges user = target();
    assert_int_equal(chmod(scene->directory, 0755), 0);
    assert_int_equal(chmod(scene->file, 0640), 0);
    assert_int_equal(privileges_access(&user, scene->file, R_OK), other_or_self(EACCES));
}

static void what_is_missing_is_told_from_what_is_closed(void **state)
{
    struct privileges user = target();
    (void)state;
    assert_int_equal(privileges_access(&user, "/nonexistent-file", R_OK), ENOENT);
}

static void asking_changes_neither_the_caller_nor_his_signals(void **state)
{
    struct scene *scene = *state;
    struct privileges user = target();
    uid_t before = geteuid();
    sigset_t blocked;
    assert_int_equal(privileges_access(&user, scene->directory, F_OK), 0);
    assert_int_equal(geteuid(), before);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &blocked), 0);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, set_scene, clear_scene)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_is_found_with_his_ids),
        cmocka_unit_test(a_user_who_does_not_exist_is_not_found),
        cmocka_unit_test(all_three_of_uid_and_gid_are_the_users),
        cmocka_unit_test(no_group_of_roots_is_kept),
        cmocka_unit_test(root_can_not_be_had_back),
        cmocka_unit_test(a_dropped_process_executes_nothing_with_more_rights),
        cmocka_unit_test(what_root_had_read_gets_into_no_core_file),
        cmocka_unit_test(dropping_to_root_is_refused),
        cmocka_unit_test(a_process_that_stays_root_has_no_capability_left),
        IN_SCENE(the_mode_decides_what_another_user_may),
        IN_SCENE(a_group_of_the_callers_does_not_count),
        IN_SCENE(what_is_missing_is_told_from_what_is_closed),
        IN_SCENE(asking_changes_neither_the_caller_nor_his_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
