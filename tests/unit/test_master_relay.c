/*
 * Standard error is a file here, as it is to master where the log is one; children are the writers
 * into the pipe.
 */
#include "master/relay.h"

#include "util/base/log.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
    struct loop *loop;
    struct relay relay;
    int saved_stderr;
    FILE *file;
};

static int set_up(void **state)
{
    static struct scene scene;
    scene.file = tmpfile();
    scene.saved_stderr = dup(STDERR_FILENO);
    if (scene.file == NULL || dup2(fileno(scene.file), STDERR_FILENO) < 0)
        return -1;
    log_setup("test", LOG_LOGFMT, LOG_INFO);
    scene.loop = loop_new();
    memset(&scene.relay, 0, sizeof(scene.relay));
    relay_init(&scene.relay, scene.loop);
    *state = &scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    relay_close(&scene->relay);
    loop_free(scene->loop);
    (void)dup2(scene->saved_stderr, STDERR_FILENO);
    (void)close(scene->saved_stderr);
    return fclose(scene->file);
}

static void say(const struct scene *scene, const char *text)
{
    assert_int_equal(write(scene->relay.in, text, strlen(text)), strlen(text));
}

/* All that the file holds. */
static const char *read_file(const struct scene *scene)
{
    static char text[1 << 20];
    ssize_t got = pread(fileno(scene->file), text, sizeof(text) - 1, 0);
    assert_true(got >= 0);
    text[got] = '\0';
    return text;
}

static size_t file_size(const struct scene *scene)
{
    struct stat status;
    assert_int_equal(fstat(fileno(scene->file), &status), 0);
    return (size_t)status.st_size;
}

static void a_line_is_passed_on_by_the_loop(void **state)
{
    const struct scene *scene = *state;
    say(scene, "one\n");
    loop_turn(scene->loop, 1000);
    assert_string_equal(read_file(scene), "one\n");
}

static void lines_behind_it_come_after_a_rest(void **state)
{
    const struct scene *scene = *state;
    say(scene, "one\n");
    loop_turn(scene->loop, 1000);
    say(scene, "two\n");
    say(scene, "three\n");
    loop_turn(scene->loop, 0);
    assert_string_equal(read_file(scene), "one\n");
    while (file_size(scene) < strlen("one\ntwo\nthree\n"))
        loop_turn(scene->loop, 1000);
    assert_string_equal(read_file(scene), "one\ntwo\nthree\n");
}

static void the_beginning_of_a_line_waits_for_its_end(void **state)
{
    struct scene *scene = *state;
    say(scene, "one\ntw");
    relay_take(&scene->relay);
    assert_string_equal(read_file(scene), "one\n");
    say(scene, "o\n");
    relay_take(&scene->relay);
    assert_string_equal(read_file(scene), "one\ntwo\n");
}

static void what_is_longer_than_any_line_goes_in_pieces(void **state)
{
    struct scene *scene = *state;
    static char text[2 * PIPE_BUF + 10];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 2] = '\n';
    text[sizeof(text) - 1] = '\0';
    say(scene, text);
    relay_take(&scene->relay);
    assert_string_equal(read_file(scene), text);
}

static void every_line_arrives_in_order_however_many_there_are(void **state)
{
    struct scene *scene = *state;
    static char expected[1 << 20];
    size_t len = 0;
    for (unsigned i = 0; len < 300000; i++) {
        char line[200];
        int size = snprintf(line, sizeof(line), "line %u %.*s\n", i, (int)(i % 100),
                            "....................................................................."
                            "...............................");
        memcpy(expected + len, line, (size_t)size + 1);
        len += (size_t)size;
        say(scene, line);
    }
    relay_take(&scene->relay);
    assert_int_equal(file_size(scene), len);
    assert_string_equal(read_file(scene), expected);
}

static void only_a_limited_child_with_a_file_gets_the_pipe(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(relay_log_of(&scene->relay, true), scene->relay.in);
    assert_int_equal(relay_log_of(&scene->relay, false), STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(null >= 0 && dup2(null, STDERR_FILENO) >= 0);
    (void)close(null);
    assert_int_equal(relay_log_of(&scene->relay, true), STDERR_FILENO);
}

static void a_full_pipe_never_blocks_the_child(void **state)
{
    const struct scene *scene = *state;
    char line[100];
    memset(line, '\n', sizeof(line));
    int tries = 0;
    while (write(scene->relay.in, line, sizeof(line)) > 0)
        assert_true(++tries < 1000000);
    assert_true((fcntl(scene->relay.in, F_GETFL) & O_NONBLOCK) != 0);
}

static void closing_passes_on_what_is_left(void **state)
{
    struct scene *scene = *state;
    say(scene, "last\n");
    relay_close(&scene->relay);
    assert_string_equal(read_file(scene), "last\n");
    relay_init(&scene->relay, scene->loop);
}

#define with_scene(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_scene(a_line_is_passed_on_by_the_loop),
        with_scene(lines_behind_it_come_after_a_rest),
        with_scene(the_beginning_of_a_line_waits_for_its_end),
        with_scene(what_is_longer_than_any_line_goes_in_pieces),
        with_scene(every_line_arrives_in_order_however_many_there_are),
        with_scene(only_a_limited_child_with_a_file_gets_the_pipe),
        with_scene(a_full_pipe_never_blocks_the_child),
        with_scene(closing_passes_on_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
