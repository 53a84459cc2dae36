/* Listening sockets with names: who may connect, and what lies there already. */
#include "master/listeners.h"
#include "master/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

struct fixture {
    char directory[40], path[60];
    struct conf_listen listen;
    char complaint[300];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    (void)snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/veredus-socket-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/smtp.sock", fixture->directory);
    fixture->listen = (struct conf_listen){.name = SPAN("local"),
                                           .line = 3,
                                           .service = SERVICE_SMTP,
                                           .path = span_cstr(fixture->path),
                                           .mode = SOCKET_MODE_ALL};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)unlink(fixture->path);
    assert_int_equal(rmdir(fixture->directory), 0);
    free(fixture);
    return 0;
}

static bool can_connect(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool good = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    (void)close(fd);
    return good;
}

static mode_t mode_of(const struct fixture *fixture)
{
    struct stat status;
    assert_int_equal(lstat(fixture->path, &status), 0);
    return status.st_mode;
}

static bool exists(const struct fixture *fixture)
{
    struct stat status;
    return lstat(fixture->path, &status) == 0;
}

static void make_file(const struct fixture *fixture)
{
    int fd = open(fixture->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void socket_has_its_mode_whatever_the_umask(void **state)
{
    static const struct {
        enum conf_socket_mode mode;
        mode_t expected;
    } rows[] = {{SOCKET_MODE_OWNER, 0600}, {SOCKET_MODE_GROUP, 0660}, {SOCKET_MODE_ALL, 0666}};
    struct fixture *fixture = *state;
    mode_t before = umask(077);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fixture->listen.mode = rows[i].mode;
        int fd = unix_socket_listen(&fixture->listen, 1);
        assert_true(fd >= 0);
        assert_int_equal(mode_of(fixture), S_IFSOCK | rows[i].expected);
        assert_true(can_connect(fixture));
        (void)close(fd);
        unix_socket_remove(fixture->path);
        assert_false(exists(fixture));
    }
    (void)umask(before);
}

static void owner_may_be_named(void **state)
{
    struct fixture *fixture = *state;
    char owner[200];
    const struct passwd *user = getpwuid(getuid());
    const struct group *group = getgrgid(getgid());
    assert_true(user != NULL && group != NULL);
    (void)snprintf(owner, sizeof(owner), "%s:%s", user->pw_name, group->gr_name);
    fixture->listen.owner = span_cstr(owner);
    int fd = unix_socket_listen(&fixture->listen, 1);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void owner_that_does_not_exist_leaves_no_socket(void **state)
{
    static const struct span owners[] = {SPAN_INIT("no-such-user"), SPAN_INIT(":no-such-group"),
                                         SPAN_INIT("root:no-such-group")};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
        fixture->listen.owner = owners[i];
        assert_int_equal(unix_socket_listen(&fixture->listen, 1), -1);
        assert_int_equal(errno, EINVAL);
        assert_false(exists(fixture));
    }
}

static void socket_of_a_dead_server_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    int dead = unix_socket_listen(&fixture->listen, 1);
    assert_true(dead >= 0);
    (void)close(dead);
    assert_true(exists(fixture) && !can_connect(fixture));
    int fd = unix_socket_listen(&fixture->listen, 1);
    assert_true(fd >= 0);
    assert_true(can_connect(fixture));
    (void)close(fd);
}

static void socket_of_a_living_server_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    int living = unix_socket_listen(&fixture->listen, 8);
    assert_true(living >= 0);
    assert_int_equal(unix_socket_listen(&fixture->listen, 1), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_true(can_connect(fixture));
    (void)close(living);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    make_file(fixture);
    assert_int_equal(unix_socket_listen(&fixture->listen, 1), -1);
    assert_int_equal(errno, EADDRINUSE);
    unix_socket_remove(fixture->path);
    assert_int_equal(mode_of(fixture), S_IFREG | 0600);
    assert_false(unix_socket_settle(&fixture->listen));
    assert_int_equal(mode_of(fixture), S_IFREG | 0600);
}

static void link_in_its_place_is_not_followed(void **state)
{
    struct fixture *fixture = *state;
    char target[60];
    struct stat status;
    (void)snprintf(target, sizeof(target), "%s/target", fixture->directory);
    int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(symlink(target, fixture->path), 0);
    assert_int_equal(unix_socket_listen(&fixture->listen, 1), -1);
    assert_false(unix_socket_settle(&fixture->listen));
    unix_socket_remove(fixture->path);
    assert_true(S_ISLNK(mode_of(fixture)));
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    (void)close(fd);
    assert_int_equal(unlink(target), 0);
}

static void directory_that_is_missing_is_not_made(void **state)
{
    struct fixture *fixture = *state;
    fixture->listen.path = SPAN("/tmp/veredus-no-such-directory/smtp.sock");
    assert_int_equal(unix_socket_listen(&fixture->listen, 1), -1);
    assert_int_equal(errno, ENOENT);
}

static void remember(void *arg, const char *sentence)
{
    struct fixture *fixture = arg;
    (void)snprintf(fixture->complaint, sizeof(fixture->complaint), "%s", sentence);
}

static void listener_with_a_path_stays_over_a_reload_and_ends_with_it(void **state)
{
    struct fixture *fixture = *state;
    struct listeners listeners = {0};
    const struct conf_listens wanted = {&fixture->listen, 1}, none = {NULL, 0};
    assert_true(listeners_update(&listeners, &wanted, remember, fixture));
    int fd = listeners.items[0].fd;
    fixture->listen.mode = SOCKET_MODE_OWNER;
    assert_true(listeners_update(&listeners, &wanted, remember, fixture));
    assert_int_equal(listeners.items[0].fd, fd);
    assert_int_equal(mode_of(fixture), S_IFSOCK | 0600);
    assert_true(can_connect(fixture));
    assert_true(listeners_update(&listeners, &none, remember, fixture));
    assert_false(exists(fixture));
}

static void listener_that_can_not_be_bound_is_named_with_its_path(void **state)
{
    struct fixture *fixture = *state;
    struct listeners listeners = {0};
    const struct conf_listens wanted = {&fixture->listen, 1};
    make_file(fixture);
    assert_false(listeners_update(&listeners, &wanted, remember, fixture));
    assert_non_null(strstr(fixture->complaint, "listen \"local\" (line 3): /tmp/veredus-socket-"));
    assert_non_null(strstr(fixture->complaint, "smtp.sock can not be bound: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(socket_has_its_mode_whatever_the_umask),
        TEST(owner_may_be_named),
        TEST(owner_that_does_not_exist_leaves_no_socket),
        TEST(socket_of_a_dead_server_is_replaced),
        TEST(socket_of_a_living_server_is_left_alone),
        TEST(what_is_no_socket_is_left_alone),
        TEST(link_in_its_place_is_not_followed),
        TEST(directory_that_is_missing_is_not_made),
        TEST(listener_with_a_path_stays_over_a_reload_and_ends_with_it),
        TEST(listener_that_can_not_be_bound_is_named_with_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
