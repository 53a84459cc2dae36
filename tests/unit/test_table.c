/* table: the text people write, the compiled file, and everything that can be wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/base/log.h"
#include "util/table/table.h"

struct fixture {
    char directory[32];
    char path[64];     /* of the text */
    char compiled[64]; /* of the compiled table */
    struct arena arena;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/test_table.XXXXXX");
    if (!mkdtemp(f->directory))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/aliases", f->directory);
    snprintf(f->compiled, sizeof f->compiled, "%s/aliases.db", f->directory);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    unlink(f->compiled);
    arena_free(&f->arena);
    int left = rmdir(f->directory); /* fails when a draft was left behind */
    free(f);
    return left;
}

static void write_octets(const char *path, const void *text, size_t size)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    fclose(out);
}

static void write_text(const char *path, const char *text)
{
    write_octets(path, text, strlen(text));
}

static void build(struct fixture *f, const char *text)
{
    struct table_problem problem;
    write_text(f->path, text);
    if (!table_build(f->path, 0600, &problem))
        fail_msg("line %u: %s", problem.line, problem.text);
}

static enum table_result get(struct fixture *f, struct table *table, const char *key,
                             struct span *value)
{
    return table_get(table, &f->arena, span_cstr(key), value);
}

static void assert_value(struct fixture *f, struct table *table, const char *key, const char *text)
{
    struct span value;
    assert_int_equal(get(f, table, key, &value), TABLE_FOUND);
    assert_int_equal(value.len, strlen(text));
    assert_memory_equal(value.data, text, value.len);
}

static const char sample[] = "# people\n"
                             "postmaster: alice\n"
                             "\n"
                             "Sales@Example.Test  bob,\n"
                             "   carol@example.test,\n"
                             "# not dave\n"
                             "\terin\n"
                             "empty\n"
                             "crlf: yes\r\n"
                             "last: line";

static void check_sample(struct fixture *f, const char *driver)
{
    struct table *table = table_open(driver, f->path);
    struct span value;
    assert_value(f, table, "postmaster", "alice");
    assert_value(f, table, "sales@example.test", "bob, carol@example.test, erin");
    assert_value(f, table, "empty", "");
    assert_value(f, table, "crlf", "yes");
    assert_value(f, table, "last", "line");
    assert_int_equal(get(f, table, "nobody", &value), TABLE_NOT_FOUND);
    assert_int_equal(get(f, table, "postmaste", &value), TABLE_NOT_FOUND);
    assert_int_equal(get(f, table, "", &value), TABLE_NOT_FOUND);
    table_close(table);
}

static void both_drivers_answer_the_same(void **state)
{
    struct fixture *f = *state;
    build(f, sample);
    check_sample(f, "db");
    check_sample(f, "text");
}

static void an_unknown_driver_is_none(void **state)
{
    struct fixture *f = *state;
    assert_null(table_open("oracle", f->path));
}

static void a_table_without_entries_finds_nothing(void **state)
{
    struct fixture *f = *state;
    struct span value;
    build(f, "# nobody yet\n");
    struct table *table = table_open("db", f->path);
    assert_int_equal(get(f, table, "x", &value), TABLE_NOT_FOUND);
    table_close(table);
}

static void a_rebuilt_table_counts_at_the_next_lookup(void **state)
{
    struct fixture *f = *state;
    build(f, "key: one\n");
    struct table *table = table_open("db", f->path);
    assert_value(f, table, "key", "one");
    build(f, "key: two\n");
    assert_value(f, table, "key", "two");
    build(f, "other: three\n");
    struct span value;
    assert_int_equal(get(f, table, "key", &value), TABLE_NOT_FOUND);
    assert_value(f, table, "other", "three");
    table_close(table);
}

static void a_missing_table_is_an_error_until_it_is_there(void **state)
{
    struct fixture *f = *state;
    static const char *const driver_names[] = {"db", "text"};
    for (size_t i = 0; i < 2; i++) {
        struct table *table = table_open(driver_names[i], f->path);
        struct span value;
        assert_int_equal(get(f, table, "key", &value), TABLE_ERROR);
        build(f, "key: one\n");
        assert_value(f, table, "key", "one");
        unlink(f->compiled);
        unlink(f->path);
        assert_int_equal(get(f, table, "key", &value), TABLE_ERROR);
        table_close(table);
    }
}

static void a_damaged_table_is_an_error_never_unknown(void **state)
{
    struct fixture *f = *state;
    struct span value;
    static const size_t sizes[] = {0, 1, 511, 4096, 6000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        build(f, "key: one\n");
        assert_int_equal(truncate(f->compiled, (off_t)sizes[i]), 0);
        struct table *table = table_open("db", f->path);
        assert_int_equal(get(f, table, "key", &value), TABLE_ERROR);
        assert_int_equal(get(f, table, "nobody", &value), TABLE_ERROR);
        table_close(table);
    }
    char garbage[8192];
    memset(garbage, 0x5a, sizeof garbage);
    write_octets(f->compiled, garbage, sizeof garbage);
    struct table *table = table_open("db", f->path);
    assert_int_equal(get(f, table, "key", &value), TABLE_ERROR);
    build(f, "key: again\n");
    assert_value(f, table, "key", "again");
    table_close(table);
}

static void a_flipped_octet_of_the_entries_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct span value;
    build(f, "key: one\n");
    int fd = open(f->compiled, O_RDWR);
    char octet;
    off_t end = lseek(fd, -3, SEEK_END); /* Berkeley DB fills pages from their end */
    assert_int_equal(pread(fd, &octet, 1, end), 1);
    octet ^= 0x40;
    assert_int_equal(pwrite(fd, &octet, 1, end), 1);
    close(fd);
    struct table *table = table_open("db", f->path);
    assert_int_equal(get(f, table, "key", &value), TABLE_ERROR);
    table_close(table);
}

static const struct bad_text {
    const char *text;
    size_t size;
    unsigned line;
    const char *says;
} bad_texts[] = {
    {"a: 1\nb: 2\n\nA: 3\n", 16, 4, "'a' stands here a second time"},
    {" a: 1\n", 6, 1, "this is no entry"},
    {"a: 1\n: 2\n", 9, 2, "this is no entry"},
    {"a: 1\nb: \x1b[2J\n", 13, 2, "this is no entry"},
    {"alice: bob\n\0bob: mallory\ncarol: x\n", 34, 2, "this is no entry"},
    {"a: 1\n\n b\x7f\n", 10, 3, "this is no entry"},
};

static void a_bad_text_keeps_the_old_table_and_names_the_line(void **state)
{
    struct fixture *f = *state;
    build(f, "key: one\n");
    struct table *table = table_open("db", f->path);
    for (size_t i = 0; i < sizeof bad_texts / sizeof *bad_texts; i++) {
        struct table_problem problem;
        write_octets(f->path, bad_texts[i].text, bad_texts[i].size);
        assert_false(table_build(f->path, 0600, &problem));
        assert_int_equal(problem.line, bad_texts[i].line);
        assert_non_null(strstr(problem.text, bad_texts[i].says));
        assert_value(f, table, "key", "one");
    }
    table_close(table);
}

static void building_without_a_text_says_so(void **state)
{
    struct fixture *f = *state;
    struct table_problem problem;
    assert_false(table_build(f->path, 0600, &problem));
    assert_int_equal(problem.line, 0);
    assert_non_null(strstr(problem.text, "can not be read"));
    assert_false(table_build("/nonexistent/aliases", 0600, &problem));
    assert_non_null(strstr(problem.text, "can not be made"));
}

/* Files may grow to so many octets: the build fails where Berkeley DB makes the draft, or while its
 * pages are written. The fixture finds whatever it leaves behind. */
static void a_build_that_finds_no_room_leaves_nothing_behind(void **state)
{
    static const rlim_t limits[] = {0, 512, 4096, 8191, 8192, 12288};
    struct fixture *f = *state;
    struct rlimit before;
    build(f, "key: one\n");
    FILE *out = fopen(f->path, "w");
    for (int i = 0; i < 1000; i++)
        fprintf(out, "user%d@example.test: target%d\n", i, i);
    fclose(out);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const struct rlimit limit = {limits[i], before.rlim_max};
        struct table_problem problem;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        bool built = table_build(f->path, 0600, &problem);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_false(built);
        assert_non_null(strstr(problem.text, "File too large"));
    }
    struct table *table = table_open("db", f->path);
    assert_value(f, table, "key", "one");
    table_close(table);
}

static void the_mode_is_the_one_that_was_asked_for(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    mode_t mask = umask(0);
    build(f, "key: one\n");
    umask(mask);
    assert_int_equal(stat(f->compiled, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static bool stop_at_second(void *arg, struct span key, struct span value, unsigned line)
{
    unsigned *calls = arg;
    assert_int_equal(key.len, 1);
    assert_int_equal(value.len, 1);
    assert_int_equal(line, *calls + 1);
    return ++*calls < 2;
}

static void reading_stops_when_it_is_told_to(void **state)
{
    struct fixture *f = *state;
    unsigned calls = 0, line = 0;
    write_text(f->path, "a 1\nb 2\nc 3\n");
    assert_false(table_read_text(f->path, stop_at_second, &calls, &line));
    assert_int_equal(errno, 0);
    assert_int_equal(calls, 2);
    assert_int_equal(line, 2);
}

static void a_line_without_end_is_refused(void **state)
{
    struct fixture *f = *state;
    struct table_problem problem;
    size_t size = 3 << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    write_octets(f->path, text, size);
    free(text);
    assert_false(table_build(f->path, 0600, &problem));
    assert_int_equal(problem.line, 1);
}

static void ten_thousand_entries_are_all_found(void **state)
{
    struct fixture *f = *state;
    struct table_problem problem;
    FILE *out = fopen(f->path, "w");
    for (int i = 0; i < 10000; i++)
        fprintf(out, "user%d@example.test: target%d\n", i, i);
    fclose(out);
    assert_true(table_build(f->path, 0600, &problem));
    struct table *table = table_open("db", f->path);
    for (int i = 0; i < 10000; i += 7) {
        char key[64], value[64];
        snprintf(key, sizeof key, "user%d@example.test", i);
        snprintf(value, sizeof value, "target%d", i);
        assert_value(f, table, key, value);
    }
    table_close(table);
}

int main(void)
{
#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TABLE_TEST(both_drivers_answer_the_same),
        TABLE_TEST(an_unknown_driver_is_none),
        TABLE_TEST(a_table_without_entries_finds_nothing),
        TABLE_TEST(a_rebuilt_table_counts_at_the_next_lookup),
        TABLE_TEST(a_missing_table_is_an_error_until_it_is_there),
        TABLE_TEST(a_damaged_table_is_an_error_never_unknown),
        TABLE_TEST(a_flipped_octet_of_the_entries_is_an_error),
        TABLE_TEST(a_bad_text_keeps_the_old_table_and_names_the_line),
        TABLE_TEST(building_without_a_text_says_so),
        TABLE_TEST(a_build_that_finds_no_room_leaves_nothing_behind),
        TABLE_TEST(the_mode_is_the_one_that_was_asked_for),
        TABLE_TEST(reading_stops_when_it_is_told_to),
        TABLE_TEST(a_line_without_end_is_refused),
        TABLE_TEST(ten_thousand_entries_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
