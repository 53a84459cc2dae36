/*
 * What master makes and locks before it starts anybody, and what it refuses to touch.
 */
#include "master/configuration.h"
#include "master/directories.h"
#include "master/locks.h"
#include "util/sys/privileges.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct span directory;
    struct buf complaints;
    struct conf conf;
};

static struct span beneath(struct fixture *fixture, const char *name)
{
    return arena_printf(&fixture->arena, "%s/%s", fixture->directory.data, name);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    char path[] = "/tmp/veredus-master-XXXXXX";
    assert_non_null(mkdtemp(path));
    fixture->directory = arena_copy(&fixture->arena, span_cstr(path));
    /* Roles have to pass it, and mkdtemp lets nobody. */
    assert_int_equal(chmod(path, 0711), 0);
    /* A user that every system has, for a run of the tests as root. */
    fixture->conf.separate_users = true;
    fixture->conf.user_service = fixture->conf.user_queue = SPAN("nobody");
    fixture->conf.user_mail = fixture->conf.user_auth = SPAN("nobody");
    fixture->conf.run_directory = beneath(fixture, "run/deep");
    fixture->conf.spool_directory = beneath(fixture, "spool");
    fixture->conf.mail_root = beneath(fixture, "mail");
    fixture->conf.table_directory = fixture->directory;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct span command = arena_printf(&fixture->arena, "rm -rf '%s'", fixture->directory.data);
    assert_int_equal(system(command.data), 0);
    buf_free(&fixture->complaints);
    arena_free(&fixture->arena);
    mem_free(fixture);
    return 0;
}

static bool contains(struct span text, struct span part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (span_has_prefix(span_skip(text, i), part))
            return true;
    return false;
}

static void assert_complained(struct fixture *fixture, const char *about)
{
    if (!contains(buf_span(&fixture->complaints), span_cstr(about)))
        fail_msg("not said: %s", about);
}

static void write_file(struct span path, const char *text, mode_t mode)
{
    int fd = open(path.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

/* ---- directories ---- */

static bool make_directories(struct fixture *fixture)
{
    return directories_make(&fixture->conf, complaint_note, &fixture->complaints) == EX_OK;
}

/* The user that the roles of the fixture have; only root can, and only for root it matters. */
static void give_to_nobody(struct span path)
{
    struct privileges nobody;
    assert_true(privileges_of("nobody", &nobody));
    if (geteuid() == 0)
        assert_int_equal(chown(path.data, nobody.uid, nobody.gid), 0);
}

static mode_t mode_of(struct span path)
{
    struct stat status;
    assert_int_equal(lstat(path.data, &status), 0);
    return status.st_mode & 07777;
}

static void missing_directories_are_made_with_their_modes(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {
        {"run/deep", 0755},    {"run/deep/empty", 0555}, {"spool", 0700},
        {"spool/queue", 0700}, {"spool/corrupt", 0700},  {"mail", 0700},
    };
    assert_true(make_directories(fixture));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(mode_of(beneath(fixture, rows[i].name)), rows[i].mode);
}

static void existing_directories_keep_their_modes(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkdir(fixture->conf.mail_root.data, 0711), 0);
    give_to_nobody(fixture->conf.mail_root);
    assert_true(make_directories(fixture));
    assert_int_equal(mode_of(fixture->conf.mail_root), 0711);
}

static void made_directories_belong_to_their_role_when_root(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    assert_true(make_directories(fixture));
    assert_int_equal(lstat(fixture->conf.spool_directory.data, &status), 0);
    if (geteuid() == 0)
        assert_int_not_equal(status.st_uid, 0);
    else
        assert_int_equal(status.st_uid, geteuid());
}

static void the_umask_does_not_narrow_what_is_made(void **state)
{
    struct fixture *fixture = *state;
    mode_t before = umask(077);
    bool good = make_directories(fixture);
    (void)umask(before);
    assert_true(good);
    assert_int_equal(mode_of(beneath(fixture, "run")), 0755);
    assert_int_equal(mode_of(beneath(fixture, "run/deep")), 0755);
}

static int make_and_tell_code(struct fixture *fixture)
{
    return directories_make(&fixture->conf, complaint_note, &fixture->complaints);
}

static void a_missing_user_is_named_before_anything_is_made(void **state)
{
    struct fixture *fixture = *state;
    fixture->conf.user_queue = SPAN("veredus-nobody-has");
    if (geteuid() == 0) {
        assert_int_equal(make_and_tell_code(fixture), EX_NOUSER);
        assert_complained(fixture, "veredus-nobody-has: there is no such system user (queue_user)");
        assert_int_equal(access(fixture->conf.run_directory.data, F_OK), -1);
    } else {
        assert_int_equal(make_and_tell_code(fixture), EX_OK);
    }
}

static void a_directory_that_is_roots_is_not_taken_for_a_roles(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkdir(fixture->conf.spool_directory.data, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(make_and_tell_code(fixture), EX_NOPERM);
        assert_complained(fixture, "must belong to nobody; chown -R nobody: ");
        assert_complained(fixture, fixture->conf.spool_directory.data);
    } else {
        assert_int_equal(make_and_tell_code(fixture), EX_OK);
    }
}

static void what_can_not_be_made_has_a_code_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->conf.mail_root, "", 0600);
    assert_int_equal(make_and_tell_code(fixture), EX_CANTCREAT);
}

static void root_follows_no_symbolic_link(void **state)
{
    struct fixture *fixture = *state;
    struct span target = beneath(fixture, "elsewhere");
    assert_int_equal(mkdir(target.data, 0700), 0);
    assert_int_equal(symlink(target.data, fixture->conf.spool_directory.data), 0);
    if (geteuid() == 0) {
        assert_false(make_directories(fixture));
        assert_complained(fixture, "symbolic link");
        assert_int_equal(directory_open(fixture->conf.spool_directory.data), -1);
    } else {
        assert_true(make_directories(fixture));
    }
}

static void a_file_in_the_way_is_refused(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->conf.spool_directory, "", 0600);
    assert_false(make_directories(fixture));
    assert_complained(fixture, fixture->conf.spool_directory.data);
}

/* ---- locks ---- */

static bool take_locks(struct fixture *fixture, struct locks *locks)
{
    return locks_take(locks, &fixture->conf, complaint_note, &fixture->complaints);
}

static void the_pid_file_holds_the_pid(void **state)
{
    struct fixture *fixture = *state;
    struct locks locks;
    char text[32] = {0};
    assert_true(make_directories(fixture) && take_locks(fixture, &locks));
    struct span path = beneath(fixture, "run/deep/master.pid");
    int fd = open(path.data, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    assert_int_equal(strtol(text, NULL, 10), getpid());
    locks_release(&locks);
    assert_int_equal(access(path.data, F_OK), -1);
}

static void a_second_master_on_the_run_directory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct locks first, second;
    assert_true(make_directories(fixture) && take_locks(fixture, &first));
    fixture->conf.spool_directory = beneath(fixture, "spool2");
    assert_true(make_directories(fixture));
    assert_false(take_locks(fixture, &second));
    assert_complained(fixture, "another master");
    locks_release(&first);
}

static void a_second_master_on_the_spool_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct locks first, second;
    assert_true(make_directories(fixture) && take_locks(fixture, &first));
    fixture->conf.run_directory = beneath(fixture, "run2");
    assert_true(make_directories(fixture));
    assert_false(take_locks(fixture, &second));
    assert_complained(fixture, "another master");
    locks_release(&first);
}

static void locks_can_be_taken_again_after_release(void **state)
{
    struct fixture *fixture = *state;
    struct locks locks;
    assert_true(make_directories(fixture));
    for (int i = 0; i < 3; i++) {
        assert_true(take_locks(fixture, &locks));
        locks_release(&locks);
    }
}

static void a_lock_that_is_no_plain_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct locks locks;
    struct span lock = beneath(fixture, "spool/master.lock");
    struct span secret = beneath(fixture, "secret");
    assert_true(make_directories(fixture));
    write_file(secret, "untouched", 0600);

    assert_int_equal(symlink(secret.data, lock.data), 0);
    assert_false(take_locks(fixture, &locks));
    assert_int_equal(unlink(lock.data), 0);
    assert_int_equal(link(secret.data, lock.data), 0);
    assert_false(take_locks(fixture, &locks));
    assert_int_equal(unlink(lock.data), 0);
    assert_int_equal(mkfifo(lock.data, 0600), 0);
    assert_false(take_locks(fixture, &locks));
    assert_complained(fixture, "master.lock");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(missing_directories_are_made_with_their_modes),
        TEST(existing_directories_keep_their_modes),
        TEST(made_directories_belong_to_their_role_when_root),
        TEST(the_umask_does_not_narrow_what_is_made),
        TEST(a_missing_user_is_named_before_anything_is_made),
        TEST(a_directory_that_is_roots_is_not_taken_for_a_roles),
        TEST(what_can_not_be_made_has_a_code_of_its_own),
        TEST(root_follows_no_symbolic_link),
        TEST(a_file_in_the_way_is_refused),
        TEST(the_pid_file_holds_the_pid),
        TEST(a_second_master_on_the_run_directory_is_refused),
        TEST(a_second_master_on_the_spool_is_refused),
        TEST(locks_can_be_taken_again_after_release),
        TEST(a_lock_that_is_no_plain_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
