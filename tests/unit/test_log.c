/*
 * Standard error is one end of a datagram pair here: what is received at once was written at once,
 * so each test sees lines exactly as write(2) made them. The state of the log is set anew by each
 * test.
 */
#include "util/base/log.h"

#include "util/base/clock.h"
#include "util/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct capture {
    int saved_stderr;
    int receiver;
    char line[16384];
};

static int start_capture(void **state)
{
    static struct capture capture;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    capture.saved_stderr = dup(STDERR_FILENO);
    capture.receiver = ends[0];
    if (capture.saved_stderr < 0 || dup2(ends[1], STDERR_FILENO) < 0)
        return -1;
    (void)close(ends[1]);
    log_setup("test", LOG_LOGFMT, LOG_DEBUG);
    /* What the test before lost is said here and nothing to this one. */
    log_event(LOG_INFO, "begin", LOG_UINT("n", 1));
    while (recv(capture.receiver, capture.line, sizeof(capture.line), MSG_DONTWAIT) > 0)
        ;
    *state = &capture;
    return 0;
}

static int stop_capture(void **state)
{
    struct capture *capture = *state;
    (void)dup2(capture->saved_stderr, STDERR_FILENO);
    (void)close(capture->saved_stderr);
    return close(capture->receiver);
}

/* The next write, NUL-terminated; empty when there was none. */
static const char *next_write(struct capture *capture)
{
    ssize_t got = recv(capture->receiver, capture->line, sizeof(capture->line) - 1, MSG_DONTWAIT);
    capture->line[got > 0 ? got : 0] = '\0';
    return capture->line;
}

/* What the next write says behind its event=..., or "event":..., without the line feed. */
static const char *next_fields(struct capture *capture)
{
    char *line = (char *)(uintptr_t)next_write(capture);
    size_t len = strlen(line);
    assert_true(len > 0 && line[len - 1] == '\n');
    line[len - 1] = '\0';
    const char *fields = strstr(line, " event=e ");
    if (fields != NULL)
        return fields + strlen(" event=e ");
    fields = strstr(line, ",\"event\":\"e\",");
    assert_non_null(fields);
    return fields + strlen(",\"event\":\"e\",");
}

static void line_begins_with_who_and_what(void **state)
{
    struct capture *capture = *state;
    log_event(LOG_INFO, "recipient-refused", LOG_SPAN("to", SPAN("<bob@example.test>")),
              LOG_UINT("code", 550), LOG_STR("reason", "unknown user"));
    const char *line = next_write(capture);

    char expected[200];
    (void)snprintf(expected, sizeof(expected),
                   " level=info process=test pid=%d event=recipient-refused"
                   " to=<bob@example.test> code=550 reason=\"unknown user\"\n",
                   (int)getpid());
    assert_memory_equal(line, "time=", 5);
    assert_string_equal(strchr(line, ' '), expected);
}

static void json_line_begins_with_who_and_what(void **state)
{
    struct capture *capture = *state;
    log_setup("test", LOG_JSON, LOG_DEBUG);
    log_event(LOG_WARN, "recipient-refused", LOG_STR("to", "<bob@example.test>"),
              LOG_UINT("code", 550), LOG_INT("delta", -7));
    const char *line = next_write(capture);

    char expected[200];
    (void)snprintf(expected, sizeof(expected),
                   ",\"level\":\"warn\",\"process\":\"test\",\"pid\":%d,"
                   "\"event\":\"recipient-refused\",\"to\":\"<bob@example.test>\","
                   "\"code\":550,\"delta\":-7}\n",
                   (int)getpid());
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_string_equal(strchr(line, ','), expected);
}

/* The C library reads the time back: the calendar of the log is its own. */
static void time_is_now_in_utc(void **state)
{
    struct capture *capture = *state;
    time_t before = (time_t)clock_wall();
    log_event(LOG_INFO, "e", LOG_UINT("n", 1));
    time_t after = (time_t)clock_wall();

    struct tm tm = {0};
    const char *line = next_write(capture);
    const char *rest = strptime(line, "time=%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(rest);
    time_t written = timegm(&tm);
    assert_true(before <= written && written <= after);
    assert_int_equal(rest[0], '.');
    assert_int_equal(strspn(rest + 1, "0123456789"), 6);
    assert_memory_equal(rest + 7, "Z ", 2);
}

static void numbers_of_any_size(void **state)
{
    struct capture *capture = *state;
    log_event(LOG_INFO, "e", LOG_UINT("most", UINT64_MAX), LOG_UINT("zero", 0),
              LOG_INT("least", INT64_MIN), LOG_INT("one", -1));
    assert_string_equal(next_fields(capture), "most=18446744073709551615 zero=0 "
                                              "least=-9223372036854775808 one=-1");
}

static void ids_are_texts_in_base_32(void **state)
{
    struct capture *capture = *state;
    log_event(LOG_INFO, "e", LOG_ID("none", 0), LOG_ID("session", 32), LOG_ID("most", UINT64_MAX));
    assert_string_equal(next_fields(capture), "none=0 session=10 most=GZZZZZZZZZZZZ");
    log_setup("test", LOG_JSON, LOG_INFO);
    log_event(LOG_INFO, "e", LOG_ID("session", 32));
    assert_non_null(strstr(next_write(capture), "\"session\":\"10\""));
}

static const struct {
    struct span value;
    const char *logfmt, *json;
} escapes[] = {
    {SPAN_INIT("plain"), "v=plain", "\"v\":\"plain\"}"},
    {SPAN_INIT(""), "v=\"\"", "\"v\":\"\"}"},
    {{NULL, 0}, "v=\"\"", "\"v\":\"\"}"},
    {SPAN_INIT("two words"), "v=\"two words\"", "\"v\":\"two words\"}"},
    {SPAN_INIT("a=b"), "v=\"a=b\"", "\"v\":\"a=b\"}"},
    {SPAN_INIT("say \"hi\""), "v=\"say \\\"hi\\\"\"", "\"v\":\"say \\\"hi\\\"\"}"},
    {SPAN_INIT("\""), "v=\"\\\"\"", "\"v\":\"\\\"\"}"},
    {SPAN_INIT("a\\b"), "v=\"a\\x5cb\"", "\"v\":\"a\\\\x5cb\"}"},
    {SPAN_INIT("a\nlevel=error"), "v=\"a\\x0alevel=error\"", "\"v\":\"a\\\\x0alevel=error\"}"},
    {SPAN_INIT("\r\n"), "v=\"\\x0d\\x0a\"", "\"v\":\"\\\\x0d\\\\x0a\"}"},
    {SPAN_INIT("a\0b"), "v=\"a\\x00b\"", "\"v\":\"a\\\\x00b\"}"},
    {SPAN_INIT("\x1b[2J"), "v=\"\\x1b[2J\"", "\"v\":\"\\\\x1b[2J\"}"},
    {SPAN_INIT("\x7f\x80\xff"), "v=\"\\x7f\\x80\\xff\"", "\"v\":\"\\\\x7f\\\\x80\\\\xff\"}"},
    {SPAN_INIT("~!"), "v=~!", "\"v\":\"~!\"}"},
    {SPAN_INIT("\x0a\x0b\""), "v=\"\\x0a\\x0b\\\"\"", "\"v\":\"\\\\x0a\\\\x0b\\\"\"}"},
};

static void foreign_octets_are_escaped_in_logfmt(void **state)
{
    struct capture *capture = *state;
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        log_event(LOG_INFO, "e", LOG_SPAN("v", escapes[i].value));
        assert_string_equal(next_fields(capture), escapes[i].logfmt);
    }
}

static void foreign_octets_are_escaped_in_json(void **state)
{
    struct capture *capture = *state;
    log_setup("test", LOG_JSON, LOG_DEBUG);
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        log_event(LOG_INFO, "e", LOG_SPAN("v", escapes[i].value));
        assert_string_equal(next_fields(capture), escapes[i].json);
    }
}

static void every_octet_leaves_one_printable_line(void **state)
{
    struct capture *capture = *state;
    static const enum log_format formats[] = {LOG_LOGFMT, LOG_JSON};
    for (size_t f = 0; f < 2; f++) {
        log_setup("test", formats[f], LOG_DEBUG);
        for (int octet = 0; octet < 256; octet++) {
            char value = (char)octet;
            log_event(LOG_INFO, "e", LOG_SPAN("v", span_of(&value, 1)));
            const char *fields = next_fields(capture);
            for (; *fields != '\0'; fields++)
                assert_true(*fields >= ' ' && *fields <= '~');
        }
    }
}

static void value_is_shown_whole_up_to_its_bound(void **state)
{
    struct capture *capture = *state;
    char value[1024];
    memset(value, 'a', sizeof(value));
    log_event(LOG_INFO, "e", LOG_SPAN("v", span_of(value, sizeof(value))), LOG_UINT("n", 1));
    const char *fields = next_fields(capture);
    assert_int_equal(strspn(fields + 2, "a"), 1024);
    assert_string_equal(fields + 2 + 1024, " n=1");
}

static void longer_value_ends_with_dots(void **state)
{
    struct capture *capture = *state;
    char value[1025];
    memset(value, 'a', sizeof(value));
    log_event(LOG_INFO, "e", LOG_SPAN("v", span_of(value, sizeof(value))), LOG_UINT("n", 1));
    const char *fields = next_fields(capture);
    assert_int_equal(strspn(fields + 2, "a"), 1024);
    assert_string_equal(fields + 2 + 1024, "... n=1");
}

/* An escape of \n has four octets in logfmt, five in JSON. */
static void bound_counts_octets_as_shown_and_cuts_no_escape(void **state)
{
    struct capture *capture = *state;
    char value[1024];
    memset(value, '\n', sizeof(value));
    value[0] = 'a';
    struct span large = span_of(value, sizeof(value));

    log_event(LOG_INFO, "e", LOG_SPAN("v", large), LOG_UINT("n", 1));
    const char *fields = next_fields(capture);
    assert_memory_equal(fields, "v=\"a\\x0a", 8);
    assert_string_equal(fields + 3 + 1 + 4 * 255, "...\" n=1");

    log_setup("test", LOG_JSON, LOG_DEBUG);
    log_event(LOG_INFO, "e", LOG_SPAN("v", large), LOG_UINT("n", 1));
    fields = next_fields(capture);
    assert_memory_equal(fields, "\"v\":\"a\\\\x0a", 11);
    assert_string_equal(fields + 5 + 1 + 5 * 204, "...\",\"n\":1}");
}

static void three_hostile_values_of_any_length_fit_a_line(void **state)
{
    struct capture *capture = *state;
    char value[3000];
    memset(value, '\xff', sizeof(value));
    struct span large = span_of(value, sizeof(value));
    log_event(LOG_INFO, "e", LOG_SPAN("a", large), LOG_SPAN("b", large), LOG_SPAN("c", large),
              LOG_UINT("n", 1));
    assert_non_null(strstr(next_fields(capture), "...\" n=1"));
}

static void field_that_does_not_fit_is_left_out_whole(void **state)
{
    struct capture *capture = *state;
    char value[1024];
    memset(value, '\n', sizeof(value));
    struct span large = span_of(value, sizeof(value));

    log_event(LOG_INFO, "e", LOG_SPAN("a", large), LOG_SPAN("b", large), LOG_SPAN("c", large),
              LOG_SPAN("d", large), LOG_UINT("m", 2));
    const char *line = next_write(capture);
    assert_null(strstr(line, " d="));
    assert_null(strstr(line, " m=2"));
    assert_string_equal(strstr(line, "...\" truncated"), "...\" truncated=true\n");

    log_setup("test", LOG_JSON, LOG_DEBUG);
    log_event(LOG_INFO, "e", LOG_SPAN("a", large), LOG_SPAN("b", large), LOG_SPAN("c", large),
              LOG_SPAN("d", large), LOG_UINT("m", 2));
    line = next_write(capture);
    assert_null(strstr(line, "\"d\":"));
    assert_string_equal(strstr(line, "...\",\"truncated"), "...\",\"truncated\":true}\n");
}

static void many_fields_fill_a_line_but_never_overflow_it(void **state)
{
    struct capture *capture = *state;
    enum { COUNT = 600 };
    struct log_field fields[COUNT + 1] = {{0}};
    /* One octet more each time moves the edge of the line through every place in a field. */
    for (size_t extra = 0; extra < 30; extra++) {
        for (size_t i = 0; i < COUNT; i++)
            fields[i] = (struct log_field)LOG_STR("name", "quite a long value");
        fields[0].text = span_first(SPAN("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), extra);
        log_write(LOG_INFO, "e", fields);
        const char *line = next_write(capture);
        size_t len = strlen(line);
        assert_true(len > 4000 && len <= PIPE_BUF);
        static const char ending[] = "name=\"quite a long value\" truncated=true\n";
        assert_string_equal(line + len - strlen(ending), ending);
    }
}

static void levels_above_the_most_are_not_written(void **state)
{
    struct capture *capture = *state;
    static const enum log_level levels[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG};
    for (size_t most = 0; most < 4; most++) {
        log_setup("test", LOG_LOGFMT, levels[most]);
        for (size_t level = 0; level < 4; level++) {
            log_event(levels[level], "e", LOG_UINT("n", 1));
            assert_int_equal(log_enabled(levels[level]), level <= most);
            assert_int_equal(next_write(capture)[0] != '\0', level <= most);
        }
    }
}

static void each_level_has_its_name(void **state)
{
    struct capture *capture = *state;
    static const struct {
        enum log_level level;
        const char *text;
    } rows[] = {{LOG_ERROR, " level=error "},
                {LOG_WARN, " level=warn "},
                {LOG_INFO, " level=info "},
                {LOG_DEBUG, " level=debug "}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        log_event(rows[i].level, "e", LOG_UINT("n", 1));
        assert_non_null(strstr(next_write(capture), rows[i].text));
    }
}

static void errno_is_left_as_it_was(void **state)
{
    struct capture *capture = *state;
    errno = ENOSPC;
    log_event(LOG_INFO, "e", LOG_UINT("n", 1));
    assert_int_equal(errno, ENOSPC);
    assert_non_null(strstr(next_write(capture), "n=1"));
}

static void errno_is_left_as_it_was_when_the_write_fails(void **state)
{
    (void)state;
    (void)close(STDERR_FILENO);
    errno = ENOSPC;
    log_event(LOG_INFO, "e", LOG_UINT("n", 1));
    assert_int_equal(errno, ENOSPC);
}

static void errno_values_have_texts(void **state)
{
    struct capture *capture = *state;
    assert_string_equal(log_errno_text(ENOENT), "No such file or directory");
    assert_string_equal(log_errno_text(99999), "unknown error");
    assert_string_equal(log_errno_text(-1), "unknown error");
    log_event(LOG_ERROR, "e", LOG_ERRNO(EACCES));
    assert_string_equal(next_fields(capture), "error=\"Permission denied\"");
}

/* How a process ends that does `action`. */
static int wait_status_of(void (*action)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        action();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void end_fatally(void)
{
    fatal(EX_NOPERM, "no %s for %d", "port", 25);
}

/* abort(3) would go through the sanitizer's handler; the default is what is tested. */
static void end_in_panic(void)
{
    (void)signal(SIGABRT, SIG_DFL);
    panic("state %d", 7);
}

static void require_what_does_not_hold(void)
{
    (void)signal(SIGABRT, SIG_DFL);
    volatile int two = 2;
    require(two == 3);
}

static void fatal_logs_and_exits_with_its_code(void **state)
{
    struct capture *capture = *state;
    int status = wait_status_of(end_fatally);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EX_NOPERM);
    const char *line = next_write(capture);
    assert_non_null(strstr(line, " level=error "));
    assert_non_null(strstr(line, " event=fatal code=77 reason=\"no port for 25\"\n"));
}

static void panic_logs_and_aborts(void **state)
{
    struct capture *capture = *state;
    int status = wait_status_of(end_in_panic);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    const char *line = next_write(capture);
    assert_non_null(strstr(line, " level=error "));
    assert_non_null(strstr(line, " event=panic reason=\"state 7\"\n"));
}

static void require_names_the_condition(void **state)
{
    struct capture *capture = *state;
    assert_true(WIFSIGNALED(wait_status_of(require_what_does_not_hold)));
    const char *line = next_write(capture);
    assert_non_null(strstr(line, "test_log.c:"));
    assert_non_null(strstr(line, "two == 3"));
}

static void require_is_silent_when_it_holds(void **state)
{
    struct capture *capture = *state;
    require(capture != NULL);
    assert_string_equal(next_write(capture), "");
}

/* ---- a reader that does not keep up ---- */

/* A pipe as master makes it, for standard error; its reading end. */
static int lead_to_pipe(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    (void)close(ends[1]);
    log_setup("test", LOG_LOGFMT, LOG_INFO);
    return ends[0];
}

static void count_lost(void *arg, uint64_t count)
{
    *(uint64_t *)arg += count;
}

/* Writes until lines are lost; how many were written before. */
static unsigned fill(const uint64_t *lost)
{
    unsigned written = 0;
    for (uint64_t before = *lost; *lost == before; written++) {
        assert_true(written < 100000);
        log_event(LOG_INFO, "e", LOG_UINT("n", written), LOG_STR("text", "as long as others"));
    }
    return written - 1;
}

/* Reads all that is there into `text`; how many lines that are. Each must be whole. */
static unsigned read_lines(int from, char *text, size_t size)
{
    size_t len = 0;
    ssize_t got;
    unsigned lines = 0;
    while ((got = read(from, text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    struct span rest = span_of(text, len), line;
    while (span_next(&rest, '\n', &line)) {
        assert_true(span_has_prefix(line, SPAN("time=")));
        lines++;
    }
    assert_true(len > 0 && text[len - 1] == '\n');
    return lines;
}

static void full_pipe_loses_whole_lines_and_counts_them(void **state)
{
    (void)state;
    static char text[1 << 17];
    uint64_t lost = 0;
    log_on_lost(count_lost, &lost);
    int reader = lead_to_pipe();
    unsigned written = fill(&lost);
    for (int i = 0; i < 41; i++)
        log_event(LOG_INFO, "e", LOG_STR("text", "lost"));
    log_on_lost(NULL, NULL);

    assert_int_equal(lost, 42);
    assert_int_equal(read_lines(reader, text, sizeof(text)), written);
    log_event(LOG_INFO, "e", LOG_STR("text", "again"));
    assert_int_equal(read_lines(reader, text, sizeof(text)), 2);
    assert_non_null(strstr(text, " level=warn "));
    assert_non_null(strstr(text, " event=log-lost count=42\n"));
    assert_non_null(strstr(strstr(text, "count=42"), "text=again"));
    log_event(LOG_INFO, "e", LOG_STR("text", "once"));
    assert_int_equal(read_lines(reader, text, sizeof(text)), 1);
    (void)close(reader);
}

/* As a disk does that is full: the limit cuts a write short. */
static void line_that_a_full_disk_cut_is_not_continued(void **state)
{
    const struct rlimit tight = {.rlim_cur = 10, .rlim_max = RLIM_INFINITY};
    const struct rlimit wide = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    char text[1024];
    int file = memfd_create("log", MFD_CLOEXEC);
    (void)state;
    assert_true(file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    log_setup("test", LOG_LOGFMT, LOG_DEBUG);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    log_event(LOG_INFO, "cut", LOG_UINT("n", 1));
    log_event(LOG_INFO, "lost", LOG_UINT("n", 2));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &wide), 0);
    log_event(LOG_INFO, "whole", LOG_UINT("n", 3));
    ssize_t size = pread(file, text, sizeof(text) - 1, 0);
    assert_true(size > 10);
    text[size] = '\0';
    assert_memory_equal(text + 10, "\ntime=", 6);
    assert_non_null(strstr(text, "event=log-lost count=2\n"));
    assert_non_null(strstr(text, "event=whole n=3\n"));
    assert_null(strstr(text, "event=lost"));
    (void)close(file);
}

static void full_socket_does_not_block_though_its_description_would(void **state)
{
    struct capture *capture = *state;
    uint64_t lost = 0;
    log_on_lost(count_lost, &lost);
    (void)fill(&lost);
    log_on_lost(NULL, NULL);
    assert_int_equal(lost, 1);
    while (next_write(capture)[0] != '\0')
        ;
    log_event(LOG_INFO, "e", LOG_UINT("n", 1));
    assert_non_null(strstr(next_write(capture), " event=log-lost count=1\n"));
    assert_string_equal(next_fields(capture), "n=1");
}

static void lines_passed_on_to_a_full_pipe_are_counted(void **state)
{
    (void)state;
    static char text[1 << 17];
    uint64_t lost = 0;
    log_on_lost(count_lost, &lost);
    int reader = lead_to_pipe();
    (void)fill(&lost);
    log_pass_on(SPAN("time=1 a\ntime=2 b\n"));
    assert_int_equal(lost, 3);
    (void)read_lines(reader, text, sizeof(text));
    log_pass_on(SPAN("time=3 a\ntime=4 b\n"));
    log_on_lost(NULL, NULL);
    assert_int_equal(read_lines(reader, text, sizeof(text)), 3);
    assert_non_null(strstr(text, "event=log-lost count=3\ntime=3 a\ntime=4 b\n"));
    (void)close(reader);
}

static void *drain_pipe(void *arg)
{
    static char text[1 << 17];
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    assert_int_equal(poll(&room, 1, 0), 0);
    assert_true(read(*(int *)arg, text, sizeof(text)) > 0);
    return NULL;
}

static void last_words_wait_for_a_reader_that_is_late(void **state)
{
    (void)state;
    static char text[1 << 17];
    uint64_t lost = 0;
    pthread_t thread;
    log_on_lost(count_lost, &lost);
    int reader = lead_to_pipe();
    (void)fill(&lost);
    log_on_lost(NULL, NULL);
    assert_int_equal(pthread_create(&thread, NULL, drain_pipe, &reader), 0);
    log_last_words("panic", (const struct log_field[]){LOG_STR("reason", "late"), {0}});
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(read_lines(reader, text, sizeof(text)) >= 2);
    assert_non_null(strstr(text, " event=log-lost count=1\n"));
    assert_non_null(strstr(text, " event=panic reason=late\n"));
    (void)close(reader);
}

static void last_words_end_though_nobody_reads(void **state)
{
    (void)state;
    uint64_t lost = 0;
    log_on_lost(count_lost, &lost);
    int reader = lead_to_pipe();
    (void)fill(&lost);
    log_on_lost(NULL, NULL);
    int64_t before = clock_ms();
    int status = wait_status_of(end_fatally);
    assert_true(clock_ms() - before < 5000);
    assert_int_equal(WEXITSTATUS(status), EX_NOPERM);
    (void)close(reader);
}

static void monotonic_clock_does_not_go_back(void **state)
{
    (void)state;
    int64_t last = clock_ms();
    assert_true(last > 0);
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_ms();
        assert_true(now >= last);
        last = now;
    }
}

static void wall_clocks_agree(void **state)
{
    (void)state;
    uint32_t before = clock_wall();
    uint64_t us = clock_wall_us();
    uint32_t after = clock_wall();
    assert_in_range(us / 1000000, before, after);
}

#define with_capture(test) cmocka_unit_test_setup_teardown(test, start_capture, stop_capture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_capture(line_begins_with_who_and_what),
        with_capture(json_line_begins_with_who_and_what),
        with_capture(time_is_now_in_utc),
        with_capture(numbers_of_any_size),
        with_capture(ids_are_texts_in_base_32),
        with_capture(foreign_octets_are_escaped_in_logfmt),
        with_capture(foreign_octets_are_escaped_in_json),
        with_capture(every_octet_leaves_one_printable_line),
        with_capture(value_is_shown_whole_up_to_its_bound),
        with_capture(longer_value_ends_with_dots),
        with_capture(bound_counts_octets_as_shown_and_cuts_no_escape),
        with_capture(three_hostile_values_of_any_length_fit_a_line),
        with_capture(field_that_does_not_fit_is_left_out_whole),
        with_capture(many_fields_fill_a_line_but_never_overflow_it),
        with_capture(levels_above_the_most_are_not_written),
        with_capture(each_level_has_its_name),
        with_capture(errno_is_left_as_it_was),
        with_capture(errno_is_left_as_it_was_when_the_write_fails),
        with_capture(errno_values_have_texts),
        with_capture(fatal_logs_and_exits_with_its_code),
        with_capture(panic_logs_and_aborts),
        with_capture(require_names_the_condition),
        with_capture(require_is_silent_when_it_holds),
        with_capture(full_pipe_loses_whole_lines_and_counts_them),
        with_capture(line_that_a_full_disk_cut_is_not_continued),
        with_capture(full_socket_does_not_block_though_its_description_would),
        with_capture(lines_passed_on_to_a_full_pipe_are_counted),
        with_capture(last_words_wait_for_a_reader_that_is_late),
        with_capture(last_words_end_though_nobody_reads),
        cmocka_unit_test(monotonic_clock_does_not_go_back),
        cmocka_unit_test(wall_clocks_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
