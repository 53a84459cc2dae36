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

/* A line in the making. It lives on the stack of log_write, so that two threads never share
 * one. */
struct line {
    enum log_format format;
    size_t len;
    size_t room; /* most octets for now */
    bool full;   /* something did not fit */
    char text[LINE_MAX_OCTETS];
};

/* Once something did not fit, nothing fits any more: a line has no holes. */
static void put(struct line *line, const char *text, size_t len)
{
    if (line->full || len > line->room - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* For text of our own: names, marks, quotes. Never for what came from outside. */
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

/* Printable ASCII that means itself in both formats. */
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

/* The value is cut to its bound before it is escaped, so that "..." stands behind whole octets. */
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

/* Decimal digits, at least `width` of them. Not snprintf(3), which took a quarter of the time of a
 * line.
 */
static void put_digits(struct line *line, uint64_t number, size_t width)
{
    char digits[20];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || sizeof(digits) - first < width);
    put(line, digits + first, sizeof(digits) - first);
}

/* Numbers stand without quotes: in JSON they are numbers, in logfmt they can hold no blank. */
static void put_uint(struct line *line, const char *name, uint64_t number)
{
    put_name(line, name);
    put_digits(line, number, 1);
}

/* The magnitude is computed without a sign, where that of the least number exists. */
static void put_int(struct line *line, const char *name, int64_t number)
{
    put_name(line, name);
    put_cstr(line, number < 0 ? "-" : "");
    put_digits(line, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 1);
}

/* A part of date or time, and what stands behind it. */
static void put_part(struct line *line, uint64_t number, size_t width, const char *behind)
{
    put_digits(line, number, width);
    put_cstr(line, behind);
}

/* Microseconds: two lines of one message must be told apart and put in order. */
static void put_time_of_day(struct line *line, uint64_t us_of_day)
{
    uint64_t seconds = us_of_day / 1000000;
    put_part(line, seconds / 3600, 2, ":");
    put_part(line, seconds / 60 % 60, 2, ":");
    put_part(line, seconds % 60, 2, ".");
    put_part(line, us_of_day % 1000000, 6, "Z");
}

/*
 * Years begin in March here, so that the leap day is the last of its year and the months' lengths
 * repeat: 153 days each five months. 719468 days lie between the first of March of the year 0 and
 * 1970; 146097 days are 400 years, and after these the calendar repeats.
 */
static void put_date(struct line *line, uint64_t days_since_1970)
{
    uint64_t day = days_since_1970 + 719468;
    uint64_t day_of_era = day % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */
    uint64_t year = day / 146097 * 400 + year_of_era + (month >= 10 ? 1 : 0);

    put_part(line, year, 4, "-");
    put_part(line, month < 10 ? month + 3 : month - 9, 2, "-");
    put_part(line, day_of_year - (153 * month + 2) / 5 + 1, 2, "T");
}

/* RFC 3339 §5.6, in UTC; without leap seconds, as the system counts. */
static void put_time(struct line *line, uint64_t wall_us)
{
    const uint64_t us_a_day = UINT64_C(86400) * 1000000;
    const char *quote = line->format == LOG_JSON ? "\"" : "";

    put_name(line, "time");
    put_cstr(line, quote);
    put_date(line, wall_us / us_a_day);
    put_time_of_day(line, wall_us % us_a_day);
    put_cstr(line, quote);
}

/* No default: a new type of field does not compile until it is shown. */
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

/* The octets of the ending become room only when all fields are in. */
static void put_fields(struct line *line, const struct log_field *fields)
{
    for (; fields->name != NULL; fields++) {
        size_t before = line->len;
        put_field(line, fields);
        if (line->full) {
            /* The field that did not fit is taken back whole. */
            line->len = before;
            break;
        }
    }

    bool truncated = line->full;
    line->room = sizeof(line->text);
    line->full = false;
    if (truncated) {
        put_name(line, "truncated");
        put_cstr(line, "true");
    }
}

/* The four fields that every line begins with are short; `fields` may be anything. */
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

/* Stores only: it can be called before anything else works. */
void log_setup(const char *process, enum log_format format, enum log_level most)
{
    logger.process = process;
    logger.format = format;
    logger.most = most;
}

/* Behind log_setup: the logger keeps the name that it finds now. */
void log_to_syslog(void)
{
    log_syslog_open(logger.process);
    logger.to_syslog = true;
}

/* One comparison, so that a caller may ask before it makes an expensive field. */
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

/* strerror(3) may translate and allocate; this is a table look-up, safe for a thread and when
 * memory is gone. */
const char *log_errno_text(int error)
{
    const char *text = strerrordesc_np(error);
    return text ? text : "unknown error";
}
