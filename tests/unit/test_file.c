/*
 * Writing all of something, with a disk that takes only a part of it at a time.
 */
#include "util/sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 1 << 18 /* more than a pipe holds */ };

static char octets[SIZE];

/* Exits with 0 when all that was written arrives. */
static void read_all(int fd)
{
    size_t got = 0;
    char part[1000];
    ssize_t count;
    while ((count = read(fd, part, sizeof(part))) > 0) {
        if (memcmp(part, octets + got, (size_t)count) != 0)
            _exit(1);
        got += (size_t)count;
    }
    _exit(got == SIZE ? 0 : 2);
}

static void writes_all_to_one_who_reads_slowly(void **state)
{
    (void)state;
    int ends[2], status = -1;
    for (size_t i = 0; i < SIZE; i++)
        octets[i] = (char)(i % 251);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t reader = fork();
    assert_true(reader >= 0);
    if (reader == 0) {
        (void)close(ends[1]);
        read_all(ends[0]);
    }
    (void)close(ends[0]);
    assert_true(file_write(ends[1], span_of(octets, SIZE)));
    (void)close(ends[1]);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
}

static void goes_on_behind_a_short_write_until_the_error(void **state)
{
    (void)state;
    char name[] = "/tmp/veredus-file-XXXXXX";
    struct rlimit before, small;
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    (void)unlink(name);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool good = file_write(fd, span_of(octets, SIZE));
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(good);
    assert_int_equal(error, EFBIG);
    assert_int_equal(lseek(fd, 0, SEEK_END), 1000);
    (void)close(fd);
}

static void nothing_is_written_without_a_call(void **state)
{
    (void)state;
    assert_true(file_write(-1, SPAN("")));
    assert_false(file_write(-1, SPAN("a")));
    assert_int_equal(errno, EBADF);
}

static void what_is_closed_is_closed_once(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int fd = ends[1];
    file_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(write(ends[1], "x", 1), -1);
    /* The number may be somebody else's by now. */
    int other = dup2(ends[0], ends[1]);
    file_close(&fd);
    assert_true(fcntl(other, F_GETFD) >= 0);
    file_close(&other);
    file_close(&ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_closed_is_closed_once),
        cmocka_unit_test(writes_all_to_one_who_reads_slowly),
        cmocka_unit_test(goes_on_behind_a_short_write_until_the_error),
        cmocka_unit_test(nothing_is_written_without_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
