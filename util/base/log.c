/*
 * A log line is evidence, so it must be whole, true and one: it is made in a buffer on the stack
 * (no malloc: the log also says that memory is gone), goes out in one write(2) (lines of several
 * processes on one pipe do not mix), and no octet of a remote reaches it unescaped.
 *
 * What does not fit is never cut in the middle: the field that would not fit and those behind it
 * are left out, and the line says truncated=true. The time is UTC, computed here: gmtime_r(3) of
 * glibc takes a lock and opens the time zone's file.
 */
#include "util/base/log.h"

#include "util/base/clock.h"
#include "util/base/log_syslog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LINE_MAX_OCTETS = 8192,
    LINE_ENDING = 32, /* kept free for the mark of truncation, the brace and the line feed */
    VALUE_MAX = 1024
};

/*
 * The one state of the process in util: who logs, how, and where to. It is written at start only.
 * Handing it through every function that may have something to say would put it into most
 * signatures of the program, and panic() could not reach it at all.
 */
static struct {
    const char *process;
    enum log_format format;
    enum log_level most;
    bool to_syslog;
} logger = {.process = "veredus", .format = LOG_LOGFMT, .most = LOG_INFO};

/* The severities are those of RFC 5424 §6.2.1. */
static const struct {
    const char *name;
    int severity;
} levels[] = {
    [LOG_ERROR] = {"error", 3},
    [LOG_WARN] = {"warn", 4},
    [LOG_INFO] = {"info", 6},
    [LOG_DEBUG] = {"debug", 7},
};

struct line {
    enum log_format format;
    size_t len;
    size_t room; /* most octets for now */
    bool full;   /* something did not fit */
    char text[LINE_MAX_OCTETS];
};

static void put(struct line *line, const char *text, size_t len)
{
    if (line->full || len > line->room - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_cstr(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* What stands between the fields, and the name. Names come from the source: nothing to escape. */
static void put_name(struct line *line, const char *name)
{
    bool json = line->format == LOG_JSON;
    if (json)
        put_cstr(line, line->len == 0 ? "{\"" : ",\"");
    else if (line->len > 0)
        put_cstr(line, " ");
    put_cstr(line, name);
    put_cstr(line, json ? "\":" : "=");
}

static bool is_plain(char octet)
{
    return octet >= ' ' && octet <= '~' && octet != '\\' && octet != '"';
}

/*
 * Octets that are not printable ASCII, and the backslash itself, become \xNN, so that no two values
 * look the same. JSON knows no \x: there the backslash is doubled, and its reader sees the same
 * text.
 */
static void put_escaped(struct line *line, struct span value)
{
    static const char hex[] = "0123456789abcdef";
    const char *escape = line->format == LOG_JSON ? "\\\\x" : "\\x";

    while (value.len > 0) {
        size_t plain = 0;
        while (plain < value.len && is_plain(value.data[plain]))
            plain++;
        put(line, value.data, plain);
        value = span_skip(value, plain);
        if (value.len == 0)
            break;

        unsigned octet = (unsigned char)value.data[0];
        if (octet == '"') {
            put_cstr(line, "\\\"");
        } else {
            put_cstr(line, escape);
            put(line, (char[]){hex[octet >> 4], hex[octet & 15]}, 2);
        }
        value = span_skip(value, 1);
    }
}

/* JSON quotes every text, logfmt only what would be read wrongly without. */
static bool needs_quotes(const struct line *line, struct span value)
{
    if (line->format == LOG_JSON || value.len == 0)
        return true;
    for (size_t i = 0; i < value.len; i++)
        if (!is_plain(value.data[i]) || value.data[i] == ' ' || value.data[i] == '=')
            return true;
    return false;
}

static void put_text(struct line *line, const char *name, struct span value)
{
    struct span shown = span_first(value, VALUE_MAX);
    const char *quote = needs_quotes(line, shown) ? "\"" : "";

    put_name(line, name);
    put_cstr(line, quote);
    put_escaped(line, shown);
    put_cstr(line, shown.len < value.len ? "..." : "");
    put_cstr(line, quote);
}

/* A number, or a word, that neither form quotes. */
static void put_bare(struct line *line, const char *name, const char *value)
{
    put_name(line, name);
    put_cstr(line, value);
}

static void put_uint(struct line *line, const char *name, uint64_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%" PRIu64, number);
    put_bare(line, name, digits);
}

static void put_int(struct line *line, const char *name, int64_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%" PRId64, number);
    put_bare(line, name, digits);
}

/*
 * RFC 3339 §5.6, in UTC. Years begin in March here, so that the leap day is the last of its year
 * and the months' lengths repeat: 153 days each five months. 719468 days lie between the first of
 * March of the year 0 and 1970; 146097 days are 400 years.
 */
static void put_time(struct line *line, uint64_t wall_us)
{
    uint64_t seconds = wall_us / 1000000;
    unsigned second_of_day = (unsigned)(seconds % 86400);
    unsigned day = (unsigned)(seconds / 86400) + 719468;

    unsigned day_of_era = day % 146097;
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153; /* 0 is March */
    unsigned year = day / 146097 * 400 + year_of_era + (month >= 10 ? 1 : 0);

    char text[80];
    (void)snprintf(text, sizeof(text), "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", year,
                   month < 10 ? month + 3 : month - 9, day_of_year - (153 * month + 2) / 5 + 1,
                   second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60,
                   (unsigned)(wall_us % 1000000));
    put_text(line, "time", span_cstr(text));
}

static void put_field(struct line *line, const struct log_field *field)
{
    switch (field->type) {
    case LOG_FIELD_SPAN:
        put_text(line, field->name, field->text);
        break;
    case LOG_FIELD_UINT:
        put_uint(line, field->name, field->number);
        break;
    case LOG_FIELD_INT:
        put_int(line, field->name, (int64_t)field->number);
        break;
    }
}

static void put_fields(struct line *line, const struct log_field *fields)
{
    line->room = sizeof(line->text) - LINE_ENDING;
    for (; fields->name != NULL; fields++) {
        size_t before = line->len;
        put_field(line, fields);
        if (line->full) {
            line->len = before;
            break;
        }
    }

    bool truncated = line->full;
    line->room = sizeof(line->text);
    line->full = false;
    if (truncated)
        put_bare(line, "truncated", "true");
}

static void compose(struct line *line, enum log_level level, const char *event,
                    const struct log_field *fields)
{
    line->format = logger.format;
    line->len = 0;
    line->room = sizeof(line->text) - LINE_ENDING;
    line->full = false;
    put_time(line, clock_wall_us());
    put_text(line, "level", span_cstr(levels[level].name));
    put_text(line, "process", span_cstr(logger.process));
    put_int(line, "pid", getpid());
    put_text(line, "event", span_cstr(event));
    put_fields(line, fields);
    put_cstr(line, line->format == LOG_JSON ? "}\n" : "\n");
}

void log_setup(const char *process, enum log_format format, enum log_level most)
{
    logger.process = process;
    logger.format = format;
    logger.most = most;
}

void log_to_syslog(void)
{
    log_syslog_open(logger.process);
    logger.to_syslog = true;
}

bool log_enabled(enum log_level level)
{
    return level <= logger.most;
}

/* A line that standard error does not take is lost: there is nobody left to tell. */
void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;

    int saved_errno = errno;
    struct line line;
    compose(&line, level, event, fields);
    if (logger.to_syslog) {
        log_syslog_line(levels[level].severity, span_of(line.text, line.len - 1));
    } else {
        ssize_t written;
        do {
            written = write(STDERR_FILENO, line.text, line.len);
        } while (written < 0 && errno == EINTR);
    }
    errno = saved_errno;
}

const char *log_errno_text(int error)
{
    const char *text = strerrordesc_np(error);
    return text ? text : "unknown error";
}
