/*
 * A log line is evidence, so it must be whole, true and one: it is made in a buffer on the stack
 * (no malloc: the log also says that memory is gone), goes out in one write(2) of at most PIPE_BUF
 * octets (lines of several processes on one pipe do not mix, and none is written in part), and no
 * octet of a remote reaches it unescaped.
 *
 * Mail must not wait for whoever reads the log: master makes descriptor 2 one that never blocks
 * (master/journal.c). What it does not take is lost, counted, and said as soon as it takes
 * something again.
 *
 * What does not fit is never cut in the middle: the field that would not fit and those behind it
 * are left out, and the line says truncated=true. The time is UTC, computed here: gmtime_r(3) of
 * glibc takes a lock and opens the time zone's file.
 */
#include "util/base/log.h"

#include "util/base/base64.h"
#include "util/base/clock.h"
#include "util/base/log_syslog.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_MAX_OCTETS = PIPE_BUF, /* pipe(7): written whole or not at all */
    LINE_ENDING = 32, /* kept free for the mark of truncation, the brace and the line feed */
    VALUE_MAX = 1024, /* escapes included */
    LAST_WORDS_MS = 200
};

/*
 * The one state of the process in util: who logs, how, and where to. It is written at start only,
 * but for what became of lines: how many were lost and not said to be, whether one was torn.
 * Handing it through every function that may have something to say would put it into most
 * signatures of the program, and panic() could not reach it at all.
 */
static struct {
    const char *process;
    enum log_format format;
    enum log_level most;
    bool to_syslog;
    bool to_socket; /* standard error is one: what another process shares can not be reopened */
    void (*lost)(void *arg, uint64_t count);
    void *lost_arg;
    _Atomic uint64_t unsaid;
    _Atomic bool torn; /* a line went out in part: its disk was full */
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
 * How one octet is shown. What is not printable ASCII, and the backslash itself, become \xNN, so
 * that no two values look the same. JSON knows no \x: there the backslash is doubled, and its
 * reader sees the same text.
 */
static size_t escape_into(char out[SPAN_ESCAPE + 1], enum log_format format, char octet)
{
    out[0] = '\\';
    if (octet == '"') {
        out[1] = octet;
        return 2;
    }
    span_escape(octet, format == LOG_JSON ? out + 1 : out);
    return format == LOG_JSON ? SPAN_ESCAPE + 1 : SPAN_ESCAPE;
}

/* What shows more than `room` octets ends before the first that does not fit, between two octets of
 * the value and never within an escape. True: all of it was shown. */
static bool put_escaped(struct line *line, struct span value, size_t room)
{
    while (value.len > 0) {
        size_t plain = 0;
        while (plain < value.len && is_plain(value.data[plain]))
            plain++;
        put(line, value.data, plain < room ? plain : room);
        if (plain > room)
            return false;
        value = span_skip(value, plain);
        room -= plain;
        if (value.len == 0)
            break;

        char escape[SPAN_ESCAPE + 1];
        size_t size = escape_into(escape, line->format, value.data[0]);
        if (size > room)
            return false;
        put(line, escape, size);
        value = span_skip(value, 1);
        room -= size;
    }
    return true;
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

/* Bounded as it is shown: three hostile values of any length have room in one line. */
static void put_text(struct line *line, const char *name, struct span value)
{
    const char *quote = needs_quotes(line, span_first(value, VALUE_MAX)) ? "\"" : "";

    put_name(line, name);
    put_cstr(line, quote);
    put_cstr(line, put_escaped(line, value, VALUE_MAX) ? "" : "...");
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

/* Quoted like any other text: with digits alone it would be a number to JSON. */
static void put_id(struct line *line, const char *name, uint64_t number)
{
    char digits[BASE32_U64_MAX];
    put_text(line, name, span_of(digits, base32_u64(number, digits)));
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
    case LOG_FIELD_ID:
        put_id(line, field->name, field->number);
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
    logger.to_syslog = false;

    struct stat status;
    logger.to_socket = fstat(STDERR_FILENO, &status) == 0 && S_ISSOCK(status.st_mode);
}

void log_on_lost(void (*lost)(void *arg, uint64_t count), void *arg)
{
    logger.lost_arg = arg;
    logger.lost = lost;
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

/* ---- the way out ---- */

/* One system call; false: nothing of it was taken, or not all by a full disk. */
static bool put_out(struct span text)
{
    ssize_t written;
    do {
        written = logger.to_socket
                      ? send(STDERR_FILENO, text.data, text.len, MSG_DONTWAIT | MSG_NOSIGNAL)
                      : write(STDERR_FILENO, text.data, text.len);
    } while (written < 0 && errno == EINTR);
    if (written > 0 && (size_t)written < text.len)
        atomic_store_explicit(&logger.torn, true, memory_order_relaxed);
    return written >= 0 && (size_t)written == text.len;
}

/* What comes behind half a line must not continue it. */
static bool ended_torn(void)
{
    if (!atomic_load_explicit(&logger.torn, memory_order_relaxed))
        return true;
    bool ended = put_out(SPAN("\n"));
    if (ended)
        atomic_store_explicit(&logger.torn, false, memory_order_relaxed);
    return ended;
}

/* Counted twice: for the line that says so, which starts over, and for whoever keeps the total. */
static void lose(uint64_t count)
{
    atomic_fetch_add_explicit(&logger.unsaid, count, memory_order_relaxed);
    if (logger.lost != NULL)
        logger.lost(logger.lost_arg, count);
}

/* Lines that were lost are spoken of before the next one goes out; false: it still does not flow.
 * Nearly always there is nothing to say, and that costs a load. */
static bool said_lost(void)
{
    if (atomic_load_explicit(&logger.unsaid, memory_order_relaxed) == 0)
        return true;
    uint64_t count = atomic_exchange_explicit(&logger.unsaid, 0, memory_order_relaxed);
    const struct log_field fields[] = {LOG_UINT("count", count), {0}};
    struct line line;

    compose(&line, LOG_WARN, "log-lost", fields);
    if (count == 0 || put_out(span_of(line.text, line.len)))
        return true;
    atomic_fetch_add_explicit(&logger.unsaid, count, memory_order_relaxed);
    return false;
}

/* False: lost, but not counted yet. */
static bool write_line(enum log_level level, const char *event, const struct log_field *fields)
{
    struct line line;

    compose(&line, level, event, fields);
    if (!logger.to_syslog)
        return ended_torn() && said_lost() && put_out(span_of(line.text, line.len));
    log_syslog_line(levels[level].severity, span_of(line.text, line.len - 1));
    return true;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    if (!write_line(level, event, fields))
        lose(1);
    errno = saved_errno;
}

/* A reader that is only late gets them; one that is gone does not keep the process from dying. */
void log_last_words(const char *event, const struct log_field *fields)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (write_line(LOG_ERROR, event, fields))
        return;
    (void)poll(&room, 1, LAST_WORDS_MS);
    (void)write_line(LOG_ERROR, event, fields);
}

/* As many lines are lost as there are line feeds: what has none is a part of one. */
void log_pass_on(struct span lines)
{
    uint64_t count = 0;
    struct span rest = lines, line;

    if (said_lost() && put_out(lines))
        return;
    while (span_next(&rest, '\n', &line))
        count++;
    lose(count);
}

/* strerror(3) may translate and allocate; this is a table look-up, safe for a thread and when
 * memory is gone. */
const char *log_errno_text(int error)
{
    const char *text = strerrordesc_np(error);
    return text ? text : "unknown error";
}
